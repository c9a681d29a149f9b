//! Frames: how bytes of a stream become messages. Pure; the owner of a stream owns its buffer.
//!
//! A frame is one byte of format (1), three of length (big-endian), and so many bytes, at least one. Whoever reads says
//! how many are too many before the first of them is kept.

use bytes::{Buf, Bytes, BytesMut};

use crate::guard::{Guard, Guards};

/// The format of frames this version writes and reads.
pub const FORMAT: u8 = 1;

/// Bytes before a frame's own.
pub(super) const HEADER: usize = 4;

/// Why bytes are no frame. Always the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// A format of another version.
    #[error("a frame of the unknown format {0}")]
    Format(u8),
    /// Longer than the lane allows.
    #[error("a frame of {0} bytes")]
    TooLong(usize),
    /// It says nothing.
    #[error("an empty frame")]
    Empty,
    /// The stream ended within a frame.
    #[error("a frame cut short")]
    Truncated,
    /// All of them together are more than the reader of the exchange allows.
    #[error("an exchange without end")]
    Endless,
}

/// The bytes before a frame of this length.
pub(super) fn header(len: usize) -> Option<[u8; HEADER]> {
    let len = u32::try_from(len).ok().filter(|len| (1..1 << 24).contains(len))?;
    let [_, a, b, c] = len.to_be_bytes();
    Some([FORMAT, a, b, c])
}

/// Bytes that came and are no whole frame yet: never more than one frame and what came with its end.
#[derive(Debug, Default)]
pub(super) struct Frames(BytesMut, Guards);

impl Frames {
    pub(super) fn new(guards: Guards) -> Self {
        Self(BytesMut::new(), guards)
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next frame; `None` when more bytes are needed.
    pub(super) fn next(&mut self, most: usize) -> Result<Option<Bytes>, BadFrame> {
        let Some(&[format, a, b, c]) = self.0.first_chunk::<HEADER>() else { return Ok(None) };
        if format != FORMAT && self.1.has(Guard::Format) {
            return Err(BadFrame::Format(format));
        }
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        match len {
            0 => Err(BadFrame::Empty),
            _ if len > most && self.1.has(Guard::Length) => Err(BadFrame::TooLong(len)),
            _ if self.0.len() < HEADER + len => Ok(None),
            _ => {
                self.0.advance(HEADER);
                Ok(Some(self.0.split_to(len).freeze()))
            }
        }
    }

    /// What the end of the stream means.
    pub(super) fn end(&self) -> Result<(), BadFrame> {
        if self.0.is_empty() || !self.1.has(Guard::Ending) { Ok(()) } else { Err(BadFrame::Truncated) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_frame_is_refused_before_its_bytes_are_there() {
        let read = |bytes: &[u8]| {
            let mut frames = Frames::default();
            frames.push(bytes);
            frames.next(8)
        };
        assert_eq!(read(&[1, 0, 0, 2, 7, 7]), Ok(Some(Bytes::from_static(&[7, 7]))));
        assert_eq!(read(&[1, 0, 0]), Ok(None));
        assert_eq!(read(&[2, 0, 0, 1]), Err(BadFrame::Format(2)));
        assert_eq!(read(&[1, 0, 0, 0]), Err(BadFrame::Empty));
        assert_eq!(read(&[1, 0, 0, 9]), Err(BadFrame::TooLong(9)));
        assert_eq!(read(&[1, 0xff, 0xff, 0xff]), Err(BadFrame::TooLong(0xff_ffff)));
        assert_eq!((header(0), header(1 << 24)), (None, None));
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8), cut in 1usize..50
        ) {
            let bytes: Vec<u8> = sent.iter().flat_map(|one| [&header(one.len()).unwrap()[..], one].concat()).collect();
            let (mut frames, mut got) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                frames.push(piece);
                while let Some(one) = frames.next(40).unwrap() { got.push(one.to_vec()); }
            }
            prop_assert_eq!(got, sent);
            prop_assert_eq!(frames.end(), Ok(()));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>) {
            let mut frames = Frames::default();
            frames.push(&bytes);
            let mut taken = 0;
            while let Ok(Some(one)) = frames.next(64) { taken += HEADER + one.len(); }
            prop_assert!(taken <= bytes.len());
        }
    }
}
