//! A real Apache Kafka, one broker in KRaft mode, on a free port of the loopback address, in a temporary
//! folder. A shell beside it stops it and takes the folder away as soon as this process is gone,
//! however it ended. The jars are in the folder that `TIDEGATE_TEST_KAFKA` names, which
//! `cargo xtask test` sets.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::keeper::{Keeper, SERVER};

/// How long the broker may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A broker that runs.
#[derive(Debug)]
pub struct Kafka {
    folder: PathBuf,
    port: u16,
    keeper: Keeper,
}

/// The broker that all tests of one test program share.
pub fn shared() -> &'static Kafka {
    static SHARED: LazyLock<Kafka> = LazyLock::new(Kafka::start);
    &SHARED
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.expect("a free port").port()
}

fn java(main: &str) -> Command {
    let jars = std::env::var("TIDEGATE_TEST_KAFKA");
    let jars =
        jars.expect("TIDEGATE_TEST_KAFKA names the folder of Kafka's jars: run `cargo xtask test`");
    let mut java = Command::new("java");
    java.args(["-Xms128m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    // Without a configuration its log has errors alone, and not that it serves.
    java.arg("-Dorg.apache.logging.log4j.level=INFO");
    java.arg("-cp").arg(format!("{jars}/*")).arg(main);
    java
}

impl Kafka {
    /// Starts a broker that makes topics of four partitions as they are written to.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with settings as in `server.properties`.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("kafka-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        let (port, controller) = (free_port(), free_port());
        let file = folder.join("server.properties");
        let mut properties = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.listener.names=CONTROLLER\nlog.dirs={}/data\n\
             offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\nshare.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n\
             offsets.topic.num.partitions=4\ntransaction.state.log.num.partitions=4\n\
             num.partitions=4\nauto.create.topics.enable=true\n",
            folder.display()
        );
        for (name, value) in settings {
            properties.push_str(&format!("{name}={value}\n"));
        }
        std::fs::write(&file, properties).expect("the folder can be written to");
        let mut format = java("kafka.tools.StorageTool");
        format.args(["format", "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA", "--config"]).arg(&file);
        let formatted = format.output().expect("java runs (apt-get install default-jre-headless)");
        let told = String::from_utf8_lossy(&formatted.stderr).into_owned();
        assert!(formatted.status.success(), "the broker's folder cannot be made: {told}");
        let mut server = java("kafka.Kafka");
        server.arg(&file);
        let keeper = Keeper::start(SERVER, &folder, &server);
        let kafka = Self { folder, port, keeper };
        kafka.restart();
        kafka
    }

    /// Starts the broker again after [`Self::kill`] or [`Self::stop`], with what it has on its disk.
    pub fn restart(&self) {
        let before = self.starts();
        self.keeper.tell("start");
        let deadline = Instant::now() + PATIENCE;
        while self.starts() == before || TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "the broker does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How often it has begun to serve.
    fn starts(&self) -> usize {
        self.log().matches("Kafka Server started").count()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Ends the broker in order.
    pub fn stop(&self) {
        self.keeper.tell("stop");
    }

    /// Ends the broker at once.
    pub fn kill(&self) {
        self.keeper.tell("kill");
    }

    /// The broker stands still: connections stay, and nothing is answered.
    pub fn freeze(&self) {
        self.keeper.tell("freeze");
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.keeper.tell("thaw");
    }

    /// `HOST:PORT`
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// One of Kafka's own command-line tools, by its class, ready to be given its arguments.
    #[must_use]
    pub fn tool(&self, main: &str) -> Command {
        java(main)
    }
}
