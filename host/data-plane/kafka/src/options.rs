//! How a topic is written to, and what that means to the client library.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;

/// How a topic is written to.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// The brokers to begin with: `HOST:PORT`, with commas between them.
    pub bootstrap: String,
    pub topic: String,
    /// Where dead letters go; `None`: this sink has no place for them.
    pub dead_letter_topic: Option<String>,
    /// How the client calls itself to the brokers.
    pub client_id: String,
    pub linger: Linger,
    /// Requests under way to one broker, 1 to 5: fewer make larger batches, more hide a long way to it. 2.
    pub max_in_flight: u32,
    /// Bytes of one batch for one partition, before compression. 1,000,000.
    pub batch_bytes: u32,
    pub compression: Compression,
    /// The largest record, in bytes before compression; 1,000 to 1,000,000,000. Larger ones are rejected.
    /// 1,000,000.
    pub max_message_bytes: u32,
    /// Messages that may wait in the client. 100,000.
    pub queue_messages: u32,
    /// Bytes of messages that may wait in the client, in KiB. 256 MiB.
    pub queue_kib: u32,
    /// How long a broker may take to answer a request. 30 s.
    pub request_timeout: Duration,
    pub tls: Option<Tls>,
    pub sasl: Option<Sasl>,
}

/// How long the client waits for more records before it sends a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linger {
    /// A record goes at once while fewer requests are under way than may be; what comes while they are
    /// makes the next ones larger. So a lone record waits for nothing, and many fill batches by themselves.
    Adaptive,
    /// Always so long, 0 to 900 s.
    Fixed(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Lz4,
    Gzip,
    Snappy,
}

/// TLS to the brokers.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Whom to trust, as PEM; the system's own certificates where there is none.
    pub ca_file: Option<PathBuf>,
    /// What this client shows, and its key, as PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// SASL to the brokers.
#[derive(Clone)]
pub struct Sasl {
    pub mechanism: SaslMechanism,
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Sasl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sasl({:?}, {:?}, …)", self.mechanism, self.user)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl KafkaOptions {
    /// The defaults that the fields' documentation gives; dead letters go to `TOPIC.dlq`.
    #[must_use]
    pub fn new(bootstrap: impl Into<String>, topic: impl Into<String>) -> Self {
        let topic = topic.into();
        Self {
            bootstrap: bootstrap.into(),
            dead_letter_topic: Some(format!("{topic}.dlq")),
            topic,
            client_id: "tidegate".to_owned(),
            linger: Linger::Adaptive,
            max_in_flight: 2,
            batch_bytes: 1_000_000,
            compression: Compression::Lz4,
            max_message_bytes: 1_000_000,
            queue_messages: 100_000,
            queue_kib: 256 << 10,
            request_timeout: Duration::from_secs(30),
            tls: None,
            sasl: None,
        }
    }

    /// What every client needs that speaks to these brokers.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("client.id", &self.client_id)
            // Its own lines come through our log.
            .set("log.connection.close", "false")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "2000");
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            let mut file = |name: &str, path: &PathBuf| {
                config.set(name, path.to_string_lossy().into_owned());
            };
            if let Some(path) = &tls.ca_file {
                file("ssl.ca.location", path);
            }
            if let Some((certificate, key)) = &tls.certificate {
                file("ssl.certificate.location", certificate);
                file("ssl.key.location", key);
            }
        }
        if let Some(sasl) = &self.sasl {
            let mechanism = match sasl.mechanism {
                SaslMechanism::Plain => "PLAIN",
                SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
                SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            };
            config.set("sasl.mechanism", mechanism);
            config.set("sasl.username", &sasl.user).set("sasl.password", &sasl.password);
        }
        config
    }

    /// What the producer needs besides.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        let linger_ms = match self.linger {
            Linger::Adaptive => 0.0,
            Linger::Fixed(linger) => linger.as_secs_f64() * 1000.0,
        };
        let compression = match self.compression {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
        };
        let request_ms = self.request_timeout.as_millis();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("max.in.flight.requests.per.connection", self.max_in_flight.to_string())
            .set("message.timeout.ms", "0")
            .set("partitioner", "murmur2_random")
            .set("queue.buffering.max.ms", linger_ms.to_string())
            .set("batch.size", self.batch_bytes.to_string())
            .set("batch.num.messages", "100000")
            .set("message.max.bytes", self.max_message_bytes.to_string())
            .set("compression.type", compression)
            .set("queue.buffering.max.messages", self.queue_messages.to_string())
            .set("queue.buffering.max.kbytes", self.queue_kib.to_string())
            .set("request.timeout.ms", request_ms.to_string())
            .set("socket.timeout.ms", request_ms.saturating_add(10_000).to_string());
        config
    }
}
