//! Runs programs: [`Daemon`] is one that stays, [`run`] is one that ends. A `Daemon` owns its process and its log.
//!
//! Only processes started here are ever signalled, always by their own id. A daemon's kernel-side leash
//! (`setpriv --pdeathsig`) ends it even when the test process itself is killed.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use crate::{tools, wait};

/// How long one client command may take: generous for two busy cores, short enough that a hang is seen.
const CLIENT_LIMIT: &str = "180";

/// What a daemon gets between the polite signal and the final one.
const GRACE: Duration = Duration::from_secs(20);

/// A signal by the name that `kill` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Please finish and leave.
    Term,
    /// Gone at once, with no chance to tidy up.
    Kill,
}

/// A long-running process started by a test. Dropping it ends it.
///
/// The leash is tied to the thread that started the process, so a daemon lives in the test that needs it, never in a
/// static shared by several.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
    /// What drop sends first: engines need `Term` to take their own children along.
    farewell: Signal,
}

impl Daemon {
    /// Starts `program` with `arguments`, both output streams appended to `log`.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        environment: &[(String, String)],
        log: &Path,
        farewell: Signal,
    ) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("the log opens");
        let leash = match farewell {
            Signal::Term => "TERM",
            Signal::Kill => "KILL",
        };
        let mut command = Command::new(tools::require("setpriv"));
        // What a developer's shell says to a node of theirs is not meant for this one.
        for (inherited, _) in env::vars_os() {
            if inherited.to_string_lossy().starts_with("PORTOLAN_") {
                command.env_remove(inherited);
            }
        }
        let child = command
            .args(["--pdeathsig", leash])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the log's handle is copied"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} did not start: {error}"));
        Self { name: name.to_owned(), child, log: log.to_owned(), farewell }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the daemon wrote so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until `ready` says so; panics with the log when the daemon ends first or takes longer than `limit`.
    pub fn await_ready<T>(&mut self, limit: Duration, ready: impl FnMut() -> Option<T>) -> T {
        match self.try_await_ready(limit, ready) {
            Some(value) => value,
            None => panic!("{} ended before it was ready; its log:\n{}", self.name, self.log()),
        }
    }

    /// As [`Daemon::await_ready`], but `None` when the daemon ends first.
    pub fn try_await_ready<T>(&mut self, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
        let outcome = wait::within(limit, || {
            let ended = self.child.try_wait().expect("the child can be asked");
            if ended.is_some() { Some(None) } else { ready().map(Some) }
        });
        outcome.unwrap_or_else(|| panic!("{} is not ready after {limit:?}; its log:\n{}", self.name, self.log()))
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_none()
    }

    /// Sends `signal` to this process alone.
    pub fn signal(&mut self, signal: Signal) {
        if !self.is_running() {
            return;
        }
        match signal {
            Signal::Kill => self.child.kill().expect("the child can be killed"),
            // The standard library can only kill; the polite signal takes the command.
            Signal::Term => {
                let sent = Command::new("kill").args(["-TERM", &self.id().to_string()]).status();
                assert!(sent.is_ok_and(|status| status.success()), "{} could not be asked to leave", self.name);
            }
        }
    }

    /// Waits for the process to end, and panics with its log when it does not.
    pub fn await_end(&mut self, limit: Duration) -> ExitStatus {
        let ended = wait::within(limit, || self.child.try_wait().expect("the child can be asked"));
        ended.unwrap_or_else(|| panic!("{} did not end within {limit:?}; its log:\n{}", self.name, self.log()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let asked = self.farewell == Signal::Term && self.is_running();
        if asked {
            let _ = Command::new("kill").args(["-TERM", &self.id().to_string()]).status();
            let _ = wait::within(GRACE, || self.child.try_wait().ok().flatten());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "--- last lines of {}:\n{}", self.name, tail.join("\n"));
        }
    }
}

/// What a finished command left behind, with what was asked of it, for messages.
#[derive(Debug)]
pub struct Finished {
    asked: String,
    output: Output,
}

impl Finished {
    /// Standard output as text.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// Both streams as text: clients disagree on which one carries their message.
    pub fn everything(&self) -> String {
        format!("{}{}", self.stdout(), String::from_utf8_lossy(&self.output.stderr))
    }

    /// Whether the command reported success.
    pub fn succeeded(&self) -> bool {
        self.output.status.success()
    }

    /// The exit code, when it ended by one.
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// Panics with everything said unless the command succeeded.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.succeeded(), "`{}` failed ({}):\n{}", self.asked, self.output.status, self.everything());
        self
    }

    /// Panics with everything said if the command succeeded; otherwise gives what it said.
    #[track_caller]
    pub fn expect_failure(self) -> String {
        assert!(!self.succeeded(), "`{}` succeeded but must not:\n{}", self.asked, self.everything());
        // `timeout` reports its own end of patience by 124: a hang is never the refusal a story looks for.
        assert_ne!(self.output.status.code(), Some(124), "`{}` hung", self.asked);
        self.everything()
    }
}

/// Runs a command to its end, within a fixed limit, and gives what it said.
pub fn run(program: &Path, arguments: &[String], environment: &[(String, String)], folder: Option<&Path>) -> Finished {
    let mut command = Command::new(tools::require("timeout"));
    command.args(["--kill-after=5", CLIENT_LIMIT]).arg(program).args(arguments).stdin(Stdio::null());
    command.envs(environment.iter().cloned());
    // No proxy or credential of the machine may take part in a story.
    for inherited in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "DOCKER_HOST", "REGISTRY_AUTH_FILE"] {
        command.env_remove(inherited);
    }
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let asked = format!("{} {}", program.display(), arguments.join(" "));
    let output = command.output().unwrap_or_else(|error| panic!("`{asked}` did not start: {error}"));
    Finished { asked, output }
}

/// Runs a command that has to succeed and gives its standard output.
pub fn output(program: &str, arguments: &[&str]) -> String {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    run(&tools::require(program), &arguments, &[], None).expect_success().stdout()
}
