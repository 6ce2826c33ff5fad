//! `detect --state`: one table after another as one long table.

use std::{fs, io::ErrorKind, path::Path, sync::Arc};

use anyhow::Context;
use funnelpulse::{
    Findings, FittedPipeline, LivePipeline,
    core::{Panel, SeriesKey},
    io::StagedFile,
};

use crate::output;

/// Scores the rows that follow those of the state in the file, or the first ones where there is no file. Returns what
/// is found in these rows and in those before them that the state keeps, and the state after them, which takes the
/// place of the file when it is committed.
pub(super) fn follow(
    path: &Path,
    model: &Arc<FittedPipeline>,
    panel: &Panel,
) -> anyhow::Result<(Findings, StagedFile)> {
    let place = || path.display().to_string();
    let mut live = match fs::read(path) {
        Ok(bytes) => LivePipeline::resume(model.clone(), &bytes).with_context(place)?,
        Err(error) if error.kind() == ErrorKind::NotFound => LivePipeline::new(model.clone()),
        Err(error) => return Err(error).with_context(place),
    };
    let advance = live.advance(panel).with_context(place)?;
    note_waiting(&advance.waiting);
    let next = StagedFile::write(path, &live.snapshot()?)?;
    Ok((advance.findings, next))
}

/// Series that are too new to be scored, a few by name.
fn note_waiting(waiting: &[(SeriesKey, String)]) {
    const SHOWN: usize = 5;
    for (series, reason) in waiting.iter().take(SHOWN) {
        output::note(format_args!("series `{series}` is not scored yet: {reason}"));
    }
    if waiting.len() > SHOWN {
        output::note(format_args!("... and {} more series are not scored yet", waiting.len() - SHOWN));
    }
}
