//! What the log is told: of streams by names that no other test has.

use std::io;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tidegate_kinesis::{CloudWatchOptions, DropReporter};
use tidegate_sinks::Failure;
use tidegate_telemetry::{Format, Page};
use tidegate_testkit::KinesisFake;
use tidegate_testkit::kinesis_fake::{Outcome, Reply};

use crate::support::{Event, Rig, access, eventually, options, runtime};

static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From here on all that is logged, by all tests, is kept.
fn listen() {
    static LISTENS: OnceLock<()> = OnceLock::new();
    LISTENS.get_or_init(|| {
        tracing_subscriber::fmt().with_ansi(false).with_writer(|| Writer).init();
    });
}

/// The warnings that name something.
fn warnings(of: &str) -> Vec<String> {
    let written = String::from_utf8_lossy(&WRITTEN.lock().unwrap()).into_owned();
    let lines = written.lines().filter(|line| line.contains(" WARN ") && line.contains(of));
    lines.map(str::to_owned).collect()
}

fn rig(fake: &KinesisFake, stream: &str) -> Rig {
    let mut options = options(&fake.endpoint());
    options.stream = stream.to_owned();
    options.look_every = Duration::from_millis(10);
    Rig::start(options)
}

#[test]
fn a_stream_that_forgets_within_a_day_is_told_of_once() {
    listen();
    let fake = KinesisFake::start(&["short-memory", "long-memory"]);
    fake.set_stream("short-memory", |stream| stream.retention_hours = 23);
    let _rigs = [rig(&fake, "short-memory"), rig(&fake, "long-memory")];
    fake.wait_for_looks(10);
    let told = warnings("short-memory");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("retention_hours=23"), "{told:?}");
    assert_eq!(warnings("long-memory"), [""; 0]);
}

#[test]
fn throttling_is_told_of_now_and_then() {
    listen();
    let fake = KinesisFake::start(&["throttled"]);
    fake.script(|_| Reply::Entries(vec![Outcome::Throttle]));
    let rig = rig(&fake, "throttled");
    let failure = rig.failure(&Event::new("k", 1).within(Duration::from_millis(300)));
    assert!(matches!(failure, Failure::Errored { .. }), "{failure:?}");
    assert!(fake.calls().len() > 1, "it was throttled more than once");
    let told = warnings("stream=\"throttled\"");
    let throttles = told.iter().filter(|line| line.contains("kinesis throttles"));
    assert_eq!(throttles.count(), 1, "{told:?}");
    let nothing = told.iter().filter(|line| line.contains("stores nothing"));
    assert_eq!(nothing.count(), 1, "{told:?}");
}

#[test]
fn a_stream_that_is_not_there_is_told_of_once() {
    listen();
    let fake = KinesisFake::start(&[]);
    let rig = rig(&fake, "never-made");
    fake.wait_for_looks(10);
    let told = warnings("never-made");
    let looked = told.iter().filter(|line| line.contains("cannot be looked at"));
    assert_eq!(looked.count(), 1, "{told:?}");
    drop(rig);
}

#[test]
fn a_cloudwatch_that_is_not_there_is_told_of_once() {
    listen();
    // Nobody listens at this port any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let runtime = runtime();
    let mut options = CloudWatchOptions::new("unreported");
    options.access = access(&format!("http://{gone}"));
    options.every = Duration::from_millis(10);
    let reporter = {
        let _inside = runtime.enter();
        DropReporter::start(options).unwrap()
    };
    reporter.counts().received(1);
    let failures = "tidegate_cloudwatch_report_failures_total{stream=\"unreported\"} ";
    eventually("it has failed", || {
        let text = Page::of(|page| reporter.report(page)).text(Format::Prometheus);
        let found = text.lines().find_map(|line| line.strip_prefix(failures)).unwrap();
        found.parse::<u64>().unwrap() >= 5
    });
    let told = warnings("stream=\"unreported\"");
    assert_eq!(told.len(), 1, "{told:?}");
}
