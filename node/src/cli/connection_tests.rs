//! What a command makes of each answer, and a client without a network for the tests of commands.

use std::sync::{Arc, Mutex};

use http::Response;

use super::*;
use crate::cli::exit::Exit;
use crate::world::outbound::Answered;

/// A client that answers from a list and keeps what was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Canned {
    answers: Arc<Mutex<Vec<(u16, String)>>>,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl OutboundHttp for Canned {
    fn request<'a>(&'a self, _: &'a Destination, request: Request<Bytes>, _: Bounds) -> Answered<'a> {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let line = format!("{} {} {body}", request.method(), request.uri());
        self.asked.lock().unwrap().push(line.trim_end().into());
        let (status, body) = self.answers.lock().unwrap().remove(0);
        Box::pin(async move { Ok(Response::builder().status(status).body(body.into()).unwrap()) })
    }
}

/// A connection to a node that answers so.
pub(crate) fn canned(answers: &[(u16, &str)]) -> (Connection, Canned) {
    let client = Canned::default();
    *client.answers.lock().unwrap() = answers.iter().map(|(status, body)| (*status, (*body).into())).collect();
    let to = Destination::Socket("portolan.sock".into());
    (Connection::with(Box::new(client.clone()), to, None).unwrap(), client)
}

#[test]
fn statuses_become_exit_codes() {
    let cases = [
        (401, Exit::Denied),
        (403, Exit::Denied),
        (404, Exit::NotFound),
        (409, Exit::Conflict),
        (400, Exit::Failure),
        (503, Exit::Failure),
    ];
    for (status, exit) in cases {
        let (connection, _) = canned(&[(status, "{}")]);
        assert_eq!(connection.get::<Value>("/x").unwrap_err().code.exit(), exit, "{status}");
    }
}

#[test]
fn what_the_node_said_is_passed_on() {
    let (connection, _) = canned(&[(409, r#"{"errors":[{"code":"CONFLICT","message":"it is there"}]}"#)]);
    assert_eq!(connection.get::<Value>("/x").unwrap_err().cause, "it is there (CONFLICT)");
    let (connection, _) = canned(&[(200, "<html>")]);
    assert_eq!(connection.get::<Value>("/x").unwrap_err().code, Code::Unexpected);
}

#[test]
fn a_node_that_is_not_running_is_unreachable() {
    let connection = Connection::local(Path::new("/nowhere")).unwrap();
    let failure = connection.get::<Value>("/x").unwrap_err();
    assert_eq!(failure.code.exit(), Exit::Unreachable);
    assert!(failure.cause.starts_with("/nowhere/portolan.sock: can't connect: "), "{}", failure.cause);
    assert!(failure.next.unwrap().contains("portolan serve"));
}

#[test]
fn urls_of_nodes() {
    let tls = |host: &str, port| Destination::Tls { host: host.into(), port };
    assert_eq!(destination("https://example.org").unwrap(), tls("example.org", 443));
    assert_eq!(destination("https://[::1]:5000/").unwrap(), tls("::1", 5000));
    let plain = Destination::Plain { host: "127.0.0.1".into(), port: 5000 };
    assert_eq!(destination("http://127.0.0.1:5000").unwrap(), plain);
    for bad in ["example.org", "ftp://example.org", "https://", "https://a:b@example.org", "https://example.org/x"] {
        assert_eq!(destination(bad).unwrap_err().code, Code::Usage, "{bad}");
    }
}

#[test]
fn a_password_comes_from_a_file_and_is_not_shown() {
    let path = std::env::temp_dir().join(format!("portolan-password-{}", std::process::id()));
    std::fs::write(&path, "s3cret\n").unwrap();
    let global = Global { password_file: Some(path.clone()), ..Global::default() };
    assert_eq!(password(&global).unwrap(), "s3cret");
    std::fs::remove_file(&path).unwrap();
    let header = basic("admin", "s3cret").unwrap();
    assert_eq!(header, "Basic YWRtaW46czNjcmV0");
    assert!(!format!("{header:?}").contains("YWRt"));
    assert_eq!(password(&global).unwrap_err().code, Code::Unreadable);
}

#[test]
fn a_password_does_not_leave_in_clear_text() {
    let failure = Connection::remote("http://registry.example.org", &Global::default()).unwrap_err();
    assert_eq!(failure.code, Code::Usage);
    assert!(failure.cause.contains("clear text"));
}
