//! What belongs to one run of a command: its streams, its detectors, whether it is quiet.

use std::{
    cell::RefCell,
    fmt,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use funnelpulse::{Catalog, config::Section, io::ReadOptions};

/// Where a command writes: what was asked for, and remarks beside it.
pub struct Streams {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
}

impl Streams {
    /// The standard output and the error stream of a command.
    pub fn new(out: impl Write + 'static, err: impl Write + 'static) -> Self {
        Self { out: Box::new(out), err: Box::new(err) }
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streams(..)")
    }
}

struct Context {
    streams: Streams,
    catalog: Arc<Catalog>,
}

thread_local! {
    static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Progress bars are drawn from any thread.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Runs a command with these streams and detectors.
pub(crate) fn with<T>(streams: Streams, catalog: Catalog, work: impl FnOnce() -> T) -> T {
    let catalog = Arc::new(catalog.with_section(reading()));
    let context = Context { streams, catalog };
    let before = CONTEXT.with(|c| c.replace(Some(context)));
    let result = work();
    CONTEXT.with(|c| c.replace(before));
    result
}

/// The detectors of this run.
pub(crate) fn catalog() -> Arc<Catalog> {
    let current = CONTEXT.with(|c| c.borrow().as_ref().map(|c| c.catalog.clone()));
    current.unwrap_or_else(|| Arc::new(Catalog::default().with_section(reading())))
}

/// The section of the configuration that says how tables are read.
pub(crate) const READ: &str = "read";

fn reading() -> Section {
    Section::new(READ, ReadOptions::default(), |options: &ReadOptions| options.validate().map_err(Into::into))
}

/// Writes a line to the output of this run.
pub(crate) fn write_out(text: &dyn fmt::Display) -> io::Result<()> {
    CONTEXT.with(|c| match c.borrow_mut().as_mut() {
        Some(context) => write_line(&mut context.streams.out, text),
        None => write_line(&mut io::stdout(), text),
    })
}

/// Writes a line to the error stream of this run.
pub(crate) fn write_err(text: &dyn fmt::Display) -> io::Result<()> {
    CONTEXT.with(|c| match c.borrow_mut().as_mut() {
        Some(context) => write_line(&mut context.streams.err, text),
        None => write_line(&mut io::stderr(), text),
    })
}

fn write_line(stream: &mut dyn Write, text: &dyn fmt::Display) -> io::Result<()> {
    writeln!(stream, "{text}")?;
    stream.flush()
}

/// Whether this run shows no progress bars.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Turns progress bars off.
pub(crate) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}
