//! A real broker.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

/// Ports that a broker chooses from, and brokers started so far. Three next to each other: of the broker, of its controller,
/// and for clients with a password.
const PORTS: u16 = 210;
const EACH: u16 = 3;
static STARTED: AtomicU16 = AtomicU16::new(0);

/// One broker in a process of its own.
pub(crate) struct Broker {
    folder: PathBuf,
    port: u16,
    pid: u32,
    /// A file of settings.
    settings: Option<PathBuf>,
}

impl Broker {
    /// Starts a broker; the reason if there can be none here.
    pub(crate) fn start(folder: &Path) -> Result<Self, String> {
        Self::start_with(folder, |_| None)
    }

    /// The same with a file of settings, for which it gets the port for clients with a password.
    pub(crate) fn start_with(folder: &Path, settings: impl FnOnce(&Self) -> Option<PathBuf>) -> Result<Self, String> {
        for program in ["java", "mvn"] {
            Command::new(program).arg("-version").output().map_err(|e| format!("{program}: {e}"))?;
        }
        let free = |port: &u16| (*port..*port + EACH).all(|p| std::net::TcpListener::bind(("127.0.0.1", p)).is_ok());
        // Each broker of a process looks for them elsewhere.
        let place = STARTED.fetch_add(1, Ordering::Relaxed) * PORTS;
        let first = 20_000 + (std::process::id() % 10_000) as u16 * 3 + place;
        let port = (first..first + PORTS).step_by(usize::from(EACH)).find(free).ok_or("no free port")?;
        let mut broker = Self { folder: folder.to_path_buf(), port, pid: 0, settings: None };
        broker.settings = settings(&broker);
        broker.launch()?;
        Ok(broker)
    }

    fn launch(&mut self) -> Result<(), String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/stream-kafka/broker.sh");
        let log = self.folder.join("start.log");
        // The broker inherits what the script writes to; a file never blocks.
        let errors = std::fs::File::create(&log).map_err(|e| e.to_string())?;
        let mut command = Command::new("bash");
        command.arg(script).arg(self.folder.join("broker")).arg(self.port.to_string()).stderr(errors);
        if let Some(settings) = &self.settings {
            command.env("KAFKA_SETTINGS", settings);
        }
        let output = command.output().map_err(|e| e.to_string())?;
        if !output.status.success() {
            return Err(std::fs::read_to_string(&log).unwrap_or_default());
        }
        self.pid = String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| "no process id".to_owned())?;
        Ok(())
    }

    pub(crate) fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where clients with a password connect, if the settings say so.
    pub(crate) fn secure_servers(&self) -> String {
        format!("127.0.0.1:{}", self.port + 2)
    }

    /// The port of clients without one.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn signal(&self, signal: &str) {
        // Nothing was started; to `kill`, 0 is all processes of the group.
        if self.pid == 0 {
            return;
        }
        let _ = Command::new("kill").args([signal, &self.pid.to_string()]).status();
        let started = Instant::now();
        let is_alive = || Command::new("kill").args(["-0", &self.pid.to_string()]).output().unwrap().status.success();
        while is_alive() && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills the broker without warning and starts it again on its data.
    pub(crate) fn crash(&mut self) {
        self.signal("-KILL");
        self.launch().unwrap();
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", self.servers()).create().unwrap();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let results = runtime.block_on(admin.create_topics([&topic], &options)).unwrap();
        results[0].as_ref().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.signal("-KILL");
    }
}
