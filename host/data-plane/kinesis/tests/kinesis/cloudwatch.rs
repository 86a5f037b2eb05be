//! Counts that arrive, also late, and the alarm that looks at them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Statistic};
use aws_smithy_http_client::Builder;
use tidegate_kinesis::{CloudWatchOptions, DropReporter, OptionsError};
use tidegate_telemetry::{Format, Page};
use tidegate_testkit::{AwsServer, aws};
use tidegate_types::UnixMillis;
use tokio::runtime::Runtime;

use crate::support::{access, eventually, runtime};

struct Peer {
    server: AwsServer,
    client: Client,
    runtime: Runtime,
}

impl Peer {
    fn start() -> Self {
        let server = AwsServer::moto();
        let config = aws_sdk_cloudwatch::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .endpoint_url(server.endpoint())
            .http_client(Builder::new().build_http())
            .build();
        Self { server, client: Client::from_conf(config), runtime: runtime() }
    }

    fn reporter(&self, every: Duration, total: bool) -> DropReporter {
        let mut options = CloudWatchOptions::new("events");
        options.access = access(&self.server.endpoint());
        (options.every, options.total) = (every, total);
        let _inside = self.runtime.enter();
        DropReporter::start(options).expect("the options are good")
    }

    /// The sum of a metric over the last hour.
    fn sum(&self, name: &str, stream: Option<&str>) -> f64 {
        let now = i64::try_from(UnixMillis::now().0 / 1000).unwrap();
        let dimension = |value: &str| Dimension::builder().name("Stream").value(value).build();
        let request = self
            .client
            .get_metric_statistics()
            .namespace("Tidegate")
            .metric_name(name)
            .set_dimensions(stream.map(|stream| vec![dimension(stream)]))
            .start_time(DateTime::from_secs(now - 3600))
            .end_time(DateTime::from_secs(now + 3600))
            .period(60)
            .statistics(Statistic::Sum);
        let answer = self.runtime.block_on(request.send()).expect("an answer");
        answer.datapoints().iter().filter_map(|point| point.sum()).sum()
    }
}

#[test]
fn what_is_counted_arrives_in_the_end_with_what_is_left() {
    let peer = Peer::start();
    let reporter = peer.reporter(Duration::from_millis(20), false);
    let counts = reporter.counts();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let counts = Arc::clone(&counts);
            scope.spawn(move || (0..250).for_each(|_| counts.received(4)));
        }
    });
    counts.dropped(7);
    eventually("it is sent", || peer.sum("events_received", Some("events")) >= 4000.0);
    counts.received(10);
    counts.dropped(3);
    peer.runtime.block_on(reporter.close());
    assert_eq!(peer.sum("events_received", Some("events")), 4010.0);
    assert_eq!(peer.sum("event_drop", Some("events")), 10.0);
}

#[test]
fn the_same_is_counted_over_all_streams_where_that_is_asked_for() {
    let peer = Peer::start();
    let reporter = peer.reporter(Duration::from_secs(300), true);
    reporter.counts().received(100);
    reporter.counts().dropped(2);
    peer.runtime.block_on(reporter.close());
    let data = peer.client.list_metrics().namespace("Tidegate").send();
    let data = peer.runtime.block_on(data).unwrap();
    let mut names: Vec<(String, usize)> = data
        .metrics()
        .iter()
        .map(|metric| (metric.metric_name().unwrap().to_owned(), metric.dimensions().len()))
        .collect();
    // moto tells of each value.
    names.sort();
    names.dedup();
    let expected =
        [("event_drop", 0), ("event_drop", 1), ("events_received", 0), ("events_received", 1)];
    assert_eq!(names, expected.map(|(name, count)| (name.to_owned(), count)));
    assert_eq!(peer.sum("event_drop", Some("events")), 2.0);
}

#[test]
fn what_cloudwatch_did_not_take_is_sent_later() {
    let peer = Peer::start();
    peer.server.kill();
    let reporter = peer.reporter(Duration::from_millis(20), false);
    let counts = reporter.counts();
    counts.received(50);
    counts.dropped(5);
    let failed = |reporter: &DropReporter| {
        let text = Page::of(|page| reporter.report(page)).text(Format::Prometheus);
        let name = "tidegate_cloudwatch_report_failures_total{stream=\"events\"} ";
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.expect("a row").parse::<u64>().expect("a number")
    };
    eventually("it has failed", || failed(&reporter) >= 2);
    counts.received(1);
    peer.server.restart();
    eventually("it is sent", || peer.sum("events_received", Some("events")) >= 51.0);
    peer.runtime.block_on(reporter.close());
    assert_eq!(peer.sum("events_received", Some("events")), 51.0);
    assert_eq!(peer.sum("event_drop", Some("events")), 5.0);
}

#[test]
fn nothing_is_sent_where_nothing_came() {
    let peer = Peer::start();
    let reporter = peer.reporter(Duration::from_millis(10), true);
    peer.runtime.block_on(reporter.close());
    let data = peer.client.list_metrics().namespace("Tidegate").send();
    assert_eq!(peer.runtime.block_on(data).unwrap().metrics().len(), 0);
}

#[test]
fn options_that_cannot_be_are_named() {
    let start = |change: fn(&mut CloudWatchOptions)| {
        let mut options = CloudWatchOptions::new("events");
        change(&mut options);
        DropReporter::start(options).map(drop).unwrap_err()
    };
    assert_eq!(start(|_| {}), OptionsError::NoRuntime);
    assert!(start(|o| o.every = Duration::ZERO).to_string().contains("report every"));
    assert!(start(|o| o.namespace = "AWS/Kinesis".to_owned()).to_string().contains("namespace"));
}

/// Python's SDK refuses parameters that it does not know, and moto those that make no sense.
#[test]
fn the_alarm_of_the_example_is_taken() {
    const PUT: &str = "
import json, sys, boto3
client = boto3.client('cloudwatch', endpoint_url=sys.argv[1], region_name='us-east-1',
                      aws_access_key_id='test', aws_secret_access_key='test')
client.put_metric_alarm(**json.load(open(sys.argv[2])))
";
    let peer = Peer::start();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = file.join("../../../examples/deploy/cloudwatch-alarm.json");
    let mut put = Command::new(aws::python_programs().join("python"));
    let output = put.args(["-c", PUT, &peer.server.endpoint()]).arg(file).output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let alarms = peer.runtime.block_on(peer.client.describe_alarms().send()).unwrap();
    let [alarm] = alarms.metric_alarms() else { panic!("{alarms:?}") };
    assert_eq!((alarm.threshold(), alarm.evaluation_periods()), (Some(1.0), Some(1)));
    let mut metrics: Vec<&str> = alarm
        .metrics()
        .iter()
        .filter_map(|query| query.metric_stat())
        .inspect(|stat| assert_eq!((stat.period(), stat.stat()), (Some(300), Some("Sum"))))
        .filter_map(|stat| stat.metric()?.metric_name())
        .collect();
    metrics.sort_unstable();
    assert_eq!(metrics, ["event_drop", "events_received"]);
    let expression = alarm.metrics().iter().find_map(|query| query.expression());
    assert_eq!(expression, Some("IF(received > 0, 100 * FILL(dropped, 0) / received, 0)"));
}
