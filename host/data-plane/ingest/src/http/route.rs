//! From a request line to what is to be done.

use http::{HeaderMap, Method, header};
use tidegate_types::{Problem, ProblemType};

use crate::options::Endpoint;
use crate::stage::decode::Form;

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Events,
    /// The event whose id is the rest of the path.
    Receipt,
    Batch,
    Ping,
    Livez,
    Readyz,
}

const BATCH: &str = "/v1/events/batch";

/// The id of an event that a path names.
pub(super) fn receipt_id(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/events/").filter(|id| !id.is_empty() && !id.contains('/'))
}

/// A target's path, as the reference names it.
pub(super) fn template(target: Target) -> &'static str {
    match target {
        Target::Events => "/v1/events",
        Target::Receipt => "/v1/events/{event_id}",
        Target::Batch => BATCH,
        Target::Ping => "/v1/ping",
        Target::Livez => "/livez",
        Target::Readyz => "/readyz",
    }
}

/// What lies at a path, and the methods that it takes, as the header `Allow` names them.
fn at(path: &str) -> Option<(Target, Endpoint, &'static str)> {
    if receipt_id(path).is_some() && path != BATCH {
        return Some((Target::Receipt, Endpoint::Events, "GET, HEAD"));
    }
    match path {
        "/v1/events" => Some((Target::Events, Endpoint::Events, "POST")),
        BATCH => Some((Target::Batch, Endpoint::Batch, "POST")),
        "/v1/ping" => Some((Target::Ping, Endpoint::Ping, "GET, HEAD")),
        "/health" => Some((Target::Readyz, Endpoint::Health, "GET, HEAD")),
        "/livez" => Some((Target::Livez, Endpoint::Livez, "GET, HEAD")),
        "/readyz" => Some((Target::Readyz, Endpoint::Readyz, "GET, HEAD")),
        _ => None,
    }
}

/// The methods of a path, for the answer to another one.
pub(super) fn allowed(path: &str) -> &'static str {
    at(path).map_or("", |(_, _, methods)| methods)
}

/// Finds the target; what the listener does not expose does not exist.
pub(super) fn target(method: &Method, path: &str, exposed: &[Endpoint]) -> Result<Target, Problem> {
    let exposed = at(path).filter(|(_, endpoint, _)| exposed.contains(endpoint));
    let (target, _, methods) = exposed.ok_or_else(nothing_here)?;
    if !methods.split(", ").any(|allowed| allowed == method.as_str()) {
        return Err(Problem::new(ProblemType::MethodNotAllowed, format!("{path} takes {methods}")));
    }
    Ok(target)
}

fn nothing_here() -> Problem {
    Problem::new(ProblemType::NotFound, "this listener has no such endpoint")
}

/// What the body is, by endpoint and content type.
pub(super) fn form(target: Target, headers: &HeaderMap) -> Result<Form, Problem> {
    let unsupported = |detail: String| Err(Problem::new(ProblemType::UnsupportedMediaType, detail));
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (value, second) = (values.next(), values.next());
    if second.is_some() {
        return unsupported("send one Content-Type".into());
    }
    let value = value.map(|value| value.to_str().unwrap_or("?")).unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        part.to_ascii_lowercase().strip_prefix("charset=").map(|c| c.trim_matches('"').to_owned())
    });
    if let Some(charset) = charset.filter(|charset| charset != "utf-8") {
        return unsupported(format!("the charset `{charset}` is not supported: send UTF-8"));
    }
    let single = target == Target::Events;
    match essence.as_str() {
        "application/cloudevents+json" if single => Ok(Form::CloudEvent),
        "application/cloudevents-batch+json" => Ok(Form::CloudEventBatch),
        "application/x-ndjson" | "application/ndjson" => Ok(Form::Lines),
        _ if single && headers.contains_key("ce-specversion") => Ok(Form::CloudEventBinary),
        "application/json" => Ok(if single { Form::Single } else { Form::Batch }),
        "" => unsupported(
            "send a Content-Type: application/json, application/x-ndjson or one of CloudEvents"
                .into(),
        ),
        other => unsupported(format!(
            "`{other}` is not supported here: send application/json, application/x-ndjson or one of CloudEvents"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_by_content_type() {
        let check = |target, content_type: &str, binary: bool| {
            let mut headers = HeaderMap::new();
            if !content_type.is_empty() {
                headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            }
            if binary {
                headers.insert("ce-specversion", "1.0".parse().unwrap());
            }
            form(target, &headers).map_err(|problem| problem.kind.status())
        };
        for (content_type, binary, events, batch) in [
            ("application/json", false, Ok(Form::Single), Ok(Form::Batch)),
            ("Application/JSON; Charset=\"UTF-8\"", false, Ok(Form::Single), Ok(Form::Batch)),
            ("application/json", true, Ok(Form::CloudEventBinary), Ok(Form::Batch)),
            ("text/csv", true, Ok(Form::CloudEventBinary), Err(415)),
            ("application/cloudevents+json", false, Ok(Form::CloudEvent), Err(415)),
            (
                "application/cloudevents-batch+json; charset=utf-8",
                false,
                Ok(Form::CloudEventBatch),
                Ok(Form::CloudEventBatch),
            ),
            ("application/x-ndjson", false, Ok(Form::Lines), Ok(Form::Lines)),
            ("application/json; charset=latin-1", false, Err(415), Err(415)),
            ("application/xml", false, Err(415), Err(415)),
            ("", false, Err(415), Err(415)),
        ] {
            assert_eq!(check(Target::Events, content_type, binary), events, "{content_type}");
            assert_eq!(check(Target::Batch, content_type, binary), batch, "{content_type}");
        }
    }

    #[test]
    fn what_is_not_exposed_does_not_exist() {
        let status = |method, path, exposed: &[Endpoint]| {
            target(&method, path, exposed).map_err(|p| p.kind.status())
        };
        assert_eq!(status(Method::POST, "/v1/events", &[Endpoint::Events]), Ok(Target::Events));
        assert_eq!(status(Method::GET, "/v1/events", &[Endpoint::Events]), Err(405));
        assert_eq!(status(Method::POST, "/v1/events/batch", &[Endpoint::Events]), Err(404));
        assert_eq!(status(Method::GET, "/v1/events/", &[Endpoint::Events]), Err(404));
    }
}
