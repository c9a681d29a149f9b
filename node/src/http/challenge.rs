//! `WWW-Authenticate`: what would help one who was not let in, and where to get it.
//!
//! The realm is the token service under the name the client used: the configured public URL, else the `Host` it sent,
//! taken only when it is a host and a port and nothing else. Forwarding headers are believed by nobody: the scheme is
//! the listener's.

use http::HeaderValue;
use protocol::RepositoryName;

use crate::auth::Action;
use crate::auth::authenticator::SERVICE;

/// What a token would have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    scope: String,
    error: Option<&'static str>,
    basic: bool,
}

impl Challenge {
    /// For an action in a repository. A pusher gets the right to pull with it, as clients expect.
    #[must_use]
    pub fn repository(name: &RepositoryName, action: Action) -> Self {
        let actions = match action {
            Action::Pull => "pull",
            Action::Push => "pull,push",
            Action::Delete => "delete",
        };
        Self { scope: format!("repository:{name}:{actions}"), error: None, basic: false }
    }

    /// For the catalog.
    #[must_use]
    pub fn catalog() -> Self {
        Self { scope: "registry:catalog:*".into(), error: None, basic: false }
    }

    /// For administration, where tokens of registry clients don't help.
    #[must_use]
    pub fn administration() -> Self {
        Self { scope: String::new(), error: None, basic: true }
    }

    /// Adds the right to pull elsewhere (the source of a mount).
    #[must_use]
    pub fn and_pull(mut self, name: &RepositoryName) -> Self {
        self.scope.push_str(" repository:");
        self.scope.push_str(name.as_str());
        self.scope.push_str(":pull");
        self
    }

    /// The token shown is good and holds too little.
    #[must_use]
    pub const fn insufficient(mut self) -> Self {
        self.error = Some("insufficient_scope");
        self
    }

    /// The credentials shown are not good.
    #[must_use]
    pub const fn invalid_token(mut self) -> Self {
        self.error = Some("invalid_token");
        self
    }

    /// The header, for a token service below `base` (`https://host`).
    #[must_use]
    pub fn header(&self, base: &str) -> Option<HeaderValue> {
        if self.basic {
            return Some(HeaderValue::from_static("Basic realm=\"portolan\", charset=\"UTF-8\""));
        }
        let mut text = format!("Bearer realm=\"{base}/service/token\",service=\"{SERVICE}\"");
        for (key, value) in [("scope", self.scope.as_str()), ("error", self.error.unwrap_or_default())] {
            if !value.is_empty() {
                text.push_str(&format!(",{key}=\"{value}\""));
            }
        }
        HeaderValue::try_from(text).ok()
    }
}

/// Whether a `Host` header is a host (name, IPv4, bracketed IPv6) and perhaps a port: what may stand in a realm.
#[must_use]
pub fn is_host(text: &str) -> bool {
    if text.is_empty() || text.len() > 260 {
        return false;
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((inside, port)) => {
                let good = inside.parse::<std::net::Ipv6Addr>().is_ok();
                (
                    if good { inside } else { "" },
                    if port.is_empty() { None } else { port.strip_prefix(':').or(Some("")) },
                )
            }
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let bracketed = text.starts_with('[');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
    let host_good = !host.is_empty() && (bracketed || host.bytes().all(plain));
    host_good && port.is_none_or(|p| !p.is_empty() && p.len() <= 5 && p.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_reads_as_clients_expect() {
        let name: RepositoryName = "a/b".parse().unwrap();
        let text = |c: Challenge| c.header("https://r.example:5000").unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            text(Challenge::repository(&name, Action::Push)),
            r#"Bearer realm="https://r.example:5000/service/token",service="portolan",scope="repository:a/b:pull,push""#
        );
        assert_eq!(
            text(Challenge::repository(&name, Action::Pull).insufficient()),
            r#"Bearer realm="https://r.example:5000/service/token",service="portolan",scope="repository:a/b:pull",error="insufficient_scope""#
        );
        assert_eq!(
            text(Challenge::default()),
            r#"Bearer realm="https://r.example:5000/service/token",service="portolan""#
        );
        let other = "c/d".parse().unwrap();
        assert!(
            text(Challenge::repository(&name, Action::Push).and_pull(&other))
                .contains("repository:a/b:pull,push repository:c/d:pull")
        );
        assert!(text(Challenge::catalog()).contains(r#"scope="registry:catalog:*""#));
    }

    #[test]
    fn only_hosts_become_realms() {
        for good in ["a", "a.b:5000", "127.0.0.1:1", "[::1]:5000", "[fe80::1]", "r_1.x"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", "a b", "a\"", "a/b", "a:b", "a:", "a:123456", "[::1", "[x]:1", "[::1]x", "a@b", "é", ":80"] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
