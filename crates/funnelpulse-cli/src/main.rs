//! The `funnelpulse` command.

mod alerting;
mod args;
mod commands;
mod input;
mod output;
mod panics;
mod params;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

/// Nothing, or with `--strict` not everything, could be scored.
const UNSCORED: u8 = 3;
/// Alerts are left for the next run.
const WAITING: u8 = 4;

fn main() -> ExitCode {
    let cli = Cli::parse();
    output::set_quiet(cli.quiet);
    if let Some(threads) = cli.threads {
        // Fails only when a pool exists already, and this is the first thing that happens.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
    }
    match panics::caught(|| dispatch(&cli.command)) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Unscored) => ExitCode::from(UNSCORED),
        Ok(Outcome::Waiting) => ExitCode::from(WAITING),
        Err(error) => {
            output::note(format_args!("error: {}", output::in_words(&error)));
            ExitCode::FAILURE
        }
    }
}

/// How a command that did not fail ended.
enum Outcome {
    Done,
    Unscored,
    Waiting,
}

fn dispatch(command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(args) => commands::demo::demo(args),
        Command::Generate(args) => commands::generate::generate(args).map(|()| Outcome::Done),
        Command::Run(args) => commands::run::run(args),
        Command::Train(args) => commands::train::train(args),
        Command::Detect(args) => commands::detect::detect(args),
        Command::Score(args) => commands::score::score(args).map(|()| Outcome::Done),
        Command::Eval(args) => commands::eval::eval(args).map(|()| Outcome::Done),
        Command::Forecast(args) => commands::forecast::forecast(args).map(|()| Outcome::Done),
        Command::Changepoints(args) => commands::changepoints::changepoints(args).map(|()| Outcome::Done),
        Command::Explain(args) => commands::explain::explain(args).map(|()| Outcome::Done),
        Command::Locate(args) => commands::locate::locate(args).map(|()| Outcome::Done),
        Command::Compare(args) => commands::compare::compare(args).map(|()| Outcome::Done),
        Command::Config(args) => commands::config::config(args).map(|()| Outcome::Done),
        Command::Model(args) => commands::model::model(args).map(|()| Outcome::Done),
    }
}
