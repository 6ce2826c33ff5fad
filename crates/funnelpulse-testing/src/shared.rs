//! Labelled data and reference outputs that users of the library don't have.

use std::path::{Path, PathBuf};

/// The path of a file under the shared data folder: `$FUNNELPULSE_SHARED`, or `shared/` beside
/// the repository. `None`, with the reason printed, when it is not there: the test that asked
/// for it returns early.
///
/// ```
/// use funnelpulse_testing::shared_file;
///
/// let Some(path) = shared_file("data/no-such-file.parquet") else { return };
/// # unreachable!("{}", path.display());
/// ```
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn shared_file(relative: &str) -> Option<PathBuf> {
    let root = std::env::var_os("FUNNELPULSE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join(relative);
    if path.exists() {
        Some(path)
    } else {
        eprintln!("skipped: {relative} is not in the shared data folder (set FUNNELPULSE_SHARED to point at it)");
        None
    }
}
