//! Breaks of a file of numbers by a classifier: `cargo run -p funnelpulse-changepoint --release --example classifier --
//! values.csv random_forest 24`. A row per line, columns separated by commas, no header; then the classifier and the fewest
//! rows of a segment.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::{env::args, error::Error};

use funnelpulse_changepoint::{
    classifier::{ClassifierConfig, ClassifierSearch},
    ndarray::Array2,
};

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |at: usize| args().nth(at).ok_or("usage: classifier FILE CLASSIFIER MIN_SIZE");
    let text = std::fs::read_to_string(argument(1)?)?;
    let rows = text.lines().map(|line| line.split(',').map(|value| value.trim().parse()).collect());
    let rows: Vec<Vec<f64>> = rows.collect::<Result<_, _>>()?;
    let values = Array2::from_shape_vec((rows.len(), rows.first().map_or(0, Vec::len)), rows.concat())?;
    let (classifier, min_size) = (argument(2)?.parse()?, argument(3)?.parse()?);
    let search = ClassifierSearch::new(ClassifierConfig { classifier, min_size, ..ClassifierConfig::default() })?;
    for found in search.search(values.view())? {
        println!("{}\t{:.1}\t{:.3}", found.index, found.gain, found.p_value);
    }
    Ok(())
}
