//! `portolan serve`.

use clap::Args;

use super::Session;
use super::exit::Exit;
use super::failure::{Code, Failure};
use crate::config::load::Flag;

/// Run a node.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

impl Serve {
    pub(super) fn run(&self, session: &Session<'_>) -> Result<Exit, Failure> {
        session.local_only()?;
        let config = session.configuration(self.flags())?.config;
        (session.host.serve)(config).map_err(|cause| Failure::new(Code::Serve, cause).next("portolan doctor"))?;
        Ok(Exit::Ok)
    }

    fn flags(&self) -> Vec<Flag> {
        let listen = self.listen.iter();
        listen.map(|listen| Flag { name: "--listen", key: "http.listen", value: listen.clone() }).collect()
    }
}
