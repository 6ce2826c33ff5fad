#![doc = include_str!("../README.md")]

mod incidents;
mod number;
#[cfg(feature = "plot")]
pub mod plot;
mod plots;
#[cfg(test)]
mod tests;
mod units;
mod view;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use funnelpulse_analytics::Findings;

const DEFAULT_TITLE: &str = "Anomaly report";
const DEFAULT_MAX_SERIES: usize = 200;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The page's template failed.
    #[error("the page could not be filled in: {0}")]
    Template(#[from] minijinja::Error),
    /// The data of the pictures could not be encoded.
    #[error("the pictures could not be encoded: {0}")]
    Plots(#[from] serde_json::Error),
    /// The file can't be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// One page that shows findings: totals, incidents with their causes and price, anomalies by impact, a timeline of each affected series
/// with its expected range, and the series that could not be scored.
///
/// ```
/// use funnelpulse_core::Panel;
/// use funnelpulse_features::PanelSpec;
/// use funnelpulse_pipeline::Pipeline;
/// use funnelpulse_report::Report;
///
/// let panel = Panel::new(PanelSpec::funnel().columns());
/// let findings = Pipeline::builder().build()?.run(&panel)?;
/// let page = Report::new(&findings).title("Monday").notes(vec!["0 events read".to_owned()]).to_html()?;
/// assert!(page.contains("<title>Monday</title>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Report<'a> {
    findings: &'a Findings,
    title: String,
    quality: Vec<(String, String)>,
    notes: Vec<String>,
    max_series: usize,
}

impl<'a> Report<'a> {
    /// A report on `findings`.
    pub fn new(findings: &'a Findings) -> Self {
        Self {
            findings,
            title: DEFAULT_TITLE.to_owned(),
            quality: Vec::new(),
            notes: Vec::new(),
            max_series: DEFAULT_MAX_SERIES,
        }
    }

    /// The heading; "Anomaly report" otherwise.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Names and values of quality measured on labelled data, shown as a table.
    pub fn quality(mut self, rows: Vec<(String, String)>) -> Self {
        self.quality = rows;
        self
    }

    /// Remarks under the totals, for example how many rows were read.
    pub fn notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }

    /// How many series get a timeline, the most affected first; 200 otherwise. The more there are, the coarser is each.
    pub fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = max_series;
        self
    }

    /// The page.
    pub fn to_html(&self) -> Result<String, ReportError> {
        view::render(self)
    }

    /// Writes the page aside, then renames it to `path`: a failed run leaves what was there.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        let page = self.to_html()?;
        let fail = |source| ReportError::File { path: path.to_owned(), source };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = readable().tempfile_in(folder).map_err(fail)?;
        file.write_all(page.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
        file.persist(path).map_err(|e| fail(e.error))?;
        Ok(())
    }
}

/// Temporary files are private, a report is for sharing: as readable as any other new file.
fn readable() -> tempfile::Builder<'static, 'static> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "permissions are Unix permissions"))]
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}
