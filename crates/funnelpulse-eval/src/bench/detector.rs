//! Detectors of a benchmark: commands, and random scores beside them.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::EvalError;

/// The place of the table of values in a command.
const INPUT: &str = "{input}";
/// The place of the file of scores in a command.
const OUTPUT: &str = "{output}";
/// The place of the names of the columns of values in a command, separated by commas.
const COLUMNS: &str = "{columns}";
/// The place of the number of rows to learn from in a command.
const TRAIN_ROWS: &str = "{train_rows}";

/// One line of the leaderboard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BenchDetector {
    /// A program.
    Command(DetectorCommand),
    /// Random scores: what a detector without any skill reaches.
    Random {
        /// The same seed gives the same scores.
        seed: u64,
    },
}

impl BenchDetector {
    /// The name in the results.
    pub fn name(&self) -> &str {
        match self {
            Self::Command(command) => &command.name,
            Self::Random { .. } => "random",
        }
    }

    /// Changes when a run would have to be made anew.
    pub(super) fn checksum(&self) -> u64 {
        match self {
            Self::Command(command) => xxh3_64(command.identity.join("\0").as_bytes()),
            Self::Random { seed } => xxh3_64(&seed.to_le_bytes()),
        }
    }
}

impl From<DetectorCommand> for BenchDetector {
    fn from(command: DetectorCommand) -> Self {
        Self::Command(command)
    }
}

/// A program that scores a table.
///
/// It reads `{input}`, a CSV file with a header and a row per time, and writes `{output}`: a number per line,
/// or a CSV file with a column `score`. Larger is more anomalous; an empty cell or `nan` is a row without a
/// score. `{train_rows}` is the number of rows at the start to learn from, `{columns}` the names of the columns of
/// values, separated by commas.
///
/// ```
/// use funnelpulse_eval::bench::DetectorCommand;
///
/// let lof = DetectorCommand::parse("lof=python lof.py {input} {output}")?;
/// assert_eq!((lof.name(), lof.words().len()), ("lof", 4));
/// let error = DetectorCommand::parse("python lof.py {input}").unwrap_err();
/// assert!(error.to_string().contains("{output}"));
/// # Ok::<(), funnelpulse_eval::EvalError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorCommand {
    name: String,
    words: Vec<String>,
    identity: Vec<String>,
}

impl DetectorCommand {
    /// A command out of its words, the program first.
    ///
    /// # Errors
    /// No place for input or output.
    pub fn new(name: impl Into<String>, words: Vec<String>) -> Result<Self, EvalError> {
        let has = |place: &str| words.iter().any(|word| word.contains(place));
        if !has(INPUT) || !has(OUTPUT) {
            let allowed = "a command with {input} and {output}";
            return Err(EvalError::parameter("external", words.join(" "), allowed));
        }
        Ok(Self { name: name.into(), identity: words.clone(), words })
    }

    /// `NAME=COMMAND`, quoted as in a shell; without a name that of the program.
    ///
    /// # Errors
    /// A quote that does not end, or no place for input or output.
    pub fn parse(text: &str) -> Result<Self, EvalError> {
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:+".contains(&b));
        let (name, command) = match text.split_once('=') {
            Some((name, command)) if is_name(name.trim()) => (Some(name.trim().to_owned()), command),
            _ => (None, text),
        };
        let unclosed = || EvalError::parameter("external", text, "a command with quotes that end");
        let words = shlex::split(command).ok_or_else(unclosed)?;
        let program =
            words.first().map(|w| Path::new(w).file_stem().unwrap_or_default().to_string_lossy().into_owned());
        Self::new(name.or(program).unwrap_or_default(), words)
    }

    /// The same, recognised when it is resumed by these words instead of its own: for commands whose paths
    /// change from run to run.
    #[must_use]
    pub fn identified_by(self, identity: Vec<String>) -> Self {
        Self { identity, ..self }
    }

    /// The name in the results.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The words, the program first, with places to fill in.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn filled(&self, input: &Path, output: &Path, train_rows: usize, columns: &[String]) -> Vec<String> {
        let (train_rows, columns) = (train_rows.to_string(), columns.join(","));
        let (input, output) = (input.to_string_lossy(), output.to_string_lossy());
        let places = [(INPUT, &*input), (OUTPUT, &*output), (TRAIN_ROWS, &*train_rows), (COLUMNS, &*columns)];
        let fill = |word: &String| places.iter().fold(word.clone(), |word, (place, text)| word.replace(place, text));
        self.words.iter().map(fill).collect()
    }
}
