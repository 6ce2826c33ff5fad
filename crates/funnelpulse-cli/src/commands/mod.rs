//! One file per command.

pub(crate) mod alerts;
pub(crate) mod bench;
pub(crate) mod changepoints;
pub(crate) mod compare;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod detect;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod forecast;
pub(crate) mod generate;
pub(crate) mod locate;
pub(crate) mod model;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod stream;
pub(crate) mod texts;
pub(crate) mod train;
