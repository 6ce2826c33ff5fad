//! The command as its users meet it: arguments in; files, output, messages and exit status out.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, stop at what should not happen")]

mod alerts;
mod bad_input;
mod benches;
mod changepoints;
mod comparisons;
mod folder;
mod forecasts;
mod inspection;
mod locations;
mod operations;
mod results;
mod scores;
mod sites;
mod states;
mod streams;
mod terminal;
