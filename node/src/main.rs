//! The program `portolan`: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::cli::main(&node::app::host(node::app::World::real()))
}
