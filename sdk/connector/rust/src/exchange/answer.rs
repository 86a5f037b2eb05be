//! Reads the gateway's answer and decides what follows from it: receipts, another attempt, a
//! smaller request, or the end of the run.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use tidegate_types::problem::ProblemPart;
use tidegate_types::{Receipt, UnixMillis};

use crate::exchange::client::{Answer, ClientError};
use crate::options::Endpoint;

/// How much of an answer that nobody understands is quoted, in characters.
const QUOTED_CHARACTERS: usize = 200;

/// A problem as clients read it: RFC 9457, and whatever else answers with an error status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ProblemBody {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub pointer: Option<String>,
    pub errors: Vec<ProblemPart>,
    pub retry_after_ms: Option<u64>,
}

impl ProblemBody {
    /// The problem in an answer. Where there is none, its status and the start of its text.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        let parsed: Option<Self> = serde_json::from_slice(&answer.body).ok();
        let mut problem = parsed.filter(|problem| !problem.title.is_empty()).unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&answer.body);
            Self {
                title: answer.status.to_string(),
                detail: text.trim().chars().take(QUOTED_CHARACTERS).collect(),
                ..Self::default()
            }
        });
        problem.status = answer.status.as_u16();
        problem
    }

    pub(crate) fn local(title: &str, detail: String) -> Self {
        Self { title: title.to_owned(), detail, ..Self::default() }
    }
}

impl fmt::Display for ProblemBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        if let Some(pointer) = &self.pointer {
            write!(f, " (at {pointer})")?;
        }
        for part in &self.errors {
            write!(f, "; {}: {}", part.pointer, part.detail)?;
        }
        Ok(())
    }
}

/// What follows from an answer, or from its absence.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// As many as events were sent, in their order, and the longest wait that was asked for.
    Receipts(Vec<Receipt>, Option<Duration>),
    /// The same request may succeed later.
    Again { why: String, after: Option<Duration> },
    /// Some event makes the whole request unacceptable.
    Split(ProblemBody),
    /// No request of this run can succeed.
    Fatal(String),
}

pub(crate) fn judge(
    endpoint: Endpoint,
    sent: usize,
    answer: Result<Answer, ClientError>,
) -> Verdict {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is_passing() => {
            return Verdict::Again { why: error.to_string(), after: None };
        }
        Err(error) => return Verdict::Fatal(error.to_string()),
    };
    if let Some(receipts) = receipts_of(endpoint, &answer) {
        return if receipts.len() == sent {
            let asked = receipts.iter().filter_map(|receipt| receipt.retry_after_ms);
            let asked = asked.max().map(Duration::from_millis);
            let after = asked.max(asked_wait(&ProblemBody::of(&answer), &answer.headers));
            Verdict::Receipts(receipts, after)
        } else {
            let got = receipts.len();
            Verdict::Fatal(format!("the gateway answered {got} receipts for {sent} events"))
        };
    }
    let problem = ProblemBody::of(&answer);
    match answer.status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => {
            again(&problem, &answer.headers)
        }
        status if status.is_server_error() => again(&problem, &answer.headers),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => Verdict::Split(problem),
        status if status.is_success() => {
            Verdict::Fatal(format!("the answer holds no receipts that can be read ({status})"))
        }
        _ => Verdict::Fatal(problem.to_string()),
    }
}

#[derive(Deserialize)]
struct Receipts {
    receipts: Vec<Receipt>,
}

fn receipts_of(endpoint: Endpoint, answer: &Answer) -> Option<Vec<Receipt>> {
    if let Ok(Receipts { receipts }) = serde_json::from_slice(&answer.body) {
        return Some(receipts);
    }
    match endpoint {
        Endpoint::Batch => None,
        Endpoint::Single => single_receipt(&answer.body).map(|receipt| vec![receipt]),
    }
}

/// The receipt, or a problem that has its members: there `status` is the answer's, and `event_status`
/// the event's.
fn single_receipt(body: &[u8]) -> Option<Receipt> {
    let mut members: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
    if let Some(status) = members.remove("event_status") {
        members.insert("status".to_owned(), status);
    }
    serde_json::from_value(members.into()).ok()
}

/// The problem's milliseconds are finer than the header's seconds.
fn asked_wait(problem: &ProblemBody, headers: &HeaderMap) -> Option<Duration> {
    let asked = problem.retry_after_ms.map(Duration::from_millis);
    asked.or_else(|| retry_after(headers, UnixMillis::now()))
}

fn again(problem: &ProblemBody, headers: &HeaderMap) -> Verdict {
    let after = asked_wait(problem, headers);
    Verdict::Again { why: format!("{} ({})", problem, problem.status), after }
}

/// `Retry-After`, RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let now = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(now.0))?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIPT: &str = r#"{"event_id":"0192d4e5-8a7c-7def-bfff-ffffffffffff","received_at":"2024-10-29T00:00:00.000Z","status":"accepted"}"#;

    fn verdict(
        endpoint: Endpoint,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers: map, body: body.to_owned().into() };
        match judge(endpoint, 1, Ok(answer)) {
            Verdict::Receipts(receipts, _) => format!("receipts {}", receipts.len()),
            Verdict::Again { after, .. } => format!("again {:?}", after.map(|d| d.as_millis())),
            Verdict::Split(problem) => format!("split {problem}"),
            Verdict::Fatal(why) => format!("fatal {why}"),
        }
    }

    #[test]
    fn each_status_has_its_consequence() {
        let batch = format!(r#"{{"accepted":1,"rejected":0,"receipts":[{RECEIPT}]}}"#);
        let two = format!(r#"{{"receipts":[{RECEIPT},{RECEIPT}]}}"#);
        let problem = r#"{"type":"urn:x","title":"no","detail":"why","errors":[{"pointer":"/a","detail":"b"}],"retry_after_ms":40}"#;
        let second = [("retry-after", "7")];
        for (endpoint, status, headers, body, expected) in [
            (Endpoint::Batch, 202, &[][..], batch.as_str(), "receipts 1"),
            (Endpoint::Single, 202, &[], RECEIPT, "receipts 1"),
            (Endpoint::Single, 400, &[], RECEIPT, "receipts 1"),
            (Endpoint::Batch, 202, &[], &two, "fatal the gateway answered 2 receipts for 1 events"),
            (
                Endpoint::Batch,
                200,
                &[],
                "<html>",
                "fatal the answer holds no receipts that can be read (200 OK)",
            ),
            (Endpoint::Batch, 503, &second, "busy", "again Some(7000)"),
            (Endpoint::Batch, 503, &second, problem, "again Some(40)"),
            (Endpoint::Batch, 500, &[("retry-after", "soon")], "", "again None"),
            (
                Endpoint::Batch,
                429,
                &[("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")],
                "",
                "again Some(0)",
            ),
            (Endpoint::Batch, 408, &[], "", "again None"),
            (Endpoint::Single, 409, &[], problem, "again Some(40)"),
            (Endpoint::Batch, 400, &[], problem, "split no: why; /a: b"),
            (Endpoint::Batch, 413, &[], "", "split 413 Payload Too Large"),
            (Endpoint::Single, 422, &[], problem, "split no: why; /a: b"),
            (Endpoint::Batch, 401, &[], "who?", "fatal 401 Unauthorized: who?"),
            (Endpoint::Batch, 404, &[], "", "fatal 404 Not Found"),
            (Endpoint::Batch, 302, &[], "", "fatal 302 Found"),
        ] {
            assert_eq!(verdict(endpoint, status, headers, body), expected, "{status} {body}");
        }
    }

    fn rules() -> Value {
        serde_json::from_str(include_str!("../../../conformance/rules.json")).unwrap()
    }

    #[test]
    fn answers_are_read_as_the_table_says() {
        for row in rules()["answers"].as_array().unwrap() {
            let mut headers = HeaderMap::new();
            if let Some(value) = row["headers"]["retry-after"].as_str() {
                headers.insert(RETRY_AFTER, value.parse().unwrap());
            }
            let body = match row["receipts"].as_array() {
                None => row["text"].as_str().unwrap().to_owned(),
                Some(statuses) => {
                    let receipts = statuses.iter().map(|status| {
                        let receipt = RECEIPT.replace("\"accepted\"", &status.to_string());
                        serde_json::from_str::<Value>(&receipt).unwrap()
                    });
                    serde_json::json!({ "receipts": receipts.collect::<Vec<_>>() }).to_string()
                }
            };
            let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            let answer = Answer { status, headers, body: body.into() };
            let endpoint =
                if row["endpoint"] == "single" { Endpoint::Single } else { Endpoint::Batch };
            let (kind, why, after) = match judge(endpoint, 1, Ok(answer)) {
                Verdict::Receipts(receipts, after) => {
                    let status = Value::from(receipts[0].status.as_str());
                    assert_eq!(*row.get("receipt").unwrap_or(&status), status, "{row}");
                    ("receipts", None, after)
                }
                Verdict::Again { why, after } => ("again", Some(why), after),
                Verdict::Split(problem) => ("split", Some(problem.to_string()), None),
                Verdict::Fatal(why) => ("stop", Some(why), None),
            };
            assert_eq!(kind, row["verdict"], "{row}");
            assert_eq!(after.map(|wait| wait.as_millis() as u64), row["wait_ms"].as_u64(), "{row}");
            let part = row["why"].as_str().unwrap_or_default();
            assert!(why.is_none_or(|why| why.contains(part)), "{row}");
        }
    }

    #[test]
    fn retry_after_is_read_as_the_table_says() {
        for row in rules()["retry_after"].as_array().unwrap() {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, row["header"].as_str().unwrap().parse().unwrap());
            let now = UnixMillis::parse_rfc3339(row["now"].as_str().unwrap()).unwrap();
            let wait = retry_after(&headers, now).map(|wait| wait.as_millis() as u64);
            assert_eq!(wait, row["wait_ms"].as_u64(), "{row}");
        }
    }
}
