//! What the commands of all nouns share: paths of the administration interface, and its objects as rows.
//!
//! Objects are shown as the node sends them: with `--output json` nothing is left out.

use serde_json::Value;

use super::Session;
use super::connection::Connection;
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::words::{columns, table};

/// Where the administration interface begins.
pub(super) const API: &str = "/api/v2.0";

/// One segment of a path, or one value of a query.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The path of a project.
pub(super) fn project(name: &str) -> String {
    format!("{API}/projects/{}", segment(name))
}

/// The path of a repository `PROJECT/NAME`. The name in it is escaped twice, as all of Harbor's clients do.
///
/// # Errors
/// [`Code::Usage`]: it has no project.
pub(super) fn repository(name: &str) -> Result<String, Failure> {
    match name.split_once('/') {
        Some((of, rest)) if !of.is_empty() && !rest.is_empty() => {
            Ok(format!("{}/repositories/{}", project(of), segment(&segment(rest))))
        }
        Some(_) | None => {
            Err(Failure::new(Code::Usage, format!("{name:?} names no repository")).next("PROJECT/REPOSITORY"))
        }
    }
}

/// Repository and tag or digest of an image.
///
/// # Errors
/// [`Code::Usage`]: it has neither.
pub(super) fn image(name: &str) -> Result<(&str, &str), Failure> {
    let at = name.split_once('@').or_else(|| name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')));
    match at {
        Some((repository, reference)) if !repository.is_empty() && !reference.is_empty() => Ok((repository, reference)),
        Some(_) | None => Err(Failure::new(Code::Usage, format!("{name:?} names no artifact"))
            .next("PROJECT/REPOSITORY:TAG or PROJECT/REPOSITORY@DIGEST")),
    }
}

/// The path of an artifact.
///
/// # Errors
/// [`Code::Usage`]: the name is none.
pub(super) fn artifact(name: &str) -> Result<String, Failure> {
    let (of, reference) = image(name)?;
    Ok(format!("{}/artifacts/{}", repository(of)?, segment(reference)))
}

/// A field of an object as text; empty when there is none.
pub(super) fn word(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| word(item, "")).collect::<Vec<_>>().join(" "),
        Some(other) => other.to_string(),
    }
}

/// The number of an object.
///
/// # Errors
/// [`Code::Unexpected`]: it has none.
pub(super) fn number(object: &Value, pointer: &str) -> Result<i64, Failure> {
    object.pointer(pointer).and_then(Value::as_i64).ok_or_else(|| {
        Failure::new(Code::Unexpected, format!("the node's answer has no {}", pointer.trim_start_matches('/')))
    })
}

/// The one object of a list whose field is exactly this.
///
/// # Errors
/// [`Code::NotFound`].
pub(super) fn one(
    connection: &Connection,
    path: &str,
    pointer: &str,
    name: &str,
    what: &str,
) -> Result<Value, Failure> {
    let found = connection.list(path)?.into_iter().find(|object| word(object, pointer) == name);
    found.ok_or_else(|| {
        Failure::new(Code::NotFound, format!("there is no {what} {name:?}")).next(format!("portolan {what} list"))
    })
}

/// A heading and the field under it.
pub(super) type Column = (&'static str, &'static str);

/// Objects as rows.
pub(super) fn rows(of: &[Column], objects: &[Value]) -> String {
    let headings: Vec<&str> = of.iter().map(|(heading, _)| *heading).collect();
    let cells = |object: &Value| of.iter().map(|(_, pointer)| word(object, pointer)).collect();
    table(&headings, &objects.iter().map(cells).collect::<Vec<_>>())
}

/// One object, a line for each of its fields.
pub(super) fn fields(object: &Value) -> String {
    fn line(key: &str, value: &Value, into: &mut Vec<Vec<String>>) {
        match value {
            Value::Object(inner) => {
                for (name, value) in inner {
                    line(&if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, value, into);
                }
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (at, item) in items.iter().enumerate() {
                    line(&format!("{key}.{at}"), item, into);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                into.push(vec![key.to_owned(), word(value, "")]);
            }
        }
    }
    let mut lines = Vec::new();
    line("", object, &mut lines);
    columns(&lines)
}

impl Session<'_> {
    /// Answers with a list.
    pub(super) fn show_list(&mut self, of: &[Column], objects: &[Value]) -> Result<Exit, Failure> {
        self.terminal.answer(&rows(of, objects), &objects)?;
        Ok(Exit::Ok)
    }

    /// Answers with one object.
    pub(super) fn show(&mut self, object: &Value) -> Result<Exit, Failure> {
        self.terminal.answer(&fields(object), object)?;
        Ok(Exit::Ok)
    }

    /// Answers that something was done.
    pub(super) fn done(&mut self, text: &str, data: &Value) -> Result<Exit, Failure> {
        self.terminal.answer(&format!("{text}\n"), data)?;
        Ok(Exit::Ok)
    }

    /// Asks before something is gone.
    pub(super) fn sure(&mut self, question: &str) -> Result<(), Failure> {
        self.terminal.confirm(question, self.global.yes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_become_paths() {
        assert_eq!(repository("team/a/b").unwrap(), "/api/v2.0/projects/team/repositories/a%252Fb");
        assert_eq!(artifact("team/a:v1").unwrap(), "/api/v2.0/projects/team/repositories/a/artifacts/v1");
        assert!(artifact("team/a@sha256:ab").unwrap().ends_with("/artifacts/sha256%3Aab"));
        for bad in ["team", "team/", "/a:v", "team/a:", "team:5000/a"] {
            assert_eq!(artifact(bad).unwrap_err().code, Code::Usage, "{bad}");
        }
    }

    #[test]
    fn objects_become_rows_and_lines() {
        let objects = [json!({ "name": "a", "metadata": { "public": "true" } }), json!({ "name": "long" })];
        assert_eq!(
            rows(&[("NAME", "/name"), ("PUBLIC", "/metadata/public")], &objects),
            "NAME  PUBLIC\na     true\nlong\n"
        );
        assert_eq!(fields(&json!({ "a": { "b": 1 }, "c": ["x", "y"] })), "a.b  1\nc    x y\n");
    }

    proptest! {
        #[test]
        fn a_segment_never_leaves_its_place(text in any::<String>()) {
            let segment = segment(&text);
            prop_assert!(!segment.contains(['/', '?', '#', '&', ' ', '+']) && segment.is_ascii());
        }
    }
}
