//! Starts services that tests start, those whose names are given, and keeps them until Ctrl-C:
//! `cargo xtask services`.

#![allow(clippy::print_stdout, reason = "a command line speaks by printing")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tidegate_testkit::{Oidc, Postgres, Redis};

/// Ends the server when the input ends: with this process, however it ends.
const KEEPER: &str = r#""$@" >/dev/null 2>&1 </dev/null & read -r _; kill $!; wait"#;

fn main() {
    // Taken away by their keepers, also where Ctrl-C ends this.
    let (mut postgres, mut redis, mut oidc, mut s3) = (None, None, None, None);
    for name in std::env::args().skip(1) {
        match name.as_str() {
            "postgres" => {
                let server = postgres.get_or_insert_with(Postgres::start);
                println!("TIDEGATE_CATALOG__URL={}", server.create_database());
            }
            "redis" => {
                let server = redis.get_or_insert_with(Redis::start);
                println!("TIDEGATE_REDIS__URL={}", server.url());
                println!("TIDEGATE_DEDUP__STORE=redis\nTIDEGATE_QUOTAS__STORE=redis");
            }
            "oidc" => {
                let server = oidc.get_or_insert_with(Oidc::start);
                println!("TIDEGATE_JWT__ISSUERS='{}'", server.as_setting());
                println!("(a token: curl -s {} {})", Oidc::FORM, server.tokens());
            }
            "s3" => {
                let (_, address) = s3.get_or_insert_with(start_s3);
                println!("AWS_ENDPOINT_URL=http://{address}");
                println!("AWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test");
                println!("AWS_DEFAULT_REGION=us-east-1");
            }
            other => panic!("there is no service `{other}`"),
        }
    }
    println!("(a gateway built with `--features postgres,redis,jwt` takes them; Ctrl-C stops all)");
    loop {
        std::thread::park();
    }
}

/// moto, from the folder of Python's programs that the environment names; answers once it listens.
fn start_s3() -> (Child, SocketAddr) {
    let programs = std::env::var_os("TIDEGATE_TEST_PYTHON").expect("`cargo xtask services` tells");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a free port");
    let mut keeper = Command::new("sh");
    keeper.args(["-c", KEEPER, "keeper"]).arg(PathBuf::from(programs).join("moto_server"));
    keeper.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
    // A group of its own: Ctrl-C at the terminal is for this process, whose end is enough.
    let keeper = keeper.stdin(Stdio::piped()).process_group(0).spawn().expect("a shell");
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "moto does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    (keeper, address)
}
