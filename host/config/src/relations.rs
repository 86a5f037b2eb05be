//! What must hold between two keys.

use std::time::Duration;

use crate::source::Sources;
use crate::{Config, Problem, StateStore};

type Key = (&'static str, &'static str);

/// `times` × the lesser value must not be more than the greater one.
struct Order {
    times: u128,
    lesser: (Key, u128),
    greater: (Key, u128),
    why: &'static str,
}

fn order(lesser: (Key, u128), greater: (Key, u128), why: &'static str) -> Order {
    Order { times: 1, lesser, greater, why }
}

impl Order {
    fn times(self, times: u128) -> Self {
        Self { times, ..self }
    }

    fn problem(&self, sources: &Sources) -> Option<Problem> {
        let ((lesser, small), (greater, great)) = (self.lesser, self.greater);
        if small.saturating_mul(self.times) <= great {
            return None;
        }
        let name = |(section, key): Key| format!("{section}.{key}");
        let source = |(section, key): Key| sources.origin_of(section, key);
        // Told of the key that was given; where both were, of the lesser.
        let named =
            if source(lesser).is_none() && source(greater).is_some() { greater } else { lesser };
        let times = if self.times == 1 { String::new() } else { format!("{} times ", self.times) };
        let message = format!(
            "{times}{} must not be more than {}: {}; change one of the two",
            name(lesser),
            name(greater),
            self.why
        );
        Some(Problem { key: name(named), source: source(named), message })
    }
}

/// A number to compare by: sizes as they are, times in nanoseconds.
trait Amount {
    fn amount(&self) -> u128;
}

impl Amount for usize {
    fn amount(&self) -> u128 {
        *self as u128
    }
}

impl Amount for u64 {
    fn amount(&self) -> u128 {
        u128::from(*self)
    }
}

impl Amount for Duration {
    fn amount(&self) -> u128 {
        self.as_nanos()
    }
}

/// The name and amount of a key.
macro_rules! at {
    ($config:ident.$section:ident.$key:ident) => {
        ((stringify!($section), stringify!($key)), $config.$section.$key.amount())
    };
}

fn of_requests(config: &Config) -> [Order; 6] {
    [
        order(
            at!(config.ingress.max_event_bytes),
            at!(config.ingress.max_body_bytes),
            "an event comes in a body",
        ),
        order(
            at!(config.ingress.max_event_bytes),
            at!(config.plugins.call_input_bytes),
            "a call is given whole events",
        ),
        order(
            at!(config.ingress.max_body_bytes),
            at!(config.wal.segment_bytes),
            "a request is one batch of the log, findings and patches included",
        )
        .times(2),
        order(
            at!(config.ingress.request_timeout),
            at!(config.dedup.lease),
            "a request must not outlive its claims",
        ),
        order(
            at!(config.dedup.lease),
            at!(config.dedup.window),
            "a claim must not outlive the window",
        ),
        order(
            at!(config.redis.response_timeout),
            at!(config.dedup.lease),
            "keys are asked for and settled within a claim",
        )
        .times(4),
    ]
}

fn of_the_log(config: &Config) -> [Order; 3] {
    [
        order(
            at!(config.wal.segment_bytes),
            at!(config.wal.max_bytes),
            "one segment is written while others are made and read",
        )
        .times(3),
        order(
            at!(config.wal.group_bytes),
            at!(config.wal.segment_bytes),
            "a group is in one segment, with its frame",
        )
        .times(2),
        order(
            at!(config.wal.group_bytes),
            at!(config.wal.queue_bytes),
            "a group is taken from the queue",
        ),
    ]
}

fn of_plugins(config: &Config) -> [Order; 6] {
    [
        order(
            at!(config.plugins.epoch_tick),
            at!(config.plugins.slice),
            "slices are counted in ticks",
        ),
        order(
            at!(config.plugins.slice),
            at!(config.plugins.call_budget),
            "a call has at least one slice",
        ),
        order(
            at!(config.plugins.call_budget),
            at!(config.plugins.call_wall),
            "CPU time is part of wall time",
        ),
        order(
            at!(config.plugins.max_output_bytes),
            at!(config.plugins.hostcall_bytes),
            "what a call answers passes to the host",
        ),
        order(
            at!(config.plugins.max_detail_bytes),
            at!(config.plugins.max_output_bytes),
            "details are part of the answer",
        ),
        order(
            at!(config.compile.cpu_time),
            at!(config.compile.wall_time),
            "CPU time is part of wall time",
        ),
    ]
}

/// Certificate and key go together, and clients' certificates are seen in TLS alone: each key with the
/// one that it needs, where that is missing.
fn of_tls(config: &Config) -> Vec<(Key, &'static str)> {
    let (events, admin) = (&config.ingress, &config.admin);
    let listeners = [
        ("ingress", &events.tls_certificate, &events.tls_key, &events.tls_client_ca),
        ("admin", &admin.tls_certificate, &admin.tls_key, &admin.tls_client_ca),
    ];
    let mut missing = Vec::new();
    for (section, certificate, key, client_ca) in listeners {
        for (name, given, wanted, there) in [
            ("tls_certificate", certificate, "tls_key", key),
            ("tls_key", key, "tls_certificate", certificate),
            ("tls_client_ca", client_ca, "tls_certificate", certificate),
        ] {
            if given.is_some() && there.is_none() {
                missing.push(((section, name), wanted));
            }
        }
    }
    missing
}

fn of_tokens(config: &Config) -> [Order; 2] {
    [
        order(
            at!(config.jwt.keys_refresh),
            at!(config.jwt.keys_max_age),
            "keys are fetched anew while they can still be used",
        ),
        order(
            at!(config.jwt.keys_interval),
            at!(config.jwt.keys_max_age),
            "a fetch that failed is tried again while the keys can still be used",
        ),
    ]
}

/// Where the listener for events has something else.
const TAKEN: [&str; 5] = ["/health", "/livez", "/readyz", "/openapi.json", "/metrics"];

/// Notes every relation that does not hold.
pub(crate) fn check(config: &Config, sources: &Sources, problems: &mut Vec<Problem>) {
    let orders = of_requests(config).into_iter().chain(of_the_log(config));
    let orders = orders.chain(of_plugins(config)).chain(of_tokens(config));
    problems.extend(orders.filter_map(|order| order.problem(sources)));
    for ((section, key), wanted) in of_tls(config) {
        let message = format!("this needs {section}.{wanted}: name that file as well");
        let source = sources.origin_of(section, key);
        problems.push(Problem { key: format!("{section}.{key}"), source, message });
    }
    for (section, store) in [("dedup", config.dedup.store), ("quotas", config.quotas.store)] {
        if store == StateStore::Redis && config.redis.url.is_empty() {
            let message = format!("{section}.store is redis, and there is no URL of one: write it");
            let source = sources.origin_of(section, "store");
            problems.push(Problem { key: "redis.url".to_owned(), source, message });
        }
    }
    let storage = &config.storage;
    for (key, is_empty, other) in [
        ("access_key_id", storage.access_key_id.is_empty(), "secret_access_key"),
        ("secret_access_key", storage.secret_access_key.is_empty(), "access_key_id"),
    ] {
        let source = sources.origin_of("storage", key);
        if !is_empty && storage.access_key_id.is_empty() != storage.secret_access_key.is_empty() {
            let message = format!("this needs storage.{other}: write that as well");
            problems.push(Problem { key: format!("storage.{key}"), source, message });
        }
    }
    let listeners = [
        ("ingress", "address", config.ingress.address),
        ("admin", "address", config.admin.address),
        ("telemetry", "metrics_address", config.telemetry.metrics_address),
    ];
    for (at, (section, key, address)) in listeners.iter().enumerate() {
        let mut before = listeners.iter().take(at);
        let same = before.find(|(.., other)| other == address && address.port() != 0);
        if let Some((other, its_key, _)) = same {
            let message = format!("{other}.{its_key} is {address} as well: write another port");
            let source = sources.origin_of(section, key);
            problems.push(Problem { key: format!("{section}.{key}"), source, message });
        }
    }
    let anonymous = &config.anonymous;
    let is_path = anonymous.path.starts_with('/')
        && !anonymous.path.contains(['?', '#', '%', ' ', '{'])
        && !anonymous.path.starts_with("/v1/")
        && !TAKEN.contains(&anonymous.path.as_str());
    for (key, is_wrong, message) in [
        (
            "path",
            !anonymous.path.is_empty() && !is_path,
            "this is no path for events: write one such as /events, outside of /v1/",
        ),
        (
            "tenant",
            !anonymous.path.is_empty() && anonymous.tenant.is_none(),
            "this is missing: write whose events they are that come to anonymous.path",
        ),
    ] {
        if is_wrong {
            let source = sources.origin_of("anonymous", key);
            let key = format!("anonymous.{key}");
            problems.push(Problem { key, source, message: message.to_owned() });
        }
    }
    let endpoint = &config.telemetry.otlp_endpoint;
    let is_url = ["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme));
    // A password would stand in the log; there are headers for it.
    if !endpoint.is_empty() && (!is_url || endpoint.contains('@')) {
        let message = "this is no URL of a collector: write http://HOST:4318, or nothing";
        let source = sources.origin_of("telemetry", "otlp_endpoint");
        let key = "telemetry.otlp_endpoint".to_owned();
        problems.push(Problem { key, source, message: message.to_owned() });
    }
}
