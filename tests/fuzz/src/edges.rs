//! Where strangers' text comes in: paths, queries and credentials of requests, and the configuration file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use node::auth::{Credentials, Secret};
use node::config::load::parse_text;
use node::config::{Config, is_loopback, keys};
use node::http::credentials::{self, Malformed};
use node::http::query::{self, Query};
use node::http::v2::route::Route;
use protocol::RepositoryName;

use super::text;

/// Paths below `/v2/`: each route has one spelling (two for a name in `library`), so nobody in front of the node and
/// nobody inside it can read a path in another way.
pub fn route(data: &[u8]) {
    let Some(path) = text(data) else { return };
    let Ok(route) = Route::parse(path) else { return };
    assert!(path.bytes().all(|b| b.is_ascii_graphic() && !b"%\\?#;".contains(&b)), "{path:?}");
    assert!(!path.contains("//") && !path.split('/').any(|segment| segment == "." || segment == ".."), "{path:?}");
    let spelt = |name: &str| match &route {
        Route::Base => "/v2/".to_owned(),
        Route::Catalog => "/v2/_catalog".to_owned(),
        Route::Tags { .. } => format!("/v2/{name}/tags/list"),
        Route::Manifest { reference, .. } => format!("/v2/{name}/manifests/{reference}"),
        Route::Blob { digest, .. } => format!("/v2/{name}/blobs/{digest}"),
        Route::Uploads { .. } => format!("/v2/{name}/blobs/uploads/"),
        Route::Upload { id, .. } => format!("/v2/{name}/blobs/uploads/{id}"),
        Route::Referrers { digest, .. } => format!("/v2/{name}/referrers/{digest}"),
    };
    let name = route.repository().map_or("", RepositoryName::as_str);
    let short = name.strip_prefix("library/").filter(|rest| !rest.contains('/'));
    assert!(path == spelt(name) || short.is_some_and(|short| path == spelt(short)), "{path:?} was read as {route:?}");
    assert_eq!(Route::parse(&spelt(name)), Ok(route.clone()), "written and read again");
    assert!(!route.methods().is_empty() && !route.label().is_empty());
}

/// Queries: bounded, decoded once, and what is written into a query is read from it as one value.
pub fn query(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let mut written = String::from("last=");
    query::encode(&mut written, text);
    assert!(written.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"&#".contains(&b)), "{written:?}");
    assert_eq!(
        Query::parse(Some(&written)).and_then(|query| Ok(query.one("last")?.map(str::to_owned))),
        Ok(Some(text.into()))
    );

    let Ok(query) = Query::parse(Some(text)) else { return };
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).count();
    for name in ["n", "last", "digest", "mount", "from", "artifactType", "scope", ""] {
        let all = query.all(name).count();
        assert!(all <= pairs && all <= 256);
        assert_eq!(query.one(name).is_ok(), all <= 1, "{name} stands {all} times");
        assert!(query.all(name).all(|value| value.len() <= text.len()));
    }
    assert!(pairs <= 256);
}

/// The `Authorization` header: what is taken is what was written, and no secret is ever shown.
pub fn credentials(data: &[u8]) {
    let parsed = credentials::parse(data);
    match &parsed {
        Err(Malformed) => {}
        Ok(_) if data.len() > credentials::MAX => panic!("{} bytes were read", data.len()),
        Ok(Credentials::None) => {}
        Ok(Credentials::LocalOperator) => panic!("a header made its sender the machine's operator"),
        Ok(Credentials::Session(_)) => panic!("a header that is no cookie named a session"),
        Ok(Credentials::Bearer(secret)) => {
            let token = secret.reveal();
            assert!(!token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic() && !b"\"',;:\\".contains(&b)));
            assert!(text(data).is_some_and(|text| text.trim_end_matches([' ', '\t']).ends_with(token)));
            assert_eq!(credentials::parse(format!("Bearer {token}").as_bytes()), parsed);
            let other = Credentials::Bearer(Secret::new("another"));
            assert_eq!(format!("{parsed:?}"), format!("{:?}", Ok::<_, Malformed>(other)), "a secret was shown");
        }
        Ok(Credentials::Basic { name, password }) => {
            let secret = password.reveal();
            assert!(!name.contains([':', '\0']) && !secret.contains('\0'));
            assert!(!name.is_empty() || !secret.is_empty());
            let header = format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")));
            if header.len() <= credentials::MAX {
                assert_eq!(credentials::parse(header.as_bytes()), parsed);
            }
            let other = Credentials::Basic { name: name.clone(), password: Secret::new("another") };
            assert_eq!(format!("{parsed:?}"), format!("{:?}", Ok::<_, Malformed>(other)), "a secret was shown");
        }
    }
}

/// The configuration file: refused with words and places, or taken as values that keep every rule, know where they came
/// from, and are the same when they are written and read again.
pub fn config(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match parse_text(text) {
        Ok(loaded) => {
            keeps_the_rules(&loaded.config);
            for (key, origin) in &loaded.origins {
                assert!(keys::all().key(key).is_some(), "{key} has a value and is no key");
                assert!(origin.place().is_none_or(|place| place.line <= text.split('\n').count()), "{key}: {origin:?}");
            }
            let written = toml::to_string(&loaded.config);
            let Ok(written) = written else { panic!("can't be written: {written:?}") };
            let again = parse_text(&written);
            assert!(again.as_ref().is_ok_and(|again| again.config == loaded.config), "{written}\n{again:?}");
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a word");
            for error in errors {
                assert!(!error.problem.is_empty() && error.to_string().contains(&error.problem));
                assert!(error.origin.place().is_none_or(|place| place.line <= text.split('\n').count()), "{error:?}");
            }
        }
    }
}

fn keeps_the_rules(config: &Config) {
    let http = &config.http;
    assert!(is_loopback(&http.listen) || http.tls.is_some() || http.plain, "{} is open and plain", http.listen);
    assert!((1..=300_000).contains(&config.auth.token_ttl.0.as_millis()));
    assert!((1..=100).contains(&config.storage.refuse_uploads_at));
    assert!(!config.storage.data.as_os_str().is_empty());
    let limits = &config.limits;
    for number in [limits.connections, limits.uploads, limits.page, limits.password_checks] {
        assert_ne!(number, 0);
    }
    assert_ne!(limits.blob.0, 0);
    assert!(!limits.head_timeout.0.is_zero() && !limits.idle_timeout.0.is_zero());
}
