//! A real PostgreSQL server on a free port of the loopback address, in a temporary folder. A shell
//! beside it stops it and takes the folder away as soon as this process is gone, however it ended.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::keeper::Keeper;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user of the databases, who may do everything, and the password. Other than the system's
/// user, so that nothing works by chance.
const USER: &str = "tidegate";
const PASSWORD: &str = "s3cr3t-tide";

/// `$1` is the folder; what follows starts the server. Words on the input say what to do; its end
/// is the end of the one who asked.
const KEEPER: &str = r#"
folder=$1; shift; pid=
while read -r word; do
    case $word in
        start) "$@" >>"$folder/log" 2>&1 </dev/null & pid=$! ;;
        stop) kill -INT $pid; wait $pid; pid= ;;
    esac
    echo
done
[ -z "$pid" ] || { kill -QUIT $pid; wait $pid; }
rm -rf "$folder"
"#;

/// A server that runs.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    keeper: Keeper,
    databases: AtomicU64,
}

/// The server that all tests of one test program share.
pub fn shared() -> &'static Postgres {
    static SHARED: LazyLock<Postgres> = LazyLock::new(Postgres::start);
    &SHARED
}

/// The folder of the server's programs, which Debian does not put on the path: that of the newest
/// version.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
    let folders = versions.map(|version| version.path().join("bin"));
    let number = |folder: &PathBuf| {
        let version = folder.parent().and_then(Path::file_name).unwrap_or_default();
        version.to_string_lossy().parse().unwrap_or(0u32)
    };
    folders.filter(|folder| folder.join("initdb").is_file()).max_by_key(number)
}

impl Postgres {
    /// Makes a server and starts it.
    #[must_use]
    pub fn start() -> Self {
        let programs = programs().expect("install PostgreSQL: apt-get install postgresql");
        let folder = tempfile::Builder::new().prefix("postgres-").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        std::fs::write(folder.join("password"), PASSWORD).expect("a file with the password");
        // The server refuses to run as root.
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            succeed(Command::new("chown").args(["-R", "postgres:"]).arg(&folder));
        }
        let as_user = |program: &str| {
            let program = programs.join(program);
            if !is_root {
                return Command::new(program);
            }
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
            command
        };
        // The order of texts is a person's here: what needs the order of bytes has to say so.
        succeed(
            as_user("initdb")
                .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--locale-provider=icu"])
                .args(["--icu-locale=en", "--auth-local=trust", "--auth-host=scram-sha-256"])
                .arg(format!("--username={USER}"))
                .arg(format!("--pwfile={}", folder.join("password").display()))
                .arg(format!("--pgdata={}", folder.join("data").display()))
                .current_dir(&folder),
        );
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let mut server = as_user("postgres");
        server.arg("-D").arg(folder.join("data")).arg("-k").arg(&folder);
        server.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        server.args(["-c", "shared_buffers=32MB", "-c", "max_connections=200"]);
        let keeper = Keeper::start(KEEPER, &folder, &server);
        let made = Self { folder, programs, port, keeper, databases: AtomicU64::new(0) };
        made.resume();
        made
    }

    /// Starts the server again after [`Self::pause`].
    pub fn resume(&self) {
        self.keeper.tell("start");
        let deadline = Instant::now() + PATIENCE;
        while !self.client("pg_isready").output().expect("pg_isready").status.success() {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server: connections are cut, new ones are refused.
    pub fn pause(&self) {
        self.keeper.tell("stop");
    }

    /// Makes an empty database and answers its URL.
    #[must_use]
    pub fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        succeed(self.client("createdb").arg(&name));
        self.url(&name)
    }

    /// The URL of a database, with the password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// What the password is, for those who look for it where it should not be.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Runs a statement in the database of a URL; answers the rows as lines, cells joined by `|`.
    #[must_use]
    pub fn sql(&self, url: &str, statement: &str) -> String {
        let database = url.rsplit('/').next().unwrap_or_default();
        let mut psql = self.client("psql");
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", database]);
        let output = succeed(psql.args(["-c", statement]));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The same where it may fail; answers whether it went well.
    #[must_use]
    pub fn try_sql(&self, url: &str, statement: &str) -> bool {
        let database = url.rsplit('/').next().unwrap_or_default();
        let mut psql = self.client("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement]);
        psql.stdin(Stdio::null()).output().expect("psql starts").status.success()
    }

    /// All that the database of a URL holds, as text; bytes are in hexadecimal.
    #[must_use]
    pub fn dump(&self, url: &str) -> String {
        let database = url.rsplit('/').next().unwrap_or_default();
        let output = succeed(self.client("pg_dump").arg(database));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A program that speaks with the server over its socket, where no password is asked for.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-h").arg(&self.folder).args(["-p", &self.port.to_string(), "-U", USER]);
        command
    }
}

fn succeed(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    output
}
