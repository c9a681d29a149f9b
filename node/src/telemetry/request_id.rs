//! Request ids: the thread that ties an answer to its log lines.
//!
//! A client may bring one (`X-Request-Id`), if it is short and plain; else one is made: eight random characters of this
//! process and a counter, so that making one costs no system call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::seam::Entropy;

/// Longest id accepted from a client.
pub const MAX: usize = 64;

/// Makes the ids of one process.
#[derive(Debug)]
pub struct RequestIds {
    prefix: u32,
    next: AtomicU64,
}

impl RequestIds {
    /// Ids whose first part comes from `entropy`.
    #[must_use]
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut prefix = [0; 4];
        entropy.fill(&mut prefix);
        Self { prefix: u32::from_be_bytes(prefix), next: AtomicU64::new(1) }
    }

    /// The id a client brought, if it is one we would repeat; else a new one.
    #[must_use]
    pub fn take(&self, brought: Option<&str>) -> Arc<str> {
        match brought {
            Some(id) if is_sane(id) => id.into(),
            Some(_) | None => format!("{:08x}-{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed)).into(),
        }
    }
}

fn is_sane(id: &str) -> bool {
    (1..=MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Zeros;
    impl Entropy for Zeros {
        fn fill(&self, out: &mut [u8]) {
            out.fill(0);
        }
    }

    #[test]
    fn a_plain_id_is_kept_and_anything_else_replaced() {
        let ids = RequestIds::new(&Zeros);
        assert_eq!(&*ids.take(Some("abc-DEF_1")), "abc-DEF_1");
        assert_eq!(&*ids.take(Some("a b")), "00000000-1");
        assert_eq!(&*ids.take(Some("")), "00000000-2");
        assert_eq!(&*ids.take(Some(&"a".repeat(65))), "00000000-3");
        assert_eq!(&*ids.take(None), "00000000-4");
    }
}
