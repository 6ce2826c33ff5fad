//! `funnelpulse train`.

use funnelpulse::Pipeline;

use crate::{
    Outcome,
    args::TrainArgs,
    input::{self, configuration},
    output,
};

pub(crate) fn train(args: &TrainArgs) -> anyhow::Result<Outcome> {
    let config = configuration(&args.settings)?;
    let reading = output::spinner("reading");
    let read = input::read(&args.input, &config)?;
    reading.finish_and_clear();
    let pipeline = Pipeline::builder().config(config).progress(output::progress()).build()?;
    let model = pipeline.fit(&read.panel)?;
    let failures: Vec<_> = read.failures.iter().chain(model.failures()).cloned().collect();
    output::print_failures(&failures);
    if model.series().len() == 0 {
        eprintln!("error: no series could be trained, nothing was saved");
        return Ok(Outcome::Unscored);
    }
    model.save(&args.model)?;
    println!("Trained on {} series; the model is in {}", model.series().len(), args.model.display());
    Ok(if args.strict && !failures.is_empty() { Outcome::Unscored } else { Outcome::Done })
}
