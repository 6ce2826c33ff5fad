//! `--plot`: series as pictures, in an SVG or PNG file or an HTML page.

use std::path::{Path, PathBuf};

use anyhow::bail;
use funnelpulse::report::plot::page;
pub(crate) use funnelpulse::report::plot::{Legend, Picture, PlotPanel};

use crate::output;

/// Refused now rather than when all the work is done.
pub(crate) fn plot_file(name: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(name);
    if cfg!(not(feature = "png")) && has_end(&path, "png") {
        return Err("this program was built without PNG files; the name should end in .svg or .html".to_owned());
    }
    if ["svg", "html", "png"].iter().any(|end| has_end(&path, end)) {
        Ok(path)
    } else {
        Err("the name should end in .svg, .png or .html".to_owned())
    }
}

fn has_end(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case(wanted))
}

/// Writes the pictures: all of them into a page, or the first into an SVG or PNG file.
pub(crate) fn write(path: &Path, pictures: &[Picture]) -> anyhow::Result<()> {
    let Some(first) = pictures.first() else { bail!("{}: there is no series to draw", path.display()) };
    if has_end(path, "html") {
        return output::write_bytes(path, page(pictures)?);
    }
    if pictures.len() > 1 {
        let title = &first.title;
        output::note(format_args!("note: a picture shows one series, here `{title}`; an HTML page shows all"));
    }
    #[cfg(feature = "png")]
    if has_end(path, "png") {
        return output::write_bytes(path, first.to_png()?);
    }
    output::write_bytes(path, first.to_svg()?)
}
