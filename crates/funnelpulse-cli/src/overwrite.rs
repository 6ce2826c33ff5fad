//! An output never replaces an input.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// Refuses an output that is one of the inputs, also by another name for the same file. `outputs` come
/// with the options that name them.
pub(crate) fn refuse(inputs: &[&Path], outputs: &[(&str, Option<&Path>)]) -> anyhow::Result<()> {
    let inputs: Vec<PathBuf> = inputs.iter().filter_map(|path| path.canonicalize().ok()).collect();
    for (option, output) in outputs {
        let Some(output) = output else { continue };
        if output.canonicalize().is_ok_and(|path| inputs.contains(&path)) {
            bail!("{option} {}: this is an input, it would be overwritten; choose another path", output.display());
        }
    }
    let named: Vec<(&str, PathBuf)> =
        outputs.iter().filter_map(|(option, path)| Some((*option, resolved((*path)?)?))).collect();
    for (i, (option, path)) in named.iter().enumerate() {
        if let Some((other, _)) = named[..i].iter().find(|(_, p)| p == path) {
            bail!("{option} and {other} name the same path, {}", path.display());
        }
    }
    Ok(())
}

/// The path that a file to be written will have, whether it exists or not.
fn resolved(path: &Path) -> Option<PathBuf> {
    if let Ok(path) = path.canonicalize() {
        return Some(path);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_by_another_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.csv");
        std::fs::write(&file, "a\n1\n").unwrap();
        let other_name = dir.path().join(".").join("x.csv");
        let error = refuse(&[&file], &[("--output", Some(&other_name))]).unwrap_err().to_string();
        assert!(error.starts_with("--output") && error.contains("would be overwritten"), "{error}");
        assert!(refuse(&[&file], &[("--output", Some(&dir.path().join("y.csv"))), ("--report", None)]).is_ok());
    }

    #[test]
    fn two_outputs_of_one_path_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new.html");
        let error = refuse(&[], &[("--model", Some(&path)), ("--report", Some(&path))]).unwrap_err().to_string();
        assert!(error.contains("--report and --model name the same path"), "{error}");
    }
}
