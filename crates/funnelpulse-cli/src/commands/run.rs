//! `funnelpulse run`: train on a table and score the same rows.

use funnelpulse::{Pipeline, io};

use crate::{
    Outcome,
    args::RunArgs,
    input::{self, configuration},
    output,
};

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Outcome> {
    let config = configuration(&args.settings)?;
    let reading = output::spinner("reading");
    let read = input::read(&args.input, &config)?;
    reading.finish_and_clear();
    if let Some(ingest) = &read.ingest {
        eprintln!("{ingest}");
    }
    let pipeline = Pipeline::builder().config(config).progress(output::progress()).build()?;
    let mut findings = if let Some(path) = &args.model {
        let model = pipeline.fit(&read.panel)?;
        let findings = model.detect(&read.panel)?;
        model.save(path)?;
        findings
    } else {
        pipeline.run(&read.panel)?
    };
    findings.add_failures(read.failures);
    output::create_folder(&args.results.output)?;
    if read.ingest.is_some() {
        let hourly = io::panel_to_batch(&read.panel, &pipeline.config().input)?;
        io::write_file(&args.results.output.join("hourly.parquet"), &hourly)?;
    }
    let title = format!("Anomalies in {}", args.input.display());
    output::deliver(&findings, &args.results, read.rows, read.ingest.as_ref(), &title)
}
