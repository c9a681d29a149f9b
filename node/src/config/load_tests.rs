//! What loading promises: precedence, origins, and every error at once, each with its place.

use super::*;
use crate::config::{ByteSize, Sync};

fn text(path: &str, text: &str) -> Text {
    Text { path: path.into(), text: text.into() }
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn problems(toml: &str) -> Vec<String> {
    parse_text(toml).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_given_is_the_defaults() {
    let loaded = load(&Sources::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.origins.values().all(|origin| *origin == Origin::Default));
    assert!(loaded.origins.contains_key("http.listen") && !loaded.origins.contains_key("http.public_url"));
}

#[test]
fn flag_beats_env_beats_drop_in_beats_file_beats_default() {
    let mut sources = Sources {
        file: Some(text("node.toml", "[http]\nlisten = '127.0.0.1:1'")),
        drop_ins: vec![text("node.toml.d/a.toml", "http.listen = '127.0.0.1:2'")],
        env: env(&[("PORTOLAN__HTTP__LISTEN", "127.0.0.1:3")]),
        flags: vec![Flag { name: "--listen", key: "http.listen", value: "127.0.0.1:4".into() }],
    };
    let seen = |sources: &Sources| {
        let loaded = load(sources).unwrap();
        (loaded.config.http.listen, loaded.origins["http.listen"].to_string())
    };
    assert_eq!(seen(&sources), ("127.0.0.1:4".into(), "flag --listen".into()));
    sources.flags.clear();
    assert_eq!(seen(&sources), ("127.0.0.1:3".into(), "env PORTOLAN__HTTP__LISTEN".into()));
    sources.env.clear();
    assert_eq!(seen(&sources), ("127.0.0.1:2".into(), "drop-in node.toml.d/a.toml:1".into()));
    sources.drop_ins.clear();
    assert_eq!(seen(&sources), ("127.0.0.1:1".into(), "file node.toml:2".into()));
    sources.file = None;
    assert_eq!(seen(&sources), ("127.0.0.1:5000".into(), "default".into()));
}

#[test]
fn drop_ins_win_by_the_order_of_their_names_not_of_reading() {
    let sources = Sources {
        drop_ins: vec![
            text("20-late.toml", "limits.page = 20"),
            text("10-early.toml", "limits.page = 10\nlimits.uploads = 7"),
        ],
        ..Sources::default()
    };
    let loaded = load(&sources).unwrap();
    assert_eq!((loaded.config.limits.page, loaded.config.limits.uploads), (20, 7));
    assert_eq!(loaded.origins["limits.uploads"].to_string(), "drop-in 10-early.toml:2");
}

#[test]
fn variables_nest_by_double_underscores_and_are_read_as_toml_or_text() {
    let pairs = [
        ("PORTOLAN__HTTP__TLS__CERT", "/c.pem"),
        ("PORTOLAN__HTTP__TLS__KEY", "'/k.pem'"),
        ("PORTOLAN__HTTP__PLAIN", "true"),
        ("PORTOLAN__LIMITS__PAGE", "50"),
        ("PORTOLAN__STORAGE__DATA", "1234"),
        ("PORTOLAN__STORAGE__METADATA_CACHE", "8MiB"),
        ("PORTOLAN__STORAGE__SYNC", "off"),
        ("PORTOLAN_CONFIG", "not ours to read"),
        ("HOME", "/root"),
    ];
    let config = load(&Sources { env: env(&pairs), ..Sources::default() }).unwrap().config;
    let tls = config.http.tls.unwrap();
    assert_eq!((tls.cert.to_str(), tls.key.to_str()), (Some("/c.pem"), Some("/k.pem")));
    assert!(config.http.plain);
    assert_eq!(config.limits.page, 50);
    assert_eq!(config.storage.data.to_str(), Some("1234"));
    assert_eq!(config.storage.metadata_cache, ByteSize(8 << 20));
    assert_eq!(config.storage.sync, Sync::Off);
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_what_was_meant() {
    assert_eq!(
        problems("[http]\nlisten = '127.0.0.1:1'\n  listne = 1\n"),
        ["config.toml:3:3: `http.listne`: no such key; did you mean `http.listen`?"]
    );
    assert_eq!(problems("[htpp]\nlisten = 1\n"), ["config.toml:1:2: `htpp`: no such key; did you mean `http`?"]);
    let error = load(&Sources { env: env(&[("PORTOLAN__HTTP__LISTNE", "x")]), ..Sources::default() }).unwrap_err();
    assert_eq!(
        error[0].to_string(),
        "env PORTOLAN__HTTP__LISTNE: `http.listne`: no such key; did you mean `PORTOLAN__HTTP__LISTEN`?"
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let toml = "\
[http]
listen = 5000
plain = 'yes'
[gc]
every = '10 minutes'
blob_lease = '0s'
[limits]
page = -1
blob = 7
[storage]
sync = 'maybe'
refuse_uploads_at = 300
[log]
fromat = 'json'
";
    let sources =
        Sources { file: Some(text("f", toml)), env: env(&[("PORTOLAN__AUTH__TOKEN_TTL", "1h")]), ..Sources::default() };
    let errors = load(&sources).unwrap_err();
    let mut keys: Vec<_> = errors.iter().filter_map(|error| error.key.as_deref()).collect();
    keys.sort_unstable();
    let expected = [
        "auth.token_ttl",
        "gc.blob_lease",
        "gc.every",
        "http.listen",
        "http.plain",
        "limits.blob",
        "limits.page",
        "log.fromat",
        "storage.refuse_uploads_at",
        "storage.sync",
    ];
    assert_eq!(keys, expected);
    let lease = errors.iter().find(|error| error.key.as_deref() == Some("gc.blob_lease")).unwrap();
    assert_eq!(lease.to_string(), "f:6:1: `gc.blob_lease`: must not be zero");
    let every = errors.iter().find(|error| error.key.as_deref() == Some("gc.every")).unwrap();
    assert!(every.to_string().starts_with("f:5:1: `gc.every`: \"10 minutes\" is not a length of time"), "{every}");
}

#[test]
fn a_text_that_is_not_toml_still_gets_its_other_errors_told() {
    let errors = problems("[http]\nlisten = \n[log]\nfilterr = 'x'\n");
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("config.toml:2:"), "{}", errors[0]);
    assert!(errors[1].starts_with("config.toml:4:1: `log.filterr`"), "{}", errors[1]);
}

#[test]
fn a_wrong_form_is_refused_where_it_stands() {
    assert_eq!(problems("http = 1"), ["config.toml:1:1: `http`: is a table, not a value"]);
    assert!(problems("[http]\nlisten = ['a']")[0].starts_with("config.toml:2:1: `http.listen`: takes a text"));
    assert!(problems("limits.page = 99999999999999999999")[0].contains("99999999999999999999"));
    assert!(problems("limits.page = 1.5")[0].contains("takes a whole number from 0 to 4294967295, not float 1.5"));
}

#[test]
fn half_of_tls_is_refused() {
    let errors = problems("[http.tls]\ncert = 'c.pem'\n");
    assert_eq!(errors, ["config.toml:2:1: `http.tls.key`: must be set too, since [http.tls] is"]);
}

#[test]
fn no_text_makes_it_panic() {
    for text in
        ["", "\u{0}", "[", "[[http]]", "a.b.c = 1", "http.listen.x = 1", "é = 1", "[http]\n[http]\n", "= =", "'"]
    {
        let _ = parse_text(text);
    }
}
