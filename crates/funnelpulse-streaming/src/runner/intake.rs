//! Inputs of a source on their way into the engine.

use super::letters::DeadLetters;
use crate::{Engine, Fate, Input, PartitionIndex};

/// One input into the engine; what does not count becomes a dead letter.
pub(super) fn take(
    input: Input<'_>,
    engine: &mut Engine,
    partitions: &mut Vec<Option<(PartitionIndex, String)>>,
    letters: &mut DeadLetters,
    dirty: &mut bool,
) {
    let place = |partitions: &[Option<(PartitionIndex, String)>], partition: u32| {
        partitions.get(partition as usize).and_then(Option::as_ref).map(|(index, _)| *index)
    };
    let name = |partitions: &[Option<(PartitionIndex, String)>], partition: u32| {
        partitions.get(partition as usize).and_then(Option::as_ref).map_or_else(String::new, |(_, name)| name.clone())
    };
    match input {
        Input::Assigned { partition, name, not_before } => {
            let index = engine.assign(name, not_before);
            let place = partition as usize;
            partitions.resize(partitions.len().max(place + 1), None);
            partitions[place] = Some((index, name.to_owned()));
        }
        Input::Event { partition, event, identity } => {
            let Some(index) = place(partitions, partition) else { return };
            *dirty = true;
            match engine.push_identified(index, event, identity) {
                Fate::Counted | Fate::Duplicate | Fate::Ignored => {}
                Fate::Late => letters.event(&name(partitions, partition), "late: its window is closed", event),
                Fate::Rejected(refusal) => letters.event(&name(partitions, partition), &refusal.to_string(), event),
            }
        }
        Input::Window { partition, window, last } => {
            let Some(index) = place(partitions, partition) else { return };
            *dirty = true;
            let reason = match engine.absorb(index, window, last) {
                Ok(Fate::Late) => "late: its window is closed".to_owned(),
                Ok(Fate::Rejected(refusal)) => refusal.to_string(),
                Ok(_) => return,
                Err(error) => {
                    engine.dead_letter(index);
                    error.to_string()
                }
            };
            let value = format!("window {} of {} series", window.start, window.rows.len());
            letters.broken(&name(partitions, partition), &reason, value.as_bytes());
        }
        Input::Broken { partition, reason, value } => {
            let Some(index) = place(partitions, partition) else { return };
            *dirty = true;
            engine.dead_letter(index);
            letters.broken(&name(partitions, partition), &reason, value);
        }
        Input::Finished { partition } => {
            if let Some(index) = place(partitions, partition) {
                engine.finish_partition(index);
                *dirty = true;
            }
        }
    }
}
