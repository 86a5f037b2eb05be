//! The words of `tidegate post`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON event per line
    Ndjson,
    /// A header, and one event per record
    Csv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndpointName {
    /// POST /v1/events/batch
    Batch,
    /// POST /v1/events, one event per request
    Events,
}

#[derive(Debug, Args)]
pub(crate) struct PostArguments {
    /// Files to post, in this order, also compressed with gzip or zstd; - for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) files: Vec<PathBuf>,
    /// Address of the gateway [default: the one in DIR/addresses.json, or http://127.0.0.1:8080]
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The producer's key. Others can see it in the list of processes: prefer --api-key-file
    #[arg(long, value_name = "KEY", conflicts_with = "api_key_file")]
    pub(crate) api_key: Option<String>,
    /// File that holds the producer's key
    #[arg(long, value_name = "FILE", required_unless_present = "api_key")]
    pub(crate) api_key_file: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = EndpointName::Batch)]
    pub(crate) endpoint: EndpointName,
    /// Format of every input [default: by extension; NDJSON where that says nothing]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Events per request
    #[arg(long, value_name = "EVENTS", default_value_t = 100)]
    pub(crate) batch: usize,
    /// Requests at once
    #[arg(long, default_value_t = 8)]
    pub(crate) connections: usize,
    /// How often an event is sent again at most
    #[arg(long, default_value_t = 9)]
    pub(crate) retries: u32,
    /// How long a batch is tried at most, such as 90s or 5m
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) max_elapsed: Duration,
    /// How long one request may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) request_timeout: Duration,
    /// Give events that lack it this member as idempotency key, made of the file's name, the
    /// record's number and the record, so that posting the file again stores nothing twice. Name
    /// the one that the tenant's revision takes as key
    #[arg(long, value_name = "NAME")]
    pub(crate) key_field: Option<String>,
    /// CSV: keep this column as text, also where it looks like a number; may be given several times
    #[arg(long = "text", value_name = "COLUMN")]
    pub(crate) text_columns: Vec<String>,
    /// CSV: a field of this text is null; may be given several times
    #[arg(long = "null", value_name = "TEXT")]
    pub(crate) null_texts: Vec<String>,
    /// CSV: an empty field is "" and not null
    #[arg(long)]
    pub(crate) empty_as_text: bool,
    /// Events that the gateway rejects, or that cannot be sent, are no failure
    #[arg(long)]
    pub(crate) allow_rejected: bool,
}

/// A whole number and `ms`, `s`, `m` or `h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a whole number and ms, s, m or h, such as 90s".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "there is no number that fits".to_owned())?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| "too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in
            [("0s", 0), ("250ms", 250), ("90s", 90_000), ("5m", 300_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "", "5", "s", "1.5s", "-1s", "5 s", "1d", "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
