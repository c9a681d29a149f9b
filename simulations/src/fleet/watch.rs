//! Private stays private: every message of an honest site is searched for what its receiver must not hear of.
//!
//! [`Watch`] looks at bytes, not at what they mean: no machine can forget to mention something to it. It knows the first
//! eight bytes of every scope id, record id, image digest and project name that is not for all; a message to a site without the right
//! that holds one of them is a breach. Names must therefore have eight bytes at least.

use std::collections::BTreeMap;

use protocol::Digest;
use protocol::broadcast::Notice;
use protocol::record::ScopeId;

use super::charter::{Charter, SiteNumber};
use super::world::Wire;

/// See the module.
#[derive(Debug, Default)]
pub struct Watch {
    needles: BTreeMap<[u8; 8], ScopeId>,
    /// A quick no for most places: one bit for each first two bytes.
    first: Vec<u64>,
    narrow: std::collections::BTreeSet<ScopeId>,
    /// Bytes looked at.
    pub bytes: u64,
    /// Messages that said what they must not: `(from, to, scope)`.
    pub breaches: Vec<(SiteNumber, SiteNumber, ScopeId)>,
}

impl Watch {
    /// Protects the narrow scopes of a charter.
    #[must_use]
    pub fn over(charter: &Charter) -> Self {
        let mut watch = Self { first: vec![0; 1024], ..Self::default() };
        for scope in charter.scopes().filter(|scope| scope.members.is_some()) {
            watch.narrow.insert(scope.id);
            watch.protect(&scope.id.0, scope.id);
            watch.protect(scope.name.as_bytes(), scope.id);
        }
        watch
    }

    fn protect(&mut self, secret: &[u8], scope: ScopeId) {
        if let Some(needle) = secret.first_chunk::<8>() {
            let at = usize::from(u16::from_le_bytes([needle[0], needle[1]]));
            self.first[at / 64] |= 1 << (at % 64);
            self.needles.insert(*needle, scope);
        }
    }

    /// Protects a record, if its scope is.
    pub fn protect_record(&mut self, notice: &Notice) {
        if self.narrow.contains(&notice.scope) {
            self.protect(&notice.id.0, notice.scope);
        }
    }

    /// Protects the digest of an image, as bytes and as text, if its scope is.
    pub fn protect_image(&mut self, scope: ScopeId, image: &Digest) {
        if self.narrow.contains(&scope) {
            self.protect(image.hash(), scope);
            self.protect(image.hex().as_bytes(), scope);
        }
    }

    /// Looks at a message.
    pub fn look(&mut self, charter: &Charter, from: SiteNumber, to: SiteNumber, wire: &Wire) {
        let bytes = wire.bytes();
        self.bytes += bytes.len() as u64;
        for window in bytes.windows(8) {
            let at = usize::from(u16::from_le_bytes([window[0], window[1]]));
            if self.first[at / 64] >> (at % 64) & 1 == 0 {
                continue;
            }
            if let Some(scope) = window.first_chunk::<8>().and_then(|needle| self.needles.get(needle))
                && !charter.may(to, scope)
            {
                self.breaches.push((from, to, *scope));
            }
        }
    }
}
