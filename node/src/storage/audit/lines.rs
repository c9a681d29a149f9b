//! Reading a file of the log line by line, in bounded memory. Owns what it has read ahead.

use std::io;
use std::sync::Arc;

use protocol::seam::File;

/// Bytes read in one go.
const CHUNK: usize = 256 * 1024;

/// Longest line; what is longer is no line of ours.
pub(super) const LONGEST: usize = 1 << 20;

/// The lines of a file, from an offset up to a length.
#[derive(Debug)]
pub(super) struct Lines {
    file: Arc<dyn File>,
    /// Where the next line begins.
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// How much of the buffer was given out.
    taken: usize,
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Next {
    /// A whole line, with its end.
    Line(Vec<u8>),
    /// Bytes without an end of line, or too many.
    Torn,
    /// The end.
    End,
}

impl Lines {
    pub(super) fn new(file: Arc<dyn File>, from: u64, end: u64) -> Self {
        Self { file, at: from, end, buffer: Vec::new(), taken: 0 }
    }

    /// Where the next line begins.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        let mut searched = self.taken;
        loop {
            if let Some(length) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer[self.taken..=searched + length].to_vec();
                self.taken += line.len();
                self.at += line.len() as u64;
                return Ok(Next::Line(line));
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            searched = self.buffer.len();
            let ahead = self.at + searched as u64;
            let room = usize::try_from(self.end.saturating_sub(ahead)).unwrap_or(CHUNK).min(CHUNK);
            if searched > LONGEST {
                return Ok(Next::Torn);
            }
            self.buffer.resize(searched + room, 0);
            let read = self.file.read_full_at(&mut self.buffer[searched..], ahead)?;
            self.buffer.truncate(searched + read);
            if read == 0 {
                return Ok(if self.buffer.is_empty() { Next::End } else { Next::Torn });
            }
        }
    }
}
