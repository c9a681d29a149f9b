//! Tokens of our own token service.
//!
//! `v1.PAYLOAD.MAC`, both base64url, the MAC HMAC-SHA256 under a key only this site has. There is no header that names
//! an algorithm or a key, so there is none to confuse (CVE-2025-24976, CVE-2026-33322): see
//! `docs/decisions/0004-tokens.md`. A token is good for minutes, at this site, for its scopes, and only while the
//! account's generation is the one it carries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Scope;

/// Longest token looked at.
pub(super) const MAX_LEN: usize = 16 * 1024;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    /// Whom it is for: the service.
    #[serde(rename = "aud")]
    pub(super) audience: Arc<str>,
    /// The account; `None`: nobody logged in.
    #[serde(rename = "sub")]
    pub(super) account: Option<Arc<str>>,
    /// The account's generation when it was issued.
    #[serde(rename = "gen")]
    pub(super) generation: u64,
    /// Until when it is good.
    #[serde(rename = "exp")]
    pub(super) expires: Timestamp,
    /// What it is limited to.
    #[serde(rename = "scp", with = "scopes_as_text")]
    pub(super) scopes: Arc<[Scope]>,
}

mod scopes_as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use std::sync::Arc;

    use super::Scope;

    pub(super) fn serialize<S: Serializer>(scopes: &[Scope], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(scopes.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[Scope]>, D::Error> {
        let texts: Vec<String> = Vec::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
    }
}

/// Tokens remembered as read; more begin anew.
const REMEMBERED: usize = 4096;

/// Reads tokens, and remembers what the last ones said: a client shows one token on every request of a pull. Each is
/// verified each time; only reading its text is spared.
#[derive(Debug)]
pub(super) struct Reader {
    key: Key,
    read: Mutex<HashMap<[u8; 32], Arc<Claims>>>,
}

impl Reader {
    /// A reader of what `key` signs.
    pub(super) fn new(key: Key) -> Self {
        Self { key, read: Mutex::default() }
    }

    /// See [`Key::sign`].
    pub(super) fn sign(&self, claims: &Claims) -> Option<String> {
        self.key.sign(claims)
    }

    /// Reads a token: `None` unless our key made it. Expiry and audience are the caller's to judge.
    pub(super) fn open(&self, token: &str) -> Option<Arc<Claims>> {
        let (payload, mac) = self.key.verified(token)?;
        if let Some(claims) = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(&mac) {
            return Some(Arc::clone(claims));
        }
        let claims = Arc::new(read(payload)?);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= REMEMBERED {
            read.clear();
        }
        read.insert(mac, Arc::clone(&claims));
        Some(claims)
    }
}

fn read(payload: &str) -> Option<Claims> {
    serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()
}

/// The key that makes and checks tokens.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[key]")
    }
}

impl Key {
    /// A key from its bytes; `None` when there are too few.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < 32 {
            return None;
        }
        <Hmac<Sha256> as KeyInit>::new_from_slice(bytes).ok().map(Self)
    }

    /// The MAC of a message.
    pub(super) fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(tag).is_ok()
    }

    /// Writes a token.
    pub(super) fn sign(&self, claims: &Claims) -> Option<String> {
        let payload = format!("v1.{}", BASE64.encode(serde_json::to_vec(claims).ok()?));
        let mac = BASE64.encode(self.mac(payload.as_bytes()));
        Some(format!("{payload}.{mac}"))
    }

    /// Reads a token: `None` unless this key made it. Expiry and audience are the caller's to judge.
    #[cfg(test)]
    pub(super) fn open(&self, token: &str) -> Option<Claims> {
        self.verified(token).and_then(|(payload, _)| read(payload))
    }

    /// The payload of a token this key made, and its MAC.
    fn verified<'t>(&self, token: &'t str) -> Option<(&'t str, [u8; 32])> {
        if token.len() > MAX_LEN {
            return None;
        }
        let (signed, mac) = token.rsplit_once('.')?;
        let mut tag = [0; 32];
        let len = BASE64.decode_slice(mac, &mut tag).ok()?;
        if len != tag.len() || !self.verify(signed.as_bytes(), &tag) {
            return None;
        }
        Some((signed.strip_prefix("v1.")?, tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims() -> Claims {
        Claims {
            audience: "portolan".into(),
            account: Some("admin".into()),
            generation: 3,
            expires: Timestamp(99),
            scopes: [r"repository:a/b:pull,push".parse().unwrap(), Scope::Catalog].into(),
        }
    }

    #[test]
    fn what_was_signed_is_read_back_by_the_same_key_only() {
        let key = Key::new(&[7; 32]).unwrap();
        let token = key.sign(&claims()).unwrap();
        assert_eq!(key.open(&token).unwrap(), claims());
        assert!(Key::new(&[8; 32]).unwrap().open(&token).is_none());
        assert!(Key::new(b"short").is_none());
    }

    #[test]
    fn a_token_of_another_maker_is_refused_whatever_its_header_says() {
        let key = Key::new(&[7; 32]).unwrap();
        let none = BASE64.encode(r#"{"alg":"none"}"#);
        let payload = BASE64.encode(serde_json::to_vec(&claims()).unwrap());
        for forged in [
            format!("{none}.{payload}."),
            format!("v1.{payload}."),
            format!("v1.{payload}.{}", BASE64.encode([0; 32])),
            format!("v1.{payload}"),
            "v1..".to_owned(),
            String::new(),
        ] {
            assert!(key.open(&forged).is_none(), "{forged}");
        }
    }

    proptest! {
        #[test]
        fn any_change_of_a_token_ends_it(at in 0usize..200, to in "[A-Za-z0-9._-]") {
            let key = Key::new(&[7; 32]).unwrap();
            let token = key.sign(&claims()).unwrap();
            let at = at % token.len();
            let mut changed = token.clone();
            changed.replace_range(at..=at, &to);
            // The last character of a base64 text may carry bits that are not read.
            prop_assume!(changed != token);
            if let Some(read) = key.open(&changed) { prop_assert_eq!(read, claims()); }
        }

        #[test]
        fn any_text_is_judged(text in ".{0,300}") {
            prop_assert!(Key::new(&[7; 32]).unwrap().open(&text).is_none());
        }
    }
}
