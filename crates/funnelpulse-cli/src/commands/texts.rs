//! `funnelpulse completions` and `funnelpulse man`: texts for shells and manuals, out of the command line itself.

use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionsArgs, ManArgs},
    output,
};

const NAME: &str = "funnelpulse";

pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut text);
    output::say(String::from_utf8_lossy(&text).trim_end())
}

pub(crate) fn man(args: &ManArgs) -> anyhow::Result<()> {
    output::create_folder(&args.out)?;
    clap_mangen::generate_to(Cli::command(), &args.out)?;
    output::say(format_args!("Manual pages in {}", args.out.display()))
}
