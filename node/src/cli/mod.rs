//! The command line: one file for each group of commands.
//!
//! A command gets a [`Session`] and answers with how it ended, or with a [`Failure`]. What a command needs of the
//! running program (clock, disk, serving) comes in as a [`Host`]: this room starts nothing itself. All output goes
//! through [`terminal`].

mod apply;
mod audit;
mod completions;
mod config;
mod connection;
mod content;
pub mod doctor;
pub mod exit;
pub mod failure;
mod group;
mod label;
mod login;
mod maintenance;
mod member;
mod project;
mod quota;
mod record;
pub mod reference;
mod robot;
mod role;
mod secret;
mod serve;
mod settings;
mod status;
pub mod terminal;
mod user;
pub mod welcome;
mod why;
mod wire;
pub mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use protocol::seam::{Clock, FileSystem};

use crate::config::Config;
use crate::config::load::{Flag, Loaded};
use crate::config::read::{Wanted, read};
use connection::Connection;
pub use connection::SOCKET;
use exit::Exit;
use failure::{Code, Failure};
use terminal::{Format, Terminal};

/// What the program gives to the commands. Made by `app`.
#[derive(Clone)]
pub struct Host {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The disk.
    pub file_system: Arc<dyn FileSystem>,
    /// Runs a node until it is told to stop.
    pub serve: Run<()>,
    /// Makes the index again from what is on the disk, while no node runs; answers with what it found.
    pub rebuild_index: Run<String>,
}

/// Something a command has the program do, with an error in one line.
pub type Run<T> = Arc<dyn Fn(Config) -> Result<T, String> + Send + Sync>;

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// An edge registry for OCI artifacts.
///
/// A command acts on the node of this machine, through the socket in its data directory, or on the one at --server.
#[derive(Debug, Parser)]
#[command(name = "portolan", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Configuration file; FILE.d/*.toml is read after it.
    #[arg(long, global = true, value_name = "FILE", env = "PORTOLAN_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Data directory of the node.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Act on the node at this URL, not on the one of this machine. Without it and --data: the variable
    /// PORTOLAN_SERVER.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "data")]
    server: Option<String>,
    /// Who to log in as at --server. Without it: who logged in there by `portolan login`, or admin.
    #[arg(long, global = true, value_name = "NAME")]
    user: Option<String>,
    /// File with the password for --server, or - for stdin. Without it: the variable PORTOLAN_PASSWORD.
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Believe only certificates signed by one of these, PEM.
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Send the password to an http:// URL of another machine.
    #[arg(long, global = true)]
    allow_plain: bool,
    /// How data is written.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// No progress on stderr.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Answer every question with yes.
    #[arg(long, short, global = true)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node.
    Serve(serve::Serve),
    /// A node at a glance. Ends with 7 when something is wrong.
    Status,
    /// Check this machine and its node, and say what to do. Ends with 7 when a check fails.
    Doctor,
    /// Collect garbage now.
    Gc(maintenance::Gc),
    /// Read every byte again to find rot. Ends with 8 when some was found.
    Scrub,
    /// Make a consistent copy of the metadata now.
    Snapshot,
    /// Make the metadata again from the newest good snapshot and the blobs, while no node runs.
    RebuildIndex,
    /// Projects.
    #[command(subcommand)]
    Project(project::Project),
    /// Accounts.
    #[command(subcommand)]
    User(user::User),
    /// Groups of accounts.
    #[command(subcommand)]
    Group(group::Group),
    /// Accounts for programs.
    #[command(subcommand)]
    Robot(robot::Robot),
    /// What members may do.
    #[command(subcommand)]
    Role(role::Role),
    /// Labels for artifacts of every project. Those of one: portolan project label.
    #[command(subcommand)]
    Label(label::Label),
    /// What is set about the whole installation. The node's own file: portolan config.
    #[command(subcommand)]
    Settings(settings::Settings),
    /// Repositories.
    #[command(subcommand)]
    Repository(content::Repository),
    /// Artifacts.
    #[command(subcommand)]
    Artifact(content::Artifact),
    /// Tags.
    #[command(subcommand)]
    Tag(record::Tags),
    /// What several sites said at once, until someone chooses.
    #[command(subcommand)]
    Conflicts(record::Conflicts),
    /// Bring a deleted tag back, naming what it named last, or a deleted manifest whose bytes are here.
    Undelete(record::Undelete),
    /// The log of what was done.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Find projects and repositories.
    Search {
        /// A piece of a name.
        word: String,
    },
    /// What projects may hold.
    #[command(subcommand)]
    Quota(quota::Quotas),
    /// How much there is.
    Statistics,
    /// Why something is as it is.
    #[command(subcommand)]
    Why(why::Why),
    /// Make projects, accounts and all that governs them what a file says.
    Apply(apply::Apply),
    /// Log in at a node and keep the password for later commands, in a file only you can read.
    Login(login::In),
    /// Forget the login at a node.
    Logout(login::Out),
    /// The configuration.
    #[command(subcommand)]
    Config(config::Configuration),
    /// Completions for a shell, on stdout.
    Completions(completions::Completions),
    /// The version of this program.
    Version,
}

/// A running command.
#[derive(Debug)]
pub struct Session<'a> {
    host: &'a Host,
    global: &'a Global,
    terminal: Terminal,
}

impl Session<'_> {
    /// The configuration, with the flags every command takes and `more`.
    fn configuration(&self, more: Vec<Flag>) -> Result<Loaded, Failure> {
        read(self.wanted(more)).map_err(|errors| Failure::config(&errors))
    }

    fn wanted(&self, more: Vec<Flag>) -> Wanted {
        let data = self.global.data.as_ref();
        let data = data.map(|data| Flag { name: "--data", key: "storage.data", value: data.display().to_string() });
        Wanted { file: self.global.config.clone(), flags: data.into_iter().chain(more).collect() }
    }

    /// The node to act on.
    fn connection(&self) -> Result<Connection, Failure> {
        // By hand, for commands that act on this machine alone must not stumble over the variable.
        let variable = || std::env::var("PORTOLAN_SERVER").ok().filter(|url| !url.is_empty());
        let server = self.global.server.clone().or_else(|| if self.global.data.is_none() { variable() } else { None });
        match &server {
            Some(url) => Connection::remote(url, self.global),
            None => Connection::local(&self.configuration(Vec::new())?.config.storage.data),
        }
    }

    /// Refuses `--server` for what only this machine can do.
    fn local_only(&self) -> Result<(), Failure> {
        match self.global.server {
            Some(_) => Err(Failure::new(Code::Usage, "this command acts on this machine: --server says nothing to it")),
            None => Ok(()),
        }
    }
}

/// Runs the program: what the command line says, and the process's exit code.
#[must_use]
pub fn main(host: &Host) -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::standard(cli.global.output, cli.global.quiet);
    run(&cli, host, terminal).into()
}

/// Runs one command.
pub fn run(cli: &Cli, host: &Host, terminal: Terminal) -> Exit {
    let mut session = Session { host, global: &cli.global, terminal };
    match dispatch(&cli.command, &mut session) {
        Ok(exit) => exit,
        Err(failure) => {
            session.terminal.failure(&failure);
            failure.code.exit()
        }
    }
}

fn dispatch(command: &Command, session: &mut Session<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Serve(serve) => serve.run(session),
        Command::Status => status::run(session),
        Command::Doctor => doctor::run(session),
        Command::Gc(gc) => gc.run(session),
        Command::Scrub => maintenance::scrub(session),
        Command::Snapshot => maintenance::snapshot(session),
        Command::RebuildIndex => maintenance::rebuild_index(session),
        Command::Project(project) => project.run(session),
        Command::User(user) => user.run(session),
        Command::Group(group) => group.run(session),
        Command::Robot(robot) => robot.run(session),
        Command::Role(role) => role.run(session),
        Command::Label(label) => {
            let node = session.connection()?;
            label.run(session, &node, None)
        }
        Command::Settings(settings) => settings.run(session),
        Command::Repository(repository) => repository.run(session),
        Command::Artifact(artifact) => artifact.run(session),
        Command::Search { word } => content::search(session, word),
        Command::Quota(quotas) => quotas.run(session),
        Command::Statistics => content::statistics(session),
        Command::Why(why) => why.run(session),
        Command::Apply(apply) => apply.run(session),
        Command::Login(login) => login.run(session),
        Command::Logout(logout) => logout.run(session),
        Command::Tag(tags) => tags.run(session),
        Command::Conflicts(conflicts) => conflicts.run(session),
        Command::Undelete(undelete) => undelete.run(session),
        Command::Audit(audit) => audit.run(session),
        Command::Config(configuration) => configuration.run(session),
        Command::Completions(completions) => completions.run(session),
        Command::Version => version(session),
    }
}

fn version(session: &mut Session<'_>) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    session.terminal.answer(&format!("portolan {version}\n"), &serde_json::json!({ "version": version }))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
#[path = "mod_tests.rs"]
pub(crate) mod tests;
