//! Problems: RFC 9457 bodies for every answer that is not a receipt. The `type` URIs are stable;
//! clients branch on them, people read `detail`.

use serde::{Deserialize, Serialize};

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:literal $slug:literal $title:literal;)*) => {
        /// The kinds of problem. Each has one status, one slug and one title.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemType { $($(#[$doc])* $name,)* }

        impl ProblemType {
            /// All of them, for the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The last part of the `type` URI.
            #[must_use]
            pub fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// What it is in a few words, the same each time.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

problems! {
    /// The body is no JSON text, or breaks the strict reading of it.
    MalformedJson = 400 "malformed-json" "the body is not valid JSON";
    /// The body is JSON of another shape than the endpoint takes.
    MalformedBatch = 400 "malformed-batch" "the body is not a batch of events";
    /// The body could not be decompressed.
    MalformedEncoding = 400 "malformed-encoding" "the body does not match its Content-Encoding";
    /// CloudEvents attributes are missing or wrong.
    MalformedCloudEvent = 400 "malformed-cloudevent" "the request is not a valid CloudEvent";
    /// An `Idempotency-Key` that is empty, too long, repeated, or differs from the event's own.
    InvalidIdempotencyKey = 400 "invalid-idempotency-key" "the idempotency key cannot be used";
    /// A single event that was rejected; the findings say why.
    EventRejected = 400 "event-rejected" "the event was rejected";
    /// Something in the request is not as documented.
    InvalidRequest = 400 "invalid-request" "the request is not valid";
    /// No credentials, or unknown or expired ones.
    Unauthenticated = 401 "unauthenticated" "valid credentials are needed";
    /// Known credentials that may not do this.
    Forbidden = 403 "forbidden" "the credentials do not allow this";
    NotFound = 404 "not-found" "there is nothing here";
    MethodNotAllowed = 405 "method-not-allowed" "the method is not allowed here";
    RequestTimeout = 408 "request-timeout" "the request took too long to arrive";
    /// The same key is in flight, or something else is in the way right now.
    InFlight = 409 "in-flight" "an event with this key is in flight";
    /// Somebody has decided otherwise about an event that was in quarantine.
    AlreadySettled = 409 "already-settled" "the event is already settled";
    /// An event in quarantine would be held or rejected again; the findings say why.
    HeldAgain = 409 "held-again" "the event would not be accepted";
    /// One of its kind runs, and there is one at a time.
    JobRunning = 409 "job-running" "another job runs";
    /// The catalog holds something that contradicts the request.
    Exists = 409 "exists" "it exists already and differs";
    TooLarge = 413 "too-large" "the body is too large";
    UnsupportedMediaType = 415 "unsupported-media-type" "the content type or encoding is not supported";
    /// The same key came before with another payload.
    KeyConflict = 422 "key-conflict" "the key was used for another payload";
    /// The tenant's policy asks for another signature than the component has.
    SignatureRefused = 422 "signature-refused" "the component is not signed as it must be";
    TooManyRequests = 429 "too-many-requests" "the limit of requests is reached";
    /// A quota of the key or of the tenant; `violated-policies` says which.
    QuotaExceeded = 429 "quota-exceeded" "a quota is used up";
    HeadersTooLarge = 431 "headers-too-large" "the headers are too large";
    Internal = 500 "internal" "something went wrong on our side";
    /// A registry did not give the component that it was asked for.
    RegistryFailed = 502 "registry-failed" "the registry did not give the component";
    /// Nothing was stored; the same request may be sent again.
    Unavailable = 503 "unavailable" "the gateway cannot take events right now";
    StorageFull = 503 "storage-full" "the disk has no room for more events";
    /// A sink that the answer waits for does not take events.
    SinkUnavailable = 503 "sink-unavailable" "a required sink does not take events";
    DedupFull = 503 "dedup-full" "the store of keys has no room for more keys";
    /// More work than the node takes at once.
    Overloaded = 503 "overloaded" "the gateway has more work than it takes at once";
    /// The database that the nodes share. Events need it not.
    CatalogUnavailable = 503 "catalog-unavailable" "the catalog's database is out of reach";
    /// The tenant has no active revision.
    NoRevision = 503 "no-revision" "the tenant has no active revision";
}

impl ProblemType {
    /// The `type` member.
    #[must_use]
    pub fn uri(self) -> String {
        format!("urn:tidegate:problem:{}", self.slug())
    }
}

/// A problem: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", kind.title())]
pub struct Problem {
    pub kind: ProblemType,
    pub detail: String,
    /// Where in the body: a JSON pointer.
    pub pointer: Option<Box<str>>,
    /// Several places at once, where that is known.
    pub errors: Vec<ProblemPart>,
    /// When to try again, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// The quotas that are used up. Problems travel as errors, so they are kept small.
    pub violated_policies: Option<Box<ViolatedPolicies>>,
}

/// Names of quotas: `key-requests`, `tenant-events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViolatedPolicies(pub Vec<String>);

/// One of several things that are wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemPart {
    pub pointer: String,
    pub detail: String,
}

impl Problem {
    #[must_use]
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            pointer: None,
            errors: Vec::new(),
            retry_after_ms: None,
            violated_policies: None,
        }
    }

    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into().into_boxed_str());
        self
    }

    #[must_use]
    pub fn with_errors(mut self, errors: Vec<ProblemPart>) -> Self {
        self.errors = errors;
        self
    }

    #[must_use]
    pub fn retry_after(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }

    /// With the quotas that are used up (draft-ietf-httpapi-ratelimit-headers, section 6).
    #[must_use]
    pub fn violating(mut self, policies: Vec<String>) -> Self {
        self.violated_policies = Some(Box::new(ViolatedPolicies(policies)));
        self
    }

    /// The body, as `application/problem+json`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut body = serde_json::json!({
            "type": self.kind.uri(),
            "title": self.kind.title(),
            "status": self.kind.status(),
            "detail": self.detail,
        });
        if let Some(map) = body.as_object_mut() {
            if let Some(pointer) = &self.pointer {
                map.insert("pointer".into(), pointer.to_string().into());
            }
            if !self.errors.is_empty() {
                let errors = self.errors.iter().map(|e| serde_json::json!(e)).collect();
                map.insert("errors".into(), errors);
            }
            if let Some(violated) = &self.violated_policies {
                map.insert("violated-policies".into(), violated.0.clone().into());
            }
            if let Some(millis) = self.retry_after_ms {
                map.insert("retry_after_ms".into(), millis.into());
            }
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_distinct() {
        let mut slugs: Vec<_> = ProblemType::ALL.iter().map(|kind| kind.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), ProblemType::ALL.len());
    }
}
