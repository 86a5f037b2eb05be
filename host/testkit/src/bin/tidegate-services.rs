//! Starts services that tests start, those whose names are given, and keeps them until Ctrl-C, or as long
//! as the command runs that is given after `--`: `cargo xtask services`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks by printing")]

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};

use tidegate_testkit::{AwsServer, Kafka, Oidc, Postgres, Redis, S3};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut parts = arguments.splitn(2, |word| word == "--");
    let names = parts.next().unwrap_or_default();
    let command = parts.next();
    // Taken away by their keepers, also where Ctrl-C ends this.
    let mut running = Running { is_quiet: command.is_some(), ..Running::default() };
    for name in names {
        running.start(name);
    }
    if let Some(command) = command {
        return running.during(command);
    }
    println!(
        "(a gateway built with `--features postgres,redis,jwt,kafka,kinesis,s3` takes them; Ctrl-C stops all)"
    );
    loop {
        std::thread::park();
    }
}

/// The services that run, and what was told of them.
#[derive(Default)]
struct Running {
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    oidc: Option<Oidc>,
    s3: Option<S3>,
    kafka: Option<Kafka>,
    /// The one that is strict on limits, and the one with SubscribeToShard.
    kinesis: Option<(AwsServer, AwsServer)>,
    moto: Option<AwsServer>,
    /// Nothing is printed: a command is told by its environment.
    is_quiet: bool,
    variables: BTreeMap<String, String>,
}

impl Running {
    fn start(&mut self, name: &str) {
        match name {
            "postgres" => {
                let server = self.postgres.get_or_insert_with(Postgres::start);
                let url = server.create_database();
                self.tell("TIDEGATE_CATALOG__URL", &url);
            }
            "redis" => {
                let url = self.redis.get_or_insert_with(Redis::start).url();
                self.tell("TIDEGATE_REDIS__URL", &url);
                self.tell("TIDEGATE_DEDUP__STORE", "redis");
                self.tell("TIDEGATE_QUOTAS__STORE", "redis");
            }
            "oidc" => {
                let server = self.oidc.get_or_insert_with(Oidc::start);
                let (issuers, tokens) = (server.as_setting(), server.tokens());
                self.tell("TIDEGATE_JWT__ISSUERS", &issuers);
                self.remark(&format!("a token: curl -s {} {tokens}", Oidc::FORM));
                self.also("TOKENS_URL", &tokens);
            }
            "s3" => {
                let server = self.s3.get_or_insert_with(S3::start);
                let (key, secret) = server.credentials();
                let endpoint = server.endpoint();
                self.tell("AWS_ENDPOINT_URL", &endpoint);
                self.tell("AWS_ACCESS_KEY_ID", key);
                self.tell("AWS_SECRET_ACCESS_KEY", secret);
                self.tell("AWS_DEFAULT_REGION", "us-east-1");
            }
            "kafka" => {
                let broker = self.kafka.get_or_insert_with(Kafka::start).bootstrap();
                let sinks =
                    format!("[{{name=\"events\",topic=\"events\",bootstrap=\"{broker}\"}}]");
                self.tell("TIDEGATE_SINKS__KAFKA", &sinks);
                self.also("KAFKA_SERVER", &broker);
            }
            "kinesis" => self.start_kinesis(),
            "dynamodb" | "sqs" | "cloudwatch" => {
                let endpoint = self.moto.get_or_insert_with(AwsServer::moto).endpoint();
                self.tell(&format!("AWS_ENDPOINT_URL_{}", name.to_uppercase()), &endpoint);
                self.also_credentials();
            }
            other => panic!("there is no service `{other}`"),
        }
    }

    fn start_kinesis(&mut self) {
        let (strict, streaming) = self
            .kinesis
            .get_or_insert_with(|| (AwsServer::kinesalite(), AwsServer::kinesis_local()));
        let (strict, streaming) = (strict.endpoint(), streaming.endpoint());
        let moto = self.moto.get_or_insert_with(AwsServer::moto).endpoint();
        self.remark(&format!("kinesalite, strict on limits: {strict}"));
        self.remark(&format!("kinesis-local, with SubscribeToShard: {streaming}"));
        self.remark(&format!("moto: {moto}"));
        self.also("KINESIS_ENDPOINT", &strict);
        self.also("AWS_ENDPOINT_URL_KINESIS", &strict);
        self.also_credentials();
    }

    /// A variable for the reader, as a shell takes it, and for the command.
    fn tell(&mut self, name: &str, value: &str) {
        if !self.is_quiet {
            println!("{name}={}", quoted(value));
        }
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// A line for the reader alone.
    fn remark(&self, line: &str) {
        if !self.is_quiet {
            println!("({line})");
        }
    }

    /// A variable for the command alone, where nothing was told under its name.
    fn also(&mut self, name: &str, value: &str) {
        self.variables.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }

    /// Credentials that servers for tests want, and do not look at.
    fn also_credentials(&mut self) {
        self.also("AWS_ACCESS_KEY_ID", "test");
        self.also("AWS_SECRET_ACCESS_KEY", "test");
        self.also("AWS_DEFAULT_REGION", "us-east-1");
    }

    /// Runs a command to its end; answers its status, as a shell tells it.
    fn during(&self, command: &[String]) -> ExitCode {
        let Some((program, words)) = command.split_first() else {
            eprintln!("no command is given after `--`");
            return ExitCode::from(2);
        };
        let ended = Command::new(program).args(words).envs(&self.variables).status();
        let status = match ended {
            Ok(status) => status,
            Err(error) => {
                eprintln!("`{program}` cannot be started: {error}");
                return ExitCode::from(127);
            }
        };
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }
}

/// In quotes where a shell would read something into it.
fn quoted(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.,:/@%+=".contains(&byte);
    if value.bytes().all(is_plain) { value.to_owned() } else { format!("'{value}'") }
}
