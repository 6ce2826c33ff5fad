//! What kind of table this is.

use funnelpulse_features::{EventSpec, PanelSpec};

use crate::{IoError, Table, panel};

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// One row per event.
    Events,
    /// One row per series and window.
    Hourly,
}

/// Tells the kind of a table by its columns. A table that could be both is regular rows.
///
/// ```
/// use funnelpulse_features::{EventSpec, PanelSpec};
/// use funnelpulse_io::{InputKind, Table, recognise};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("events.csv");
/// std::fs::write(&path, "event_time,event_type,product_id,brand,price,user_id,user_session\n")?;
/// let kind = recognise(&Table::read(&path)?, &PanelSpec::funnel(), &EventSpec::default())?;
/// assert_eq!(kind, InputKind::Events);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn recognise(table: &Table, panel: &PanelSpec, events: &EventSpec) -> Result<InputKind, IoError> {
    panel.validate()?;
    events.validate()?;
    let Err(rows) = panel::Layout::find(table, panel) else { return Ok(InputKind::Hourly) };
    let lacking: Vec<&str> = events.columns().filter(|c| !table.has(c)).collect();
    if lacking.is_empty() {
        return Ok(InputKind::Events);
    }
    Err(IoError::Unrecognised {
        path: table.source().to_path_buf(),
        found: table.columns().join(", "),
        events: lacking.join(", "),
        rows: rows.join(", "),
    })
}
