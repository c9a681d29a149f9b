//! What `serve` says when it starts: where it is, and what to type next.
//!
//! Text only; who serves prints it.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use crate::config::Config;

/// How the administrator's password came to be.
#[derive(Clone, PartialEq, Eq)]
pub enum AdminPassword {
    /// Made at random at this start; shown once.
    Made(String),
    /// Taken from the environment; not shown.
    Given,
}

impl std::fmt::Debug for AdminPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Made(_) => "Made(..)",
            Self::Given => "Given",
        })
    }
}

/// Where clients find the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its URL.
    pub url: String,
    /// What stands before the `/` of an image's name.
    pub registry: String,
    /// Whether clients will refuse it because it speaks no TLS.
    pub insecure: bool,
}

impl Address {
    /// What clients call a node that is bound to `bound`, on a machine named `host_name`.
    #[must_use]
    pub fn of(config: &Config, bound: SocketAddr, host_name: &str) -> Self {
        let tls = config.http.tls.is_some();
        if let Some(url) = &config.http.public_url {
            let url = url.trim_end_matches('/').to_owned();
            let registry = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).to_owned();
            let insecure = url.starts_with("http://") && !bound.ip().is_loopback();
            return Self { url, registry, insecure };
        }
        let host = match bound.ip() {
            ip if ip.is_unspecified() && !host_name.is_empty() => host_name.to_owned(),
            ip if ip.is_unspecified() => "127.0.0.1".into(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let registry = format!("{host}:{}", bound.port());
        let url = format!("{}://{registry}", if tls { "https" } else { "http" });
        // Clients take HTTP from loopback addresses without being asked.
        Self { url, registry, insecure: !tls && !bound.ip().is_loopback() }
    }
}

/// What is said when a node starts on an empty data directory.
#[must_use]
pub fn first_start(address: &Address, data: &str, password: &AdminPassword) -> String {
    let registry = &address.registry;
    let mut text = format!("Portolan is at {} and keeps its data in {data}.\n\n", address.url);
    text.push_str("  user      admin\n");
    let _ = match password {
        AdminPassword::Made(password) => write!(text, "  password  {password}\n\nIt is shown this once. "),
        AdminPassword::Given => write!(text, "  password  as given in PORTOLAN_ADMIN_PASSWORD\n\n"),
    };
    let _ = write!(
        text,
        "Push an image and pull it:\n\n  \
         docker login {registry} --username admin\n  \
         docker tag IMAGE {registry}/library/hello:1\n  \
         docker push {registry}/library/hello:1\n  \
         docker pull {registry}/library/hello:1\n"
    );
    if address.insecure {
        let _ = write!(text, "\n{}", insecure(address));
    }
    text.push_str("\nThen: portolan status, portolan doctor, portolan project create NAME\n");
    text
}

/// What is said at any later start.
#[must_use]
pub fn started(address: &Address, data: &str) -> String {
    let mut text = format!("Portolan is at {} and keeps its data in {data}.\n", address.url);
    if address.insecure {
        text.push_str(&insecure(address));
    }
    text.push_str("Look around: portolan status, portolan doctor\n");
    text
}

fn insecure(address: &Address) -> String {
    format!(
        "It speaks no TLS: passwords travel in clear text, and Docker wants\n  \
         \"insecure-registries\": [\"{}\"]\nin its daemon.json. Set http.tls.cert and http.tls.key, or add TLS before it.\n",
        address.registry
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tls;

    fn address(listen: &str, change: impl FnOnce(&mut Config)) -> Address {
        let mut config = Config::default();
        change(&mut config);
        Address::of(&config, listen.parse().unwrap(), "pi")
    }

    #[test]
    fn clients_get_an_address_they_can_use() {
        assert_eq!(address("127.0.0.1:5000", |_| {}).url, "http://127.0.0.1:5000");
        let open = address("0.0.0.0:5000", |_| {});
        assert_eq!((open.registry.as_str(), open.insecure), ("pi:5000", true));
        let tls = |config: &mut Config| config.http.tls = Some(Tls { cert: "c".into(), key: "k".into() });
        let secure = address("[::]:443", tls);
        assert_eq!((secure.url.as_str(), secure.insecure), ("https://pi:443", false));
        let proxied = address("10.0.0.1:5000", |config| config.http.public_url = Some("https://r.example.org/".into()));
        assert_eq!((proxied.registry.as_str(), proxied.insecure), ("r.example.org", false));
        assert_eq!(address("[::1]:5000", |_| {}).registry, "[::1]:5000");
    }

    #[test]
    fn the_first_start_shows_the_password_once_and_what_to_type() {
        let here = address("127.0.0.1:5000", |_| {});
        let text = first_start(&here, "portolan-data", &AdminPassword::Made("pw-123".into()));
        assert_eq!(text.matches("pw-123").count(), 1);
        assert!(text.contains("docker push 127.0.0.1:5000/library/hello:1"), "{text}");
        assert!(!text.contains("insecure"));
        let given = first_start(&here, "portolan-data", &AdminPassword::Given);
        assert!(given.contains("PORTOLAN_ADMIN_PASSWORD"));
        assert!(!format!("{:?}", AdminPassword::Made("pw-123".into())).contains("pw-123"));
    }

    #[test]
    fn later_starts_are_shorter_and_warn_of_clear_text() {
        let text = started(&address("0.0.0.0:5000", |_| {}), "d");
        assert!(text.contains("\"insecure-registries\": [\"pi:5000\"]") && !text.contains("password  "), "{text}");
        assert_eq!(started(&address("127.0.0.1:5000", |_| {}), "d").lines().count(), 2);
    }
}
