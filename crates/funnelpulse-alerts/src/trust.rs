//! Certificate authorities of one's own.

use std::{fs, path::Path};

use crate::AlertsError;

/// The PEM text of a file of certificates.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, AlertsError> {
    fs::read(path).map_err(|e| AlertsError::file(path, e))
}

/// What to say of a file without certificates.
pub(crate) fn refused(path: &Path) -> AlertsError {
    AlertsError::field("ca_file", path.display(), "a file of PEM certificates, at least one")
}
