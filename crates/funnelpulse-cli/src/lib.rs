//! The `funnelpulse` command as a library: [`run`] takes arguments and streams and gives an exit status.

mod alerting;
mod args;
mod commands;
mod context;
mod input;
mod logs;
mod output;
mod outputs;
mod overwrite;
mod panics;
mod params;
mod plot;
mod stdin;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};
use funnelpulse::Catalog;

use args::{Cli, Command};
pub use context::Streams;

/// The exit status of a command that went well.
pub const SUCCESS: u8 = 0;
/// The exit status of a command that failed.
pub const FAILURE: u8 = 1;
/// The exit status of a command line that is wrong.
pub const USAGE: u8 = 2;
/// Nothing, or with `--strict` not everything, could be scored.
pub const UNSCORED: u8 = 3;
/// Alerts were not acknowledged; they wait for the next run.
pub const WAITING: u8 = 4;

/// Runs one command with the detectors of [`Catalog::default`]. `args` begin with the name of the program.
///
/// ```
/// use funnelpulse_cli::{SUCCESS, Streams, run};
///
/// let (out, err) = (tempfile::tempfile()?, tempfile::tempfile()?);
/// let status = run(["funnelpulse", "config", "check"], Streams::new(out, err));
/// assert_eq!(status, SUCCESS);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn run<I>(args: I, streams: Streams) -> u8
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    run_with(args, streams, Catalog::default())
}

/// The same with a catalog of your own: its detectors take part in every command.
pub fn run_with<I>(args: I, streams: Streams, catalog: Catalog) -> u8
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    context::with(streams, catalog, || {
        let matches = match Cli::command().try_get_matches_from(args) {
            Ok(matches) => matches,
            Err(error) => return usage(&error),
        };
        match Cli::from_arg_matches(&matches) {
            Ok(cli) => execute(cli),
            Err(error) => usage(&error),
        }
    })
}

/// Help and version are what was asked for; anything else is a wrong command line.
fn usage(error: &clap::Error) -> u8 {
    let text = error.render();
    if error.use_stderr() {
        output::warn(text.to_string().trim_end());
        return USAGE;
    }
    match output::say(text.to_string().trim_end()) {
        Ok(()) => SUCCESS,
        Err(_) => FAILURE,
    }
}

fn execute(mut cli: Cli) -> u8 {
    context::set_quiet(cli.quiet);
    if let Some(threads) = cli.threads {
        // Fails only when a pool exists already, which then stays: results do not depend on it.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
    }
    match panics::caught(|| dispatch(&mut cli)) {
        Ok(Outcome::Done) => SUCCESS,
        Ok(Outcome::Unscored) => UNSCORED,
        Ok(Outcome::Waiting) => WAITING,
        Err(error) => {
            output::warn(format_args!("error: {}", output::in_words(&error)));
            FAILURE
        }
    }
}

/// How a command that did not fail ended.
enum Outcome {
    Done,
    Unscored,
    Waiting,
}

fn dispatch(cli: &mut Cli) -> anyhow::Result<Outcome> {
    logs::start(cli.verbose)?;
    // Kept until the command ends.
    let mut spooled = None;
    if let Some(input) = cli.command.input() {
        spooled = stdin::Spooled::of(input)?;
        if let Some(file) = &spooled {
            file.path().clone_into(input);
        }
    }
    let outcome = command(&cli.command);
    drop(spooled);
    outcome
}

fn command(command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(args) => commands::demo::demo(args),
        Command::Generate(args) => commands::generate::generate(args).map(|()| Outcome::Done),
        Command::Run(args) => commands::run::run(args),
        Command::Train(args) => commands::train::train(args),
        Command::Detect(args) => commands::detect::detect(args),
        Command::Score(args) => commands::score::score(args).map(|()| Outcome::Done),
        Command::Eval(args) => commands::eval::eval(args).map(|()| Outcome::Done),
        Command::Bench(args) => commands::bench::bench(args),
        Command::Forecast(args) => commands::forecast::forecast(args).map(|()| Outcome::Done),
        Command::Changepoints(args) => commands::changepoints::changepoints(args).map(|()| Outcome::Done),
        Command::Explain(args) => commands::explain::explain(args).map(|()| Outcome::Done),
        Command::Locate(args) => commands::locate::locate(args).map(|()| Outcome::Done),
        Command::Compare(args) => commands::compare::compare(args).map(|()| Outcome::Done),
        Command::Config(args) => commands::config::config(args).map(|()| Outcome::Done),
        Command::Model(args) => commands::model::model(args).map(|()| Outcome::Done),
        Command::Stream(args) => commands::stream::stream(args),
        Command::Completions(args) => commands::texts::completions(args).map(|()| Outcome::Done),
        Command::Man(args) => commands::texts::man(args).map(|()| Outcome::Done),
        Command::Alerts(args) => commands::alerts::alerts(args).map(|()| Outcome::Done),
    }
}
