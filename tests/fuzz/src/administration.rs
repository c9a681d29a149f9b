//! What strangers write to the administration interface: its paths, and the `q` that asks for a part of a list.

use std::fmt::Write as _;

use node::http::{path_of, terms_of};

use super::text;

/// Longest path and longest `q` that are read at all.
const MOST: usize = 4096;

/// Each byte that may be written otherwise is: a second spelling of the same.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Paths below `/api/v2.0`: what a segment holds can name no other place, and written again it is read as the same, also
/// when a repository's name is encoded twice.
pub fn api_route(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for method in ["GET", "POST", "PUT", "DELETE"] {
        for path in [text.to_owned(), format!("/api/v2.0{text}")] {
            let Some((template, held)) = path_of(method, &path) else { continue };
            assert!(path.len() <= MOST);
            let names: Vec<_> =
                template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            assert_eq!(names, held.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{path:?}");
            for (name, value) in &held {
                let segments: Vec<_> = value.split('/').collect();
                assert!(*name == "repository_name" || segments.len() == 1, "{path:?}: {name} is {value:?}");
                assert!(!segments.iter().any(|part| matches!(*part, "" | "." | "..")), "{path:?}: {name} is {value:?}");
                assert!(!value.contains(|c: char| c.is_control() || c == '\\'), "{path:?}: {name} is {value:?}");
                assert!(*name != "repository_name" || !value.contains('%'), "{path:?}: a name in a third encoding");
            }
            for twice in [false, true] {
                let spelt = held.iter().fold(format!("/api/v2.0{template}"), |path, (name, value)| {
                    let once = encoded(value);
                    let again = twice && *name == "repository_name";
                    path.replacen(&format!("{{{name}}}"), &if again { encoded(&once) } else { once }, 1)
                });
                if spelt.len() <= MOST {
                    let read = path_of(method, &spelt);
                    assert_eq!(read, Some((template, held.clone())), "{path:?} was written again as {spelt:?}");
                }
            }
        }
    }
}

/// `q`: bounded, each key once, and written again it asks for the same.
pub fn q(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Some(terms) = terms_of(text) else { return };
    assert!(text.len() <= MOST && terms.len() <= 64);
    let mut written = Vec::new();
    for (at, (key, kind, values)) in terms.iter().enumerate() {
        assert!(!key.is_empty() && !key.contains(['=', ',']), "{text:?}: the key {key:?}");
        assert!(!terms[..at].iter().any(|(other, ..)| other == key), "{text:?}: {key:?} stands there twice");
        assert!(values.len() <= 64 && values.iter().flatten().map(String::len).sum::<usize>() <= text.len());
        let quoted = |value: &Option<String>| value.as_ref().map_or_else(String::new, |value| format!("\"{value}\""));
        let one = || values.first().cloned().flatten().unwrap_or_default();
        let all = || values.iter().map(quoted).collect::<Vec<_>>();
        let value = match kind {
            '=' => format!("\\{}", one()),
            '~' => format!("~{}", one()),
            '[' => format!("[{}]", all().join("~")),
            '{' => format!("{{{}}}", all().join(" ")),
            '(' => format!("({})", all().join(" ")),
            other => panic!("{text:?}: a value of the kind {other:?}"),
        };
        written.push(format!("{key}={value}"));
    }
    let spelt = encoded(&written.join(","));
    if spelt.len() <= MOST {
        assert_eq!(terms_of(&spelt), Some(terms), "{text:?} was written again as {spelt:?}");
    }
}
