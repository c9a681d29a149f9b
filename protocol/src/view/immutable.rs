//! Immutable tags: a second digest is refused where one site alone writes. No state.

use crate::record::value::TagMode;
use crate::{Digest, Tag};

/// A tag that may not be moved names another digest already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tag is immutable and names {0}")]
pub struct SecondDigest(pub Digest);

/// Whether a tag's name matches a pattern, where `*` stands for any run of characters and `?` for any one.
#[must_use]
pub fn is_immutable(patterns: &[String], tag: &Tag) -> bool {
    patterns.iter().any(|pattern| matches(pattern.as_bytes(), tag.as_str().as_bytes()))
}

/// Whether a tag that names `digests` (those of all heads that are no deletes) may come to name `new`. Only under
/// `home` can it be refused: where every site writes, none knows what the others are writing.
///
/// # Errors
/// [`SecondDigest`].
pub fn refuse(
    mode: &TagMode,
    patterns: &[String],
    tag: &Tag,
    digests: &[Digest],
    new: &Digest,
) -> Result<(), SecondDigest> {
    match mode {
        TagMode::Home(_) if is_immutable(patterns, tag) => {
            digests.iter().find(|digest| *digest != new).map_or(Ok(()), |other| Err(SecondDigest(*other)))
        }
        TagMode::Home(_) | TagMode::Converge => Ok(()),
    }
}

/// Goes back only to the last `*`, so it takes at most the product of both lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                last_star = Some((at, read));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((star, from)) = last_star else { return false };
                last_star = Some((star, from + 1));
                at = star + 1;
                read = from + 1;
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}
