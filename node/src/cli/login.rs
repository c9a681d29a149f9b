//! `portolan login` and `logout`: the saved logins, in a file that only its owner reads.
//!
//! The file is `portolan/logins.json` in the user's directory for configuration. It holds passwords: there is no other
//! way to log in again by basic authentication, as for every other client of a registry.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Session;
use super::connection::{Connection, SHORT, destination, unreadable};
use super::exit::Exit;
use super::failure::{Code, Failure};
use super::secret;

/// Who one is without saying so.
pub(super) const ADMIN: &str = "admin";
/// A file of logins larger than this is none.
const MAX_FILE: u64 = 1 << 20;

/// A password or secret. Shown by nothing but [`Secret::reveal`].
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(String);

impl Secret {
    /// The secret itself: for sending.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Credentials for one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// Who.
    pub(super) user: String,
    /// By what.
    pub(super) password: Secret,
    /// Believe only certificates signed by these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<PathBuf>,
    /// Whether the password may go in clear text.
    #[serde(default)]
    pub(super) allow_plain: bool,
}

/// The logins that are saved, by URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Logins(BTreeMap<String, Login>);

impl Logins {
    /// Those of whoever runs this program; none when there is no file.
    ///
    /// # Errors
    /// [`Code::Unreadable`].
    pub(super) fn read() -> Result<Self, Failure> {
        place().map_or_else(|| Ok(Self::default()), |path| Self::read_from(&path))
    }

    fn read_from(path: &Path) -> Result<Self, Failure> {
        let file = match fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(|error| unreadable(path, &error))?,
        };
        let mode = file.metadata().map_err(|error| unreadable(path, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            let cause = format!("{} holds passwords and others can read it", path.display());
            return Err(Failure::new(Code::Unreadable, cause).next(format!("chmod 600 {}", path.display())));
        }
        serde_json::from_reader(io::Read::take(file, MAX_FILE)).map_err(|error| {
            let cause = format!("{} is no file of logins: {error}", path.display());
            Failure::new(Code::Unreadable, cause).next("remove it, then portolan login URL")
        })
    }

    /// Replaces the file as a whole, so that a crash leaves the old or the new one.
    fn write_to(&self, path: &Path) -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let draft = path.with_extension(format!("json.{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let written = file
            .write_all(serde_json::to_string_pretty(self)?.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&draft, path));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written
    }

    /// The login at `url`; of that user alone when one is named.
    pub(super) fn of(&self, url: &str, user: Option<&str>) -> Option<Login> {
        self.0.get(key(url)).filter(|login| user.is_none_or(|user| user == login.user)).cloned()
    }
}

/// A URL with and without its last slash is one.
fn key(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// Where the logins are, when there is a home for them.
fn place() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let dir = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(dir.join("portolan").join("logins.json"))
}

fn place_or_why() -> Result<PathBuf, Failure> {
    let none = || Failure::new(Code::Usage, "there is no directory for the login").next("set HOME or XDG_CONFIG_HOME");
    place().ok_or_else(none)
}

fn save(logins: &Logins, path: &Path) -> Result<(), Failure> {
    logins.write_to(path).map_err(|error| Failure::new(Code::Output, format!("{}: {error}", path.display())))
}

/// Log in at a node and keep the password for later commands, in a file only you can read.
#[derive(Debug, Args)]
pub(super) struct In {
    /// The node: https://HOST or https://HOST:PORT.
    url: String,
    /// The password is the first line of stdin. Without it: --password-file, the variable, or a question.
    #[arg(long)]
    password_stdin: bool,
}

impl In {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        destination(&self.url)?;
        let path = place_or_why()?;
        let global = session.global;
        let user = global.user.clone().unwrap_or_else(|| ADMIN.into());
        let password = secret::for_login(global, self.password_stdin, &format!("Password of {user}: "))?;
        let ca = global.ca.as_ref().map(|ca| std::path::absolute(ca).unwrap_or_else(|_| ca.clone()));
        let login = Login { user, password, ca, allow_plain: global.allow_plain };
        check(&Connection::logged_in(&self.url, global, &login)?)?;
        let mut logins = Logins::read_from(&path)?;
        let user = login.user.clone();
        logins.0.insert(key(&self.url).into(), login);
        save(&logins, &path)?;
        let data = json!({ "url": key(&self.url), "user": user });
        session.terminal.answer(&format!("{user} is logged in at {}\n", key(&self.url)), &data)?;
        Ok(Exit::Ok)
    }
}

/// Whether the node knows who comes. A robot is known and has no page of its own: 412.
fn check(connection: &Connection) -> Result<(), Failure> {
    let answer = connection.ask(Method::GET, "/api/v2.0/users/current", bytes::Bytes::new(), SHORT)?;
    match answer.status {
        StatusCode::PRECONDITION_FAILED => Ok(()),
        status if status.is_success() => Ok(()),
        _ => Err(Failure { next: None, ..connection.refusal(&answer) }),
    }
}

/// Forget the login at a node.
#[derive(Debug, Args)]
pub(super) struct Out {
    /// The node: https://HOST or https://HOST:PORT.
    url: String,
}

impl Out {
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<Exit, Failure> {
        let path = place_or_why()?;
        let mut logins = Logins::read_from(&path)?;
        let url = key(&self.url);
        if logins.0.remove(url).is_none() {
            return Err(Failure::new(Code::NotFound, format!("nobody is logged in at {url}")));
        }
        save(&logins, &path)?;
        session.terminal.answer(&format!("logged out of {url}\n"), &json!({ "url": url }))?;
        Ok(Exit::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::tests::canned;
    use super::*;

    fn login(user: &str) -> Login {
        Login { user: user.into(), password: Secret::from("Harbor12345".to_owned()), ca: None, allow_plain: false }
    }

    #[test]
    fn a_login_is_kept_where_only_its_owner_reads() {
        let dir = std::env::temp_dir().join(format!("portolan-logins-{}", std::process::id()));
        let path = dir.join("portolan/logins.json");
        assert_eq!(Logins::read_from(&path).unwrap(), Logins::default());
        let logins = Logins([("https://a.example".to_owned(), login("eve"))].into());
        logins.write_to(&path).unwrap();
        logins.write_to(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Logins::read_from(&path).unwrap();
        assert_eq!(read.of("https://a.example/", None), Some(login("eve")));
        assert_eq!(read.of("https://a.example", Some("admin")), None, "another user's password is not used");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let failure = Logins::read_from(&path).unwrap_err();
        assert!(failure.next.unwrap().starts_with("chmod 600"));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_password_is_not_shown() {
        assert!(!format!("{:?}", login("eve")).contains("Harbor12345"));
    }

    #[test]
    fn a_wrong_password_is_not_kept_and_a_robot_is_let_in() {
        assert_eq!(check(&canned(&[(401, "{}")]).0).unwrap_err().code, Code::Denied);
        check(&canned(&[(412, "{}")]).0).unwrap();
        check(&canned(&[(200, "{}")]).0).unwrap();
    }
}
