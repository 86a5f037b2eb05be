//! Sinks as operators write them, in a file or in the environment.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is a failure told"
)]

use std::time::Duration;

use tidegate_config::{Config, ConfigError, Envelope, Linger, SaslMechanism, Switch};

const KAFKA: &str = "[[sinks.kafka]]\nname = \"audit\"\nbootstrap = \"k:9092\"\ntopic = \"t\"\n";
const KINESIS: &str = "[[sinks.kinesis]]\nname = \"raw\"\nstream = \"events-raw\"\n";

#[test]
fn the_least_that_is_written_has_its_defaults() {
    let sinks = Config::from_toml(&format!("{KAFKA}{KINESIS}")).unwrap().sinks;
    let [kafka] = &sinks.kafka[..] else { panic!("{sinks:?}") };
    assert_eq!((kafka.name.as_str(), kafka.dead_letters().as_str()), ("audit", "t.dlq"));
    assert_eq!(
        (kafka.linger, kafka.tls, kafka.sasl),
        (Linger::Adaptive, Switch::Off, SaslMechanism::None)
    );
    assert_eq!((kafka.batch_bytes, kafka.queue_bytes), (1_000_000, 256 << 20));
    let [kinesis] = &sinks.kinesis[..] else { panic!("{sinks:?}") };
    assert_eq!((kinesis.stream.as_str(), kinesis.envelope), ("events-raw", Envelope::Cloudevents));
    assert_eq!((kinesis.linger, kinesis.cloudwatch), (Duration::from_millis(50), Switch::Off));
    assert_eq!(sinks.delivery_timeout, Duration::from_secs(10));
}

#[test]
fn everything_can_be_written_in_the_environment_and_secrets_stay_out_of_sight() {
    let variable = r#"[{name=audit,bootstrap="a:1,b:2",topic=t,dead_letter_topic="t.dead",tenants=[acme],
        linger=fixed,linger_time="20ms",compression=none,tls=on,ca_file="/ca",certificate_file="/c",
        key_file="/k",sasl="scram-sha-512",sasl_user=u,sasl_password="hunter2"}]"#;
    let given = [("TIDEGATE_SINKS__KAFKA".to_owned(), variable.to_owned())];
    let sinks = Config::load_with(None, given).unwrap().sinks;
    let [kafka] = &sinks.kafka[..] else { panic!("{sinks:?}") };
    assert_eq!((kafka.dead_letters().as_str(), kafka.tenants[0].as_str()), ("t.dead", "acme"));
    assert_eq!((kafka.linger, kafka.linger_time), (Linger::Fixed, Duration::from_millis(20)));
    assert_eq!(kafka.sasl_password.reveal().as_deref(), Ok("hunter2"));
    assert!(!format!("{sinks:?}").contains("hunter2"));
    let none = [("TIDEGATE_SINKS__KAFKA".to_owned(), String::new())];
    assert_eq!(Config::load_with(None, none).unwrap().sinks.kafka, []);
}

#[test]
fn what_is_wrong_is_told_with_its_table() {
    for (text, expected) in [
        (
            "[sinks]\nkafka = 1\n",
            "this is no list of tables: write a section [[sinks.kafka]] for each",
        ),
        (
            "[[sinks.kafka]]\nbootstrap = \"k:1\"\ntopic = \"t\"\n",
            "table 1: `name` is missing: write what routes call the sink",
        ),
        (
            "[[sinks.kafka]]\nname = \"a\"\ntopic = \"t\"\n",
            "table 1: `bootstrap` is missing: write HOST:PORT of some brokers",
        ),
        (
            "[[sinks.kafka]]\nname = \"a\"\nbootstrap = \"k:1\"\ntopic = \"a b\"\n",
            "table 1: `topic` must be 1 to 249 of letters, digits, `.`, `_` and `-`",
        ),
        (&format!("{KAFKA}tpic = \"t\"\n"), "table 1: there is no key `tpic`; there are name, "),
        (
            &format!("{KAFKA}compression = \"brotli\"\n"),
            "table 1: `compression`: `brotli` is not known: write none or lz4 or gzip or snappy",
        ),
        (
            &format!("{KAFKA}batch_bytes = 5\n"),
            "table 1: `batch_bytes`: `5` is out of bounds: write 1KiB to 1GiB",
        ),
        (
            &format!("{KAFKA}sasl = \"plain\"\n"),
            "table 1: `sasl_user` is missing: write as whom the gateway speaks",
        ),
        (&format!("{KAFKA}tenants = [\"A B\"]\n"), "table 1: `tenants`: `A B` is no tenant"),
        (&format!("{KAFKA}{KAFKA}"), "table 2: `audit` is there twice"),
        (
            &format!("{KINESIS}access_key_id = \"x\"\n"),
            "table 1: `access_key_id` and `secret_access_key` go together",
        ),
        (
            &format!("{KINESIS}batch_records = 501\n"),
            "table 1: `batch_records`: `501` is out of bounds",
        ),
    ] {
        let Err(ConfigError::Invalid(problems)) = Config::from_toml(text) else {
            panic!("{text} is taken");
        };
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert!(problem.message.contains(expected), "{text}\n{}", problem.message);
    }
}
