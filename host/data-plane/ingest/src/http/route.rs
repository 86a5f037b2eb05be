//! From a request line to what is to be done.

use http::{HeaderMap, Method, header};
use tidegate_types::{Problem, ProblemType};

use super::anonymous::Anonymous;
use crate::options::{Endpoint, IngressOptions};
use crate::stage::authenticate::{READ, WRITE};
use crate::stage::decode::Form;

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Events,
    /// May a web page send events?
    Preflight,
    /// The event whose id is the rest of the path.
    Receipt,
    Batch,
    Ping,
    Livez,
    Readyz,
    Document,
    Metrics,
}

/// A path with what lies there, as the API's reference has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicRoute {
    /// With its variable part in braces.
    pub path: &'static str,
    /// The methods that it takes, as the header `Allow` names them.
    pub methods: &'static str,
    /// What credentials must allow; nothing where none are asked for.
    pub scope: Option<&'static str>,
    target: Target,
    endpoint: Endpoint,
}

const READING: &str = "GET, HEAD";

impl PublicRoute {
    /// For everybody.
    const fn open(path: &'static str, target: Target, endpoint: Endpoint) -> Self {
        Self { path, methods: READING, scope: None, target, endpoint }
    }

    const fn write(path: &'static str, target: Target, endpoint: Endpoint) -> Self {
        Self { path, methods: "POST", scope: Some(WRITE), target, endpoint }
    }
}

const RECEIPT: PublicRoute = PublicRoute {
    path: "/v1/events/{event_id}",
    methods: READING,
    scope: Some(READ),
    target: Target::Receipt,
    endpoint: Endpoint::Receipts,
};

/// Every route of the listener for events: for the listener, and for what tells of it.
pub const PUBLIC_ROUTES: [PublicRoute; 9] = [
    PublicRoute::write("/v1/events", Target::Events, Endpoint::Events),
    PublicRoute::write("/v1/events/batch", Target::Batch, Endpoint::Batch),
    RECEIPT,
    PublicRoute::open("/v1/ping", Target::Ping, Endpoint::Ping),
    PublicRoute::open("/health", Target::Readyz, Endpoint::Health),
    PublicRoute::open("/livez", Target::Livez, Endpoint::Livez),
    PublicRoute::open("/readyz", Target::Readyz, Endpoint::Readyz),
    PublicRoute::open("/openapi.json", Target::Document, Endpoint::Openapi),
    PublicRoute::open("/metrics", Target::Metrics, Endpoint::Metrics),
];

/// The id of an event that a path names.
pub(super) fn receipt_id(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/events/").filter(|id| !id.is_empty() && !id.contains('/'))
}

/// What lies at a path.
fn at(path: &str) -> Option<PublicRoute> {
    let exact = PUBLIC_ROUTES.into_iter().find(|route| route.path == path);
    exact.or_else(|| receipt_id(path).map(|_| RECEIPT))
}

/// The methods of a path, for the answer to another one.
pub(super) fn allowed(path: &str, options: &IngressOptions) -> &'static str {
    match open(path, options) {
        Some(_) => "POST, OPTIONS",
        None => at(path).map_or("", |route| route.methods),
    }
}

/// The paths that events are posted to.
pub(super) fn posts(options: &IngressOptions) -> impl Iterator<Item = &'static str> {
    let exposed = |route: &PublicRoute| {
        route.methods == "POST" && options.endpoints.contains(&route.endpoint)
    };
    let fixed = PUBLIC_ROUTES.into_iter().filter(exposed).map(|route| route.path);
    fixed.chain(options.anonymous.as_ref().map(|open| open.path))
}

/// The path that takes events without a credential, where it is that one.
pub(super) fn open<'o>(path: &str, options: &'o IngressOptions) -> Option<&'o Anonymous> {
    options.anonymous.as_ref().filter(|open| open.path == path)
}

/// Finds the target, and its path as the reference names it; what the listener does not expose does
/// not exist.
pub(super) fn target(
    method: &Method,
    path: &str,
    options: &IngressOptions,
) -> Result<(Target, &'static str), Problem> {
    if let Some(open) = open(path, options) {
        return match *method {
            Method::POST => Ok((Target::Events, open.path)),
            Method::OPTIONS => Ok((Target::Preflight, open.path)),
            _ => Err(not_allowed(path, allowed(path, options))),
        };
    }
    let route = at(path).filter(|route| options.endpoints.contains(&route.endpoint));
    let route = route.ok_or_else(nothing_here)?;
    if !route.methods.split(", ").any(|allowed| allowed == method.as_str()) {
        return Err(not_allowed(path, route.methods));
    }
    Ok((route.target, route.path))
}

fn not_allowed(path: &str, methods: &str) -> Problem {
    Problem::new(ProblemType::MethodNotAllowed, format!("{path} takes {methods}"))
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
            let options =
                IngressOptions { endpoints: exposed.to_vec(), ..IngressOptions::narrow() };
            target(&method, path, &options).map(|found| found.0).map_err(|p| p.kind.status())
        };
        assert_eq!(status(Method::POST, "/v1/events", &[Endpoint::Events]), Ok(Target::Events));
        assert_eq!(status(Method::GET, "/v1/events", &[Endpoint::Events]), Err(405));
        assert_eq!(status(Method::POST, "/v1/events/batch", &[Endpoint::Events]), Err(404));
        assert_eq!(status(Method::GET, "/v1/events/", &[Endpoint::Events]), Err(404));
        assert_eq!(status(Method::GET, "/v1/events/x", &[Endpoint::Events]), Err(404));
        assert_eq!(status(Method::GET, "/v1/events/x", &[Endpoint::Receipts]), Ok(Target::Receipt));
        assert_eq!(status(Method::POST, "/v1/events", &[Endpoint::Receipts]), Err(404));
        assert_eq!(status(Method::GET, "/v1/events/batch", &[Endpoint::Batch]), Err(405));
    }
}
