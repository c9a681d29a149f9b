//! Log lines: to standard error, for people or as JSON, filtered as the configuration says.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{Log, LogFormat};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is no level and no list of directives.
    #[error("log.filter can't be read: {0}; write a level (info) or directives (info,node::http=debug)")]
    Filter(#[from] ParseError),
    /// Someone set a subscriber before.
    #[error("logging was set up already")]
    Twice,
}

/// Sets up logging for the whole process. Called once, by `main`.
///
/// # Errors
/// [`LogError`].
pub fn init(log: &Log) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match log.format {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(colour).with_target(false).try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    set.map_err(|_| LogError::Twice)
}
