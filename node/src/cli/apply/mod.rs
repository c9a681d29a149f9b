//! `portolan apply`: makes what governs an installation what a file says.
use super::{Session, exit::Exit, failure::Failure};
use clap::Args;
#[derive(Debug, Args)]
pub(super) struct Apply {}
impl Apply {
    pub(super) fn run(&self, _: &mut Session<'_>) -> Result<Exit, Failure> {
        Ok(Exit::Ok)
    }
}
