//! The words of the specification, one at a time: names, tags, digests, media types, ranges, scopes, session ids.

use node::auth::{Action, Scope};
use node::storage::uploads::UploadId;
use protocol::byte_range::{ByteRange, MAX_RANGES, RangeSet, parse_chunk};
use protocol::seam::Entropy;
use protocol::{Algorithm, Digest, Hasher, MediaType, ProjectName, Reference, RepositoryName, Tag};

use super::text;

/// Repository and project names: the grammar and nothing else, written back as they came or below `library/`.
pub fn name(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let full = if text.contains('/') { text.to_owned() } else { format!("library/{text}") };
    let good = full.len() <= RepositoryName::MAX && full.split('/').all(is_component);
    let parsed = text.parse::<RepositoryName>();
    assert_eq!(parsed.is_ok(), good, "{text:?}: {parsed:?}");
    if let Ok(name) = parsed {
        assert_eq!(name.as_str(), full);
        assert!(!name.as_str().contains(|c: char| c.is_uppercase() || c == '\0' || c == '\\' || c == '%'));
        assert!(!name.as_str().contains(".."));
        assert_eq!(format!("{}/{}", name.project_str(), name.path()), full);
        assert_eq!(name.project().as_str().parse(), Ok(name.project()));
        assert_eq!(full.parse(), Ok(name.clone()), "written and read again");
        assert_eq!(serde_json::from_value::<RepositoryName>(full.into()).ok(), Some(name));
    }

    let project = text.parse::<ProjectName>();
    assert_eq!(project.is_ok(), text.len() <= RepositoryName::MAX && is_component(text), "{text:?}: {project:?}");
    assert!(project.is_err() || project.is_ok_and(|project| project.as_str() == text));
}

/// The grammar of one component, told by its runs of separators instead of character by character.
fn is_component(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(word)
        && text.ends_with(word)
        && text.split(word).all(|run| matches!(run, "" | "." | "_" | "__") || run.chars().all(|c| c == '-'))
}

/// Tags and references: the grammar and nothing else, written back as they came.
pub fn reference(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let tag = text.parse::<Tag>();
    let inside = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let good = (1..=Tag::MAX).contains(&text.len()) && !text.starts_with(['.', '-']) && text.chars().all(inside);
    assert_eq!(tag.is_ok(), good, "{text:?}: {tag:?}");
    assert!(tag.is_err() || tag.as_ref().is_ok_and(|tag| tag.as_str() == text));

    let parsed = text.parse::<Reference>();
    assert_eq!(parsed.is_ok(), good || is_digest(text), "{text:?}: {parsed:?}");
    if let Ok(reference) = parsed {
        assert_eq!(reference.to_string(), text);
        assert_eq!(matches!(reference, Reference::Tag(_)), good, "a reference is one thing or the other");
    }
}

/// Media types: printable, one slash, parameters dropped and never kept.
pub fn media_type(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(one) = text.parse::<MediaType>() {
        assert_eq!(one.as_str(), text);
        assert!(text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(text.bytes().filter(|b| *b == b'/').count(), 1);
        assert!(!text.contains(['\\', '"', ';', ',', '%']), "{text:?} could be read as something else");
        assert_eq!(MediaType::from_header(text), Ok(one.clone()));
        assert_eq!(MediaType::from_header(&format!(" {text} ; charset=utf-8")), Ok(one));
    }
    if let Ok(one) = MediaType::from_header(text) {
        assert!(text.trim_start().starts_with(one.as_str()));
        assert_eq!(one.as_str().parse(), Ok(one));
    }
}

/// Digests as text, as database keys and as saved hash states: whatever is taken comes back the same, and the text from
/// which file names are made is hexadecimal.
pub fn digest(data: &[u8]) {
    if let Some(text) = text(data) {
        let parsed = text.parse::<Digest>();
        assert_eq!(parsed.is_ok(), is_digest(text), "{text:?}: {parsed:?}");
        if let Ok(digest) = parsed {
            assert_eq!(digest.to_string(), text);
            assert!(text.ends_with(&digest.hex()) && digest.hex().bytes().all(|b| b.is_ascii_hexdigit()));
            assert_eq!(Digest::from_key(&digest.to_key()), Some(digest));
        }
    }
    if let Some(digest) = Digest::from_key(data) {
        assert_eq!(digest.to_key(), data, "a digest has one key");
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }
    for algorithm in Algorithm::ALL {
        // What stands in a sidecar may be what a failing disk made of it.
        let Some(mut hasher) = Hasher::restore(algorithm, data) else { continue };
        let Some(mut again) = Hasher::restore(algorithm, &hasher.save()) else {
            panic!("a state that was taken up is saved as one that is not")
        };
        hasher.update(&[7; 200]);
        again.update(&[7; 100]);
        again.update(&[7; 100]);
        assert_eq!(hasher.finish(), again.finish());
    }
}

fn is_digest(text: &str) -> bool {
    let lower_hex = |hex: &str, len| hex.len() == len && hex.chars().all(|c| "0123456789abcdef".contains(c));
    text.strip_prefix("sha256:").is_some_and(|hex| lower_hex(hex, 64))
        || text.strip_prefix("sha512:").is_some_and(|hex| lower_hex(hex, 128))
}

/// `Range` and `Content-Range`. The first line is the size of the blob, the rest the header.
pub fn range(data: &[u8]) {
    let Some((size, header)) = text(data).and_then(|text| text.split_once('\n')) else { return };
    let Ok(size) = size.parse::<u64>() else { return };
    match RangeSet::parse(header, size) {
        RangeSet::Whole => {}
        RangeSet::Unsatisfiable => assert!(header.trim().starts_with("bytes=")),
        RangeSet::Parts(parts) => {
            assert!((1..=MAX_RANGES).contains(&parts.len()));
            for part in &parts {
                assert!(part.start <= part.end && part.end < size, "{part:?} of {size}");
                assert!((1..=size).contains(&part.len()));
            }
            let asked: u128 = parts.iter().map(|part| u128::from(part.len())).sum();
            assert!(asked <= u128::from(size), "{asked} bytes of a blob of {size}");
            let spelt: Vec<_> = parts.iter().map(|part| format!("{}-{}", part.start, part.end)).collect();
            assert_eq!(RangeSet::parse(&format!("bytes={}", spelt.join(",")), size), RangeSet::Parts(parts));
        }
    }
    if let Some(chunk) = parse_chunk(header) {
        let ByteRange { start, end } = chunk;
        assert!(start <= end && end < u64::MAX);
        assert_eq!(chunk.len() - 1, end - start);
        assert_eq!(parse_chunk(&format!("{start}-{end}")), Some(chunk));
        assert_eq!(parse_chunk(&format!("bytes {start}-{end}/*")), Some(chunk));
    }
}

/// Token scopes: no more than was asked for, written and read again the same.
pub fn scope(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(scope) = text.parse::<Scope>() else { return };
    assert_eq!(scope.to_string().parse(), Ok(scope.clone()), "written and read again");
    match scope {
        Scope::Catalog => assert!(text.starts_with("registry:catalog:")),
        Scope::Repository { name, actions } => {
            let asked = text.rsplit(':').next().unwrap_or_default();
            for action in [Action::Pull, Action::Push, Action::Delete] {
                let named = asked.split(',').any(|word| word == "*" || word == action.as_str());
                let count = actions.iter().filter(|one| **one == action).count();
                assert_eq!(count, usize::from(named), "{action:?} in {text:?}");
            }
            let name = name.as_str();
            let given = text.split(':').nth(1);
            assert!(given == Some(name) || given == name.strip_prefix("library/"), "{text:?} gave {name}");
        }
    }
}

/// Upload ids: exactly 32 lower-case hexadecimal characters, before they become part of a path.
pub fn upload_id(data: &[u8]) {
    let id = UploadId::random(&Given(data.to_vec()));
    assert_eq!(id.as_str().parse(), Ok(id.clone()), "what is drawn is what is read");
    let Some(text) = text(data) else { return };
    let parsed = text.parse::<UploadId>();
    let good = text.chars().filter(|c| "0123456789abcdef".contains(*c)).count() == 32 && text.len() == 32;
    assert_eq!(parsed.is_ok(), good, "{text:?}: {parsed:?}");
    assert!(parsed.is_err() || parsed.is_ok_and(|id| id.to_string() == text));
}

/// Randomness that is the input.
#[derive(Debug)]
struct Given(Vec<u8>);

impl Entropy for Given {
    fn fill(&self, bytes: &mut [u8]) {
        for (slot, byte) in bytes.iter_mut().zip(self.0.iter().chain(std::iter::repeat(&0))) {
            *slot = *byte;
        }
    }
}
