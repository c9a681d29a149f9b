//! Passwords as people give them: from a file, from stdin, from the environment or from a question without echo.
//!
//! Never from a flag, which others on the machine can see.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::Global;
use super::connection::{password, unreadable};
use super::failure::{Code, Failure};
use super::login::Secret;

const MAX_PASSWORD: u64 = 4096;

/// The password to log in with.
///
/// # Errors
/// [`Failure`]: there is none.
pub(super) fn for_login(global: &Global, stdin: bool, question: &str) -> Result<Secret, Failure> {
    if stdin {
        return first_line(io::stdin().lock());
    }
    if global.password_file.is_some() || std::env::var_os("PORTOLAN_PASSWORD").is_some() {
        return password(global).map(Secret::from);
    }
    ask(question)
}

/// A new password for somebody: from stdin when told so, else by asking twice.
///
/// # Errors
/// [`Failure`]: there is none, or the two differ.
pub(super) fn new(stdin: bool, whose: &str) -> Result<Secret, Failure> {
    if stdin {
        return first_line(io::stdin().lock());
    }
    let first = ask(&format!("New password of {whose}: "))?;
    if first == ask("Once more: ")? { Ok(first) } else { Err(Failure::new(Code::Usage, "the two passwords differ")) }
}

/// The password in a file.
///
/// # Errors
/// [`Code::Unreadable`].
pub(super) fn from_file(path: &Path) -> Result<Secret, Failure> {
    first_line(std::fs::File::open(path).map_err(|error| unreadable(path, &error))?)
}

/// The first line, without its end.
pub(super) fn first_line(from: impl Read) -> Result<Secret, Failure> {
    let mut line = String::new();
    let read = io::BufReader::new(from.take(MAX_PASSWORD)).read_line(&mut line);
    read.map_err(|error| unreadable(Path::new("stdin"), &error))?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(Failure::new(Code::Usage, "there is no password in what was given"));
    }
    Ok(Secret::from(line.to_owned()))
}

/// Asks whoever sits there, without showing what is typed.
fn ask(question: &str) -> Result<Secret, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let cause = "there is nobody to ask for the password";
        return Err(Failure::new(Code::Usage, cause).next("--password-stdin"));
    }
    let broken = |error: io::Error| unreadable(Path::new("terminal"), &error);
    let before = tcgetattr(&stdin).map_err(|error| broken(error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    let mut err = io::stderr();
    let _ = err.write_all(question.as_bytes()).and_then(|()| err.flush());
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(|error| broken(error.into()))?;
    let line = first_line(stdin.lock());
    tcsetattr(&stdin, OptionalActions::Flush, &before).map_err(|error| broken(error.into()))?;
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line() {
        assert_eq!(first_line("s3cret\r\nmore".as_bytes()).unwrap().reveal(), "s3cret");
        assert_eq!(first_line("with space ".as_bytes()).unwrap().reveal(), "with space ");
        assert_eq!(first_line("\n".as_bytes()).unwrap_err().code, Code::Usage);
    }
}
