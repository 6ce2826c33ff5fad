//! Tables of events.

use arrow::array::{Array, StringArray};
use funnelpulse_features::{Event, EventSpec, FunnelBuilder, Gold, Rejection};

use crate::{IoError, Table, cells};

/// Sums up a table of events. Broken rows are counted in the report, with the first of them
/// named by their number over the whole table, counted from one without the header.
///
/// ```
/// use funnelpulse_features::EventSpec;
/// use funnelpulse_io::{Table, read_events};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("events.csv");
/// std::fs::write(&path, "\
/// event_time,event_type,product_id,brand,price,user_id,user_session
/// 2019-10-01 00:00:01 UTC,view,1,Runail,2.5,7,a
/// 2019-10-01 00:09:00 UTC,purchase,1,runail,2.5,7,a
/// yesterday,view,1,runail,2.5,7,a
/// ")?;
/// let gold = read_events(&Table::read(&path)?, &EventSpec::default(), 3600)?;
/// assert_eq!(gold.panel.get("runail").unwrap().values(), ndarray::array![[1.0, 0.0, 1.0, 2.5]]);
/// assert_eq!(gold.report.rejected_total(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_events(table: &Table, spec: &EventSpec, step_seconds: u64) -> Result<Gold, IoError> {
    let mut funnel = FunnelBuilder::new(spec, step_seconds)?;
    let lacking: Vec<&str> = spec.columns().filter(|c| !table.has(c)).collect();
    if !lacking.is_empty() {
        return Err(table.missing(&lacking));
    }
    if table.num_rows() == 0 {
        return Err(IoError::Empty { path: table.source().to_path_buf(), what: "no rows" });
    }
    for batch in table.batches() {
        let times = table.cells_of(batch, &spec.time, "times", cells::times)?;
        let prices = table.cells_of(batch, &spec.price, "numbers", cells::numbers)?;
        let text = |name: &str| table.texts_of(batch, name);
        let (types, product) = (text(&spec.event_type)?, text(&spec.product)?);
        let (user, session) = (text(&spec.user)?, text(&spec.session)?);
        let keys = spec.keys.iter().map(|k| text(k)).collect::<Result<Vec<_>, _>>()?;
        let mut key = Vec::with_capacity(keys.len());
        for row in 0..batch.num_rows() {
            let Some(time) = times.values[row] else {
                funnel.reject(Rejection::Time, times.bad.get(&row).map_or("", String::as_str));
                continue;
            };
            if let Some(price) = prices.bad.get(&row) {
                funnel.reject(Rejection::Price, price);
                continue;
            }
            key.clear();
            key.extend(keys.iter().map(|k| at(k, row)));
            funnel.push(&Event {
                time,
                event_type: at(&types, row).unwrap_or_default(),
                keys: &key,
                product: at(&product, row),
                user: at(&user, row),
                session: at(&session, row),
                price: Some(prices.values[row]).filter(|p| !p.is_nan()),
            });
        }
    }
    Ok(funnel.finish()?)
}

/// The text of a row; empty is as good as null.
fn at(texts: &StringArray, row: usize) -> Option<&str> {
    (texts.is_valid(row) && !texts.value(row).is_empty()).then(|| texts.value(row))
}
