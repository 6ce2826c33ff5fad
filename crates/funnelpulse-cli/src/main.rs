//! The `funnelpulse` command.

use std::{
    io::{stderr, stdout},
    process::ExitCode,
};

use funnelpulse_cli::{Streams, run};

fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os(), Streams::new(stdout(), stderr())))
}
