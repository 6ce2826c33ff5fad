//! A child process with limits of time and memory.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Time between two looks at a process: short runs need short ones.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));
/// Bytes of the end of the error stream that are looked at.
const TAIL: u64 = 4096;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// With its status, and the last line of its error stream.
    Failed(String),
    Time,
    Memory,
    Cancelled,
}

/// A process that ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) end: End,
    pub(super) seconds: f64,
    /// Bytes of memory, of the process and those that it started; on Linux only.
    pub(super) peak: Option<u64>,
}

/// What a process may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) time: Duration,
    pub(super) memory: Option<u64>,
    /// Threads, by the environment variables that the usual libraries read.
    pub(super) threads: usize,
}

const THREADS: [&str; 6] = [
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
];

/// Runs a command to its end or to a limit.
pub(super) fn run(words: &[String], folder: &Path, limits: Limits, cancel: &AtomicBool) -> io::Result<Finished> {
    let mut errors = File::options().create(true).truncate(true).read(true).write(true).open(folder.join("stderr"))?;
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors.try_clone()?);
    for name in THREADS {
        command.env(name, limits.threads.to_string());
    }
    // A group of its own: what it starts ends with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let start = Instant::now();
    let mut child = command.spawn().map_err(|e| io::Error::new(e.kind(), format!("`{}`: {e}", words[0])))?;
    let (mut peak, mut pause) = (None, POLL.0);
    let end = loop {
        peak = peak.max(peak_memory(child.id()));
        if let Some(status) = child.try_wait()? {
            break if status.success() { End::Done } else { End::Failed(reason(&status.to_string(), &mut errors)) };
        }
        let over = if cancel.load(Ordering::Relaxed) {
            Some(End::Cancelled)
        } else if start.elapsed() >= limits.time {
            Some(End::Time)
        } else if limits.memory.zip(peak).is_some_and(|(limit, peak)| peak > limit) {
            Some(End::Memory)
        } else {
            None
        };
        if let Some(end) = over {
            kill(&mut child);
            child.wait()?;
            break end;
        }
        std::thread::sleep(pause);
        pause = (pause + pause / 4).min(POLL.1);
    };
    Ok(Finished { end, seconds: start.elapsed().as_secs_f64(), peak })
}

fn kill(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = rustix::process::Pid::from_raw(child.id() as i32) {
        // Fails only when the group is gone already.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    // Fails only when it is gone already.
    let _ = child.kill();
}

/// The status, and the last words of the error stream.
fn reason(status: &str, errors: &mut File) -> String {
    let mut bytes = Vec::new();
    let length = errors.seek(SeekFrom::End(0)).unwrap_or(0);
    let read = errors.seek(SeekFrom::Start(length.saturating_sub(TAIL))).and_then(|_| errors.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    match read.ok().and(last) {
        Some(line) => format!("{status}: {}", line.trim()),
        None => status.to_owned(),
    }
}

/// The highest memory of a process and of those that it started, each by itself, in bytes.
#[cfg(target_os = "linux")]
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let own = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let started: Vec<u32> = children
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect();
    Some(own + started.into_iter().filter_map(peak_memory).sum::<u64>())
}

#[cfg(not(target_os = "linux"))]
fn peak_memory(_: u32) -> Option<u64> {
    None
}
