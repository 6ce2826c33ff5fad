//! The sites of a stream: settings of the command line and of a file.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use funnelpulse::core::wrong_value;
use funnelpulse_streaming::RetrainConfig;
use toml::{Table, Value};

use super::{is_dash, kafka};
use crate::{
    args::{RowFormat, SiteArgs, StreamArgs, TextLayout},
    overwrite,
};

/// Seconds between two checkpoints.
const CHECKPOINT_SECONDS: f64 = 10.0;

/// One site with all its settings.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Where there are several.
    pub(super) name: Option<String>,
    pub(super) model: PathBuf,
    pub(super) input: PathBuf,
    pub(super) input_format: TextLayout,
    pub(super) output: PathBuf,
    pub(super) format: RowFormat,
    pub(super) lateness: u64,
    pub(super) follow: bool,
    /// The address of the checkpoints.
    pub(super) checkpoints: String,
    pub(super) checkpoint_seconds: f64,
    pub(super) idle: Option<u64>,
    pub(super) silence: Option<u64>,
    pub(super) early: Option<u64>,
    pub(super) retrain: Option<RetrainConfig>,
    pub(super) alerts: Option<PathBuf>,
    #[cfg(feature = "kafka")]
    pub(super) kafka: kafka::Options,
    #[cfg(feature = "avro")]
    pub(super) avro_registry: Option<String>,
}

/// The sites, one without a name or several with names, and the address of the status pages.
pub(super) fn of(args: &StreamArgs) -> anyhow::Result<(Vec<Site>, Option<String>)> {
    let (general, sites, status) = match &args.config {
        None => (SiteArgs::default(), Vec::new(), None),
        Some(path) => read(path).with_context(|| path.display().to_string())?,
    };
    let status = args.status.clone().or(status);
    let general = args.site.clone().over(&general);
    if sites.is_empty() {
        return Ok((vec![Site::new(general)?], status));
    }
    let mut all = Vec::with_capacity(sites.len());
    for site in sites {
        let name = site.name.clone().context("[[site]]: each site needs a `name`")?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        ensure!(!name.is_empty() && name.chars().all(allowed), "site `{name}`: letters, digits, - and _ make a name");
        all.push(Site::new(site.over(&general)).with_context(|| format!("site {name}"))?);
    }
    apart(&all)?;
    Ok((all, status))
}

/// The general settings of a file, those of its sites, and the address of the status pages.
fn read(path: &Path) -> anyhow::Result<(SiteArgs, Vec<SiteArgs>, Option<String>)> {
    let mut table: Table = fs::read_to_string(path)?.parse()?;
    let status = table.remove("status").map(Value::try_into).transpose().context("status")?;
    let sites = match table.remove("site") {
        None => Vec::new(),
        Some(Value::Array(sites)) => sites.into_iter().map(settings).collect::<anyhow::Result<_>>()?,
        Some(_) => bail!("site: expected sections [[site]]"),
    };
    let general = settings(Value::Table(table))?;
    ensure!(general.name.is_none(), "name: only sections [[site]] have one");
    Ok((general, sites, status))
}

fn settings(given: Value) -> anyhow::Result<SiteArgs> {
    serde_path_to_error::deserialize(given).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        let reason = wrong_value(reason.message().trim_end());
        if path == "." { anyhow::anyhow!("{reason}") } else { anyhow::anyhow!("{path}: {reason}") }
    })
}

impl Site {
    fn new(given: SiteArgs) -> anyhow::Result<Self> {
        let missing = |field: &str| format!("`{field}` is missing: on the command line or in the file of --config");
        let output = given.output.with_context(|| missing("output"))?;
        let mut retrain = given.retrain;
        if let Some(hours) = given.retrain_hours {
            retrain = Some(RetrainConfig { every_hours: hours, ..retrain.unwrap_or_default() });
        }
        retrain.as_ref().map(RetrainConfig::validate).transpose()?;
        ensure!(given.early.is_none() || given.alerts.is_some(), "`early` needs `alerts`: early warnings are alerts");
        let site = Self {
            model: given.model.with_context(|| missing("model"))?,
            input: given.input.with_context(|| missing("input"))?,
            input_format: given.input_format.unwrap_or(TextLayout::Jsonl),
            checkpoints: address(given.checkpoints, &output)?,
            output,
            format: given.format.unwrap_or(RowFormat::Parquet),
            lateness: given.lateness.with_context(|| missing("lateness"))?,
            follow: given.follow,
            checkpoint_seconds: given.checkpoint_seconds.unwrap_or(CHECKPOINT_SECONDS),
            idle: given.idle,
            silence: given.silence,
            early: given.early,
            retrain,
            alerts: given.alerts,
            #[cfg(feature = "kafka")]
            kafka: kafka::Options::new(
                given.group,
                given.name.as_deref(),
                &given.kafka_property,
                &given.kafka_secret,
                given.dead_letters,
                given.stage,
            )?,
            #[cfg(feature = "avro")]
            avro_registry: given.avro_registry,
            name: given.name,
        };
        #[cfg(feature = "kafka")]
        site.kafka.check(&site)?;
        overwrite::refuse(&[&site.input, &site.model], &[("--output", Some(&*site.output))])?;
        Ok(site)
    }
}

/// The address of the checkpoints.
fn address(given: Option<PathBuf>, output: &Path) -> anyhow::Result<String> {
    let is_folder = !is_dash(output) && kafka::address(output).is_none();
    let folder = given.or_else(|| is_folder.then(|| output.join("_checkpoints")));
    let folder = folder.context("--checkpoints is needed where the results do not go to a folder")?;
    folder.to_str().map(str::to_owned).with_context(|| format!("{}: not a name in UTF-8", folder.display()))
}

/// Sites share neither names, nor results, nor checkpoints.
fn apart(sites: &[Site]) -> anyhow::Result<()> {
    let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
    for site in sites {
        let name = site.name.as_deref().unwrap_or_default();
        ensure!(names.insert(name), "site {name}: two sites have this name");
        ensure!(!is_dash(&site.input), "site {name}: standard input is for one site alone");
        let is_topic = kafka::address(&site.output).is_some();
        let output = site.output.to_str().filter(|_| !is_topic && !is_dash(&site.output));
        for place in [output, Some(site.checkpoints.as_str())].into_iter().flatten() {
            ensure!(places.insert(place), "site {name}: {place} belongs to another site");
        }
    }
    Ok(())
}
