//! Configurations as operators write them: what is taken from where, and what wrong ones are told.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is a failure told"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_config::{Config, ConfigError, Endpoint, InFlightStatus, LogFormat, Plugins, Wal};

fn with_environment(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.toml");
    std::fs::write(&path, text).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load_with(Some(&path), variables)
}

/// What is told, a line for each problem, without the file's folder.
fn complaints(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    match with_environment(text, variables) {
        Err(ConfigError::Invalid(problems)) => problems
            .iter()
            .map(|problem| {
                let source = problem.source.as_deref().map(Path::new).and_then(Path::file_name);
                let source = source.map(|name| name.to_string_lossy().into_owned());
                format!("{} @ {}: {}", problem.key, source.unwrap_or_default(), problem.message)
            })
            .collect(),
        other => panic!("expected problems of {text}, got {other:?}"),
    }
}

fn check_bad(text: &str, expected: &str) {
    assert_eq!(complaints(text, &[]), [expected], "{text}");
}

/// Reads every declared default against its declared bounds.
#[test]
fn nothing_given_is_a_valid_configuration() {
    let config = Config::load_with(None, []).unwrap();
    assert_eq!(config.data_dir, PathBuf::from("tidegate-data"));
    assert_eq!(config.admin.token_file, PathBuf::from("tidegate-data/admin-token"));
    assert_eq!(config.storage.directory, PathBuf::from("tidegate-data/parquet"));
    assert_eq!(config.ingress.address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.ingress.endpoints.len(), 8);
    assert_eq!(config.ingress.max_body_bytes, 4 << 20);
    assert_eq!(config.ingress.in_flight_status.code(), 409);
    assert_eq!(config.dedup.window, Duration::from_secs(3600));
    assert!(config.workers.threads >= 1);
    assert!(!config.node.name.is_empty());
    assert_eq!(Wal::default().segment_bytes, config.wal.segment_bytes);
    assert_eq!(Plugins::default().call_budget, Duration::from_millis(50));
}

#[test]
fn the_file_wins_over_defaults_and_the_environment_over_the_file() {
    let file = r#"
        data_dir = "/srv/tide"
        [node]
        name = "from-file"
        [ingress]
        address = "0.0.0.0:80"
        endpoints = ["events", "ping"]
        in_flight_status = 503
        max_body_bytes = 1048576
        request_timeout = "5s"
        [storage]
        directory = "/mnt/parquet"
        [log]
        format = "json"
    "#;
    let variables = [
        ("TIDEGATE_NODE__NAME", "007"),
        ("TIDEGATE_INGRESS__ENDPOINTS", "events, batch"),
        ("TIDEGATE_INGRESS__MAX_BATCH_EVENTS", "50"),
        ("TIDEGATE_DEDUP__WINDOW", "2m"),
        ("TIDEGATE_WAL__MAX_BYTES", "1 GiB"),
        ("TIDEGATE_ADMIN_URL", "http://127.0.0.1:8081"),
        ("TIDEGATE_API_KEY", "not ours"),
        ("HOME", "/root"),
    ];
    let config = with_environment(file, &variables).unwrap();
    assert_eq!(config.node.name, "007");
    assert_eq!(config.ingress.address.port(), 80);
    assert_eq!(config.ingress.endpoints, [Endpoint::Events, Endpoint::Batch]);
    assert_eq!(config.ingress.in_flight_status, InFlightStatus::Unavailable);
    assert_eq!((config.ingress.max_body_bytes, config.ingress.max_batch_events), (1 << 20, 50));
    assert_eq!(config.ingress.request_timeout, Duration::from_secs(5));
    assert_eq!((config.dedup.window, config.wal.max_bytes), (Duration::from_secs(120), 1 << 30));
    assert_eq!(config.storage.directory, PathBuf::from("/mnt/parquet"));
    assert_eq!(config.wal.directory, PathBuf::from("/srv/tide/wal"));
    assert_eq!(config.log.format, LogFormat::Json);

    let moved = with_environment(file, &[("TIDEGATE_DATA_DIR", "/elsewhere")]).unwrap();
    assert_eq!(moved.compile.cache_directory, PathBuf::from("/elsewhere/compiled"));
}

#[test]
fn texts_of_the_file_may_name_variables() {
    let file = r#"
        [node]
        name = "${HOST_NAME:-lonely}"
        [telemetry]
        metrics_address = "127.0.0.1:${METRICS_PORT:-8001}"
        [[sinks.kafka]]
        name = "events"
        bootstrap = "${KAFKA_SERVER:-kafka:9092}"
        topic = "${KAFKA_TOPIC}"
    "#;
    let config = with_environment(file, &[("KAFKA_TOPIC", "t"), ("METRICS_PORT", "9")]).unwrap();
    assert_eq!(config.node.name, "lonely");
    assert_eq!(config.telemetry.metrics_address.port(), 9);
    let sink = &config.sinks.kafka[0];
    assert_eq!((sink.bootstrap.as_str(), sink.topic.as_str()), ("kafka:9092", "t"));
    assert_eq!(
        complaints(file, &[]),
        [
            "sinks.kafka[0].topic @ tidegate.toml: the variable KAFKA_TOPIC is not set: set it, or write \
          ${KAFKA_TOPIC:-DEFAULT}"
        ]
    );
}

#[test]
fn wrong_values_are_told_with_what_to_write() {
    let size =
        "is not a size: write bytes, or a number with KiB, MiB, GiB or TiB, such as \"64MiB\"";
    let time = "is not a time: write a number with us, ms, s, m or h, such as \"30s\"";
    let count = "is not a whole number: write one without a unit, such as 1000";
    for (section, line, message) in [
        ("wal", "segment_bytes = \"64MB\"", format!("`64MB` {size}")),
        (
            "catalog",
            "url = \"mysql://u:s3cr3t@h/d\"",
            "this is not the URL of a database: write \
             \"postgres://USER:PASSWORD@HOST:PORT/DATABASE\", or nothing for SQLite"
                .to_owned(),
        ),
        (
            "redis",
            "url = \"http://u:s3cr3t@h\"",
            "this is not the URL of a Redis: write \
             \"redis://USER:PASSWORD@HOST:PORT/DATABASE\", or \"file:PATH\""
                .to_owned(),
        ),
        (
            "redis",
            "prefix = \"{a}\"",
            "this is no prefix: write up to 64 visible ASCII characters without braces".to_owned(),
        ),
        (
            "redis",
            "response_timeout = \"11s\"",
            "`11s` is out of bounds: write 1ms to 10s".to_owned(),
        ),
        (
            "storage",
            "url = \"https://bucket/prefix\"",
            "this does not fit: write such as \"s3://BUCKET/PREFIX\", or nothing".to_owned(),
        ),
        (
            "storage",
            "endpoint = \"minio:9000\"",
            "this does not fit: write such as \"https://HOST:PORT\", or nothing".to_owned(),
        ),
        (
            "storage",
            "secret_access_key = [\"s3cr3t\"]",
            "this is no secret: write it, or \"file:PATH\"".to_owned(),
        ),
        ("dedup", "store = \"disk\"", "`disk` is not known: write in-process or redis".to_owned()),
        ("wal", "segment_bytes = -1", format!("`-1` {size}")),
        ("wal", "segment_bytes = true", format!("`true` {size}")),
        ("wal", "segment_bytes = [1]", format!("a list or table {size}")),
        (
            "wal",
            "segment_bytes = \"63KiB\"",
            "`63KiB` is out of bounds: write 64KiB to 1GiB".to_owned(),
        ),
        (
            "wal",
            "segment_bytes = 1073741825",
            "`1073741825` is out of bounds: write 64KiB to 1GiB".to_owned(),
        ),
        ("wal", "seal_after = 100", format!("`100` {time}")),
        ("wal", "seal_after = \"0s\"", "`0s` is out of bounds: write 1ms to 10s".to_owned()),
        ("ingress", "max_batch_events = \"1KiB\"", format!("`1KiB` {count}")),
        ("ingress", "max_batch_events = 1.5", format!("`1.5` {count}")),
        ("ingress", "max_batch_events = 0", "`0` is out of bounds: write 1 to 100000".to_owned()),
        ("ingress", "max_depth = 129", "`129` is out of bounds: write 1 to 128".to_owned()),
        (
            "ingress",
            "address = \"localhost\"",
            "`localhost` is not an address: write IP:PORT, such as \"127.0.0.1:8080\"".to_owned(),
        ),
        (
            "ingress",
            "address = 8080",
            "`8080` is not an address: write IP:PORT, such as \"127.0.0.1:8080\"".to_owned(),
        ),
        (
            "ingress",
            "endpoints = []",
            "the list is empty: write one or more of events, receipts, batch, ping, health, livez, readyz, openapi, metrics"
                .to_owned(),
        ),
        (
            "ingress",
            "endpoints = [\"events\", \"admin\"]",
            "`admin` is not known: write a list of events, receipts, batch, ping, health, livez, readyz, openapi, metrics"
                .to_owned(),
        ),
        (
            "ingress",
            "endpoints = { a = 1 }",
            "this is no list: write a list of events, receipts, batch, ping, health, livez, readyz, openapi, metrics"
                .to_owned(),
        ),
        ("ingress", "in_flight_status = 500", "`500` is not known: write 409 or 503".to_owned()),
        (
            "log",
            "level = \"INFO\"",
            "`INFO` is not known: write error or warn or info or debug or trace".to_owned(),
        ),
        (
            "node",
            "name = \"a b\"",
            "`a b` is not a node's name: write 1 to 63 of letters, digits, `-`, `_` and `.`"
                .to_owned(),
        ),
        ("workers", "threads = 0", "`0` is out of bounds: write 1 to 256".to_owned()),
        ("storage", "directory = \"\"", "this is not a path: write one".to_owned()),
        ("storage", "max_open_partitions = 0", "`0` is out of bounds: write 1 to 4096".to_owned()),
    ] {
        let key = line.split(' ').next().unwrap();
        check_bad(
            &format!("[{section}]\n{line}\n"),
            &format!("{section}.{key} @ tidegate.toml: {message}"),
        );
    }
}

#[test]
fn unknown_keys_and_sections_are_told() {
    check_bad(
        "[log]\ncolour = true\n",
        "log.colour @ tidegate.toml: there is no such key; [log] has access, access_lines, format, level",
    );
    check_bad(
        "log = 1\n",
        "log @ tidegate.toml: this is a section: write `[log]` and its keys below",
    );
    let sections = "node, workers, ingress, admin, anonymous, tls, keys, quotas, jwt, catalog, dedup, wal, storage, plugins, compile, schemas, registries, redis, sinks, log, telemetry";
    let expected = format!(
        "kafka @ tidegate.toml: there is no such section; there are data_dir and {sections}"
    );
    check_bad("[kafka]\ntopic = 1\n", &expected);
    check_bad("[kafka]\n", &expected);
    check_bad("kafka = 1\n", &expected);
}

#[test]
fn variables_are_told_by_name() {
    let of = |name: &str, value: &str| complaints("", &[(name, value)]);
    assert_eq!(
        of("TIDEGATE_WAL__SEGMENT_BYTES", "lots"),
        [
            "wal.segment_bytes @ TIDEGATE_WAL__SEGMENT_BYTES: `lots` is not a size: write bytes, or a number with KiB, MiB, GiB or TiB, such as \"64MiB\""
        ]
    );
    assert_eq!(
        of("TIDEGATE_LOG__COLOUR", "1"),
        [
            "log.colour @ TIDEGATE_LOG__COLOUR: there is no such key; [log] has access, access_lines, format, level"
        ]
    );
    assert_eq!(
        of("TIDEGATE_INGRESS_ADDRESS", "127.0.0.1:1"),
        [
            "ingress.address @ TIDEGATE_INGRESS_ADDRESS: section and key are joined by `__`: write TIDEGATE_INGRESS__ADDRESS"
        ]
    );
    assert_eq!(
        of("TIDEGATE_DATA_DIR", ""),
        [
            "data_dir @ TIDEGATE_DATA_DIR: this is not a folder: write a path, such as \"/var/lib/tidegate\""
        ]
    );
    assert!(
        of("TIDEGATE_KAFKA__TOPIC", "x")[0]
            .starts_with("kafka @ TIDEGATE_KAFKA__TOPIC: there is no such section;")
    );
}

#[test]
fn keys_that_contradict_each_other_are_told() {
    for (text, expected) in [
        (
            "[ingress]\nmax_event_bytes = \"2MiB\"",
            "ingress.max_event_bytes @ tidegate.toml: ingress.max_event_bytes must not be more than plugins.call_input_bytes: a call is given whole events; change one of the two",
        ),
        (
            "[dedup]\nlease = \"10s\"",
            "dedup.lease @ tidegate.toml: ingress.request_timeout must not be more than dedup.lease: a request must not outlive its claims; change one of the two",
        ),
        (
            "[redis]\nresponse_timeout = \"8s\"",
            "redis.response_timeout @ tidegate.toml: 4 times redis.response_timeout must not be more than dedup.lease: keys are asked for and settled within a claim; change one of the two",
        ),
        (
            "[storage]\naccess_key_id = \"AKIA\"",
            "storage.access_key_id @ tidegate.toml: this needs storage.secret_access_key: write that as well",
        ),
        (
            "[storage]\nsecret_access_key = \"s3cr3t\"",
            "storage.secret_access_key @ tidegate.toml: this needs storage.access_key_id: write that as well",
        ),
        (
            "[dedup]\nstore = \"redis\"",
            "redis.url @ tidegate.toml: dedup.store is redis, and there is no URL of one: write it",
        ),
        (
            "[quotas]\nstore = \"redis\"",
            "redis.url @ tidegate.toml: quotas.store is redis, and there is no URL of one: write it",
        ),
        (
            "[wal]\nmax_bytes = \"128MiB\"",
            "wal.max_bytes @ tidegate.toml: 3 times wal.segment_bytes must not be more than wal.max_bytes: one segment is written while others are made and read; change one of the two",
        ),
        (
            "[wal]\ngroup_bytes = \"33MiB\"",
            "wal.group_bytes @ tidegate.toml: 2 times wal.group_bytes must not be more than wal.segment_bytes: a group is in one segment, with its frame; change one of the two",
        ),
        (
            "[plugins]\nslice = \"60ms\"",
            "plugins.slice @ tidegate.toml: plugins.slice must not be more than plugins.call_budget: a call has at least one slice; change one of the two",
        ),
        (
            "[compile]\ncpu_time = \"121s\"",
            "compile.cpu_time @ tidegate.toml: compile.cpu_time must not be more than compile.wall_time: CPU time is part of wall time; change one of the two",
        ),
        (
            "[jwt]\nkeys_max_age = \"1m\"",
            "jwt.keys_max_age @ tidegate.toml: jwt.keys_refresh must not be more than jwt.keys_max_age: keys are fetched anew while they can still be used; change one of the two",
        ),
        (
            "[ingress]\naddress = \"127.0.0.1:8081\"",
            "admin.address @ : ingress.address is 127.0.0.1:8081 as well: write another port",
        ),
        (
            "[ingress]\ntls_certificate = \"a.pem\"",
            "ingress.tls_certificate @ tidegate.toml: this needs ingress.tls_key: name that file as well",
        ),
        (
            "[admin]\ntls_key = \"a.pem\"",
            "admin.tls_key @ tidegate.toml: this needs admin.tls_certificate: name that file as well",
        ),
        (
            "[ingress]\ntls_client_ca = \"a.pem\"",
            "ingress.tls_client_ca @ tidegate.toml: this needs ingress.tls_certificate: name that file as well",
        ),
    ] {
        check_bad(text, expected);
    }
    assert!(
        Config::from_toml(
            "[ingress]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\""
        )
        .is_ok()
    );
}

#[test]
fn everything_wrong_is_told_at_once() {
    let error =
        with_environment("[wal]\nsegment_bytes = 1\nsize = 2\n[lag]\n[log]\nlevel = \"loud\"", &[])
            .unwrap_err();
    let ConfigError::Invalid(problems) = &error else { panic!("{error}") };
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["wal.segment_bytes", "wal.size", "log.level", "lag"]);
    let text = error.to_string();
    assert!(text.starts_with("the configuration is not valid:\n  wal.segment_bytes ("), "{text}");
    assert!(text.contains("tidegate.toml): `1` is out of bounds: write 64KiB to 1GiB\n"), "{text}");
}

#[test]
fn files_that_cannot_be_read_are_told() {
    let missing = Config::load_with(Some(Path::new("/nowhere/tidegate.toml")), []).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("the configuration file /nowhere/tidegate.toml cannot be read: "),
        "{missing}"
    );
    let syntax = with_environment("[wal]\nsegment_bytes = \n", &[]).unwrap_err().to_string();
    assert!(
        syntax.contains("tidegate.toml is not TOML: ") && syntax.contains("line 2"),
        "{syntax}"
    );
    let large = with_environment(&"#".repeat((1 << 20) + 1), &[]).unwrap_err().to_string();
    assert!(large.contains("cannot be read: it has more than 1 MiB"), "{large}");
}

#[test]
fn the_reference_is_up_to_date() {
    // Cargo runs tests in the folder of their crate.
    let path = Path::new("reference.md");
    let made = Config::reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == made, "run this test with UPDATE_REFERENCE=1 and commit {}", path.display());
}

#[test]
fn the_password_of_the_catalog_is_not_shown() {
    let url = "postgres://tidegate:s3cr3t@db:5432/tidegate";
    let config = Config::from_toml(&format!("[catalog]\nurl = \"{url}\"")).unwrap();
    assert_eq!(config.catalog.url.reveal(), url);
    assert!(!format!("{config:?}").contains("s3cr3t"));
}

#[test]
fn the_secret_of_a_bucket_may_stand_in_a_file_and_is_not_shown() {
    let revealed = |secret: &str| {
        let text = format!("[storage]\naccess_key_id = \"me\"\nsecret_access_key = \"{secret}\"");
        let config = Config::from_toml(&text).unwrap();
        assert!(!format!("{config:?}").contains("s3cr3t"));
        config.storage.secret_access_key.reveal()
    };
    assert_eq!(revealed("s3cr3t"), Ok("s3cr3t".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let in_file = format!("file:{}", path.display());
    assert!(revealed(&in_file).unwrap_err().contains("cannot be read"));
    for (text, expected) in [("s3cr3t\n", Some("s3cr3t")), ("\n", None)] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(revealed(&in_file).ok().as_deref(), expected);
    }
}

#[test]
fn the_url_of_redis_may_stand_in_a_file_and_is_not_shown() {
    let url = "rediss://tidegate:s3cr3t@cache:6379/2";
    let revealed = |url: &str| {
        let text = format!("[dedup]\nstore = \"redis\"\n[redis]\nurl = \"{url}\"");
        let config = Config::from_toml(&text).unwrap();
        assert!(!format!("{config:?}").contains("s3cr3t"));
        config.redis.url.reveal()
    };
    assert_eq!(revealed(url), Ok(url.to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis-url");
    let in_file = format!("file:{}", path.display());
    assert!(revealed(&in_file).unwrap_err().contains("cannot be read"));
    for (text, expected) in [(format!("{url}\n"), Some(url)), ("s3cr3t".to_owned(), None)] {
        std::fs::write(&path, &text).unwrap();
        let found = revealed(&in_file);
        assert_eq!(found.as_deref().ok(), expected);
        assert!(found.is_ok() || !found.unwrap_err().contains("s3cr3t"));
    }
}

#[test]
fn hosts_of_registries_are_lists() {
    let allowed = |text: &str, variables: &[(&str, &str)]| {
        with_environment(text, variables).unwrap().registries.allowed
    };
    assert_eq!(allowed("", &[]), Vec::<String>::new());
    let text = "[registries]\nallowed = [\"GHCR.io\", \"127.0.0.1:5000\", \"[::1]:5000\"]";
    assert_eq!(allowed(text, &[]), ["ghcr.io", "127.0.0.1:5000", "[::1]:5000"]);
    let variable = "TIDEGATE_REGISTRIES__ALLOWED";
    assert_eq!(allowed("", &[(variable, "ghcr.io, r.example")]), ["ghcr.io", "r.example"]);
    assert_eq!(allowed("", &[(variable, "")]), Vec::<String>::new());
    for host in ["https://ghcr.io", "ghcr.io/acme", "*", "a b", ""] {
        let told = complaints(&format!("[registries]\nallowed = [\"{host}\"]"), &[]);
        assert!(told[0].contains(&format!("`{host}` is no host")), "{told:?}");
    }
    let told = complaints("[registries]\nallowed = { a = 1 }", &[]);
    assert!(told[0].contains("this is no list of hosts"), "{told:?}");
}

#[test]
fn a_path_without_credentials_takes_nothing_from_others_and_has_a_tenant() {
    for path in ["/readyz", "/v1/events", "events", "/a b"] {
        check_bad(
            &format!("[anonymous]\npath = \"{path}\"\ntenant = \"web\""),
            "anonymous.path @ tidegate.toml: this is no path for events: write one such as /events, outside of /v1/",
        );
    }
    check_bad(
        "[anonymous]\npath = \"/events\"",
        "anonymous.tenant @ : this is missing: write whose events they are that come to anonymous.path",
    );
    for endpoint in ["collector:4318", "http://user:s3cr3t@collector:4318"] {
        check_bad(
            &format!("[telemetry]\notlp_endpoint = \"{endpoint}\""),
            "telemetry.otlp_endpoint @ tidegate.toml: this is no URL of a collector: write http://HOST:4318, or nothing",
        );
    }
}
