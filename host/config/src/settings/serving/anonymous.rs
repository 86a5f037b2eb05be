//! Events that come without a credential.

use std::time::Duration;

use tidegate_types::{EventType, TenantId};

use crate::rule::text::{ListOf, TENANT, Text};
use crate::rule::{count, time};
use crate::section::section;

const TYPES: ListOf<EventType> = ListOf {
    one: "type of events",
    read: |text| EventType::new(text).ok(),
    nothing: "all",
    form: "a list of types",
};

const ORIGINS: ListOf<String> = ListOf {
    one: "origin: write `https://HOST`, with its port where it has one, or `*`",
    read: origin,
    nothing: "none",
    form: "a list of origins",
};

/// `scheme://host[:port]`, as browsers write it (RFC 6454, section 6.2), or `*`.
fn origin(text: &str) -> Option<String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_host = host.is_some_and(|host| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]".contains(&b);
        !host.is_empty() && host.bytes().all(fits)
    });
    (text == "*" || is_host).then(|| text.to_owned())
}

section! {
    /// A path that takes events without a credential, as web pages and mobile apps send them: bound to one
    /// tenant, and bounded for each client address. Who comes with a credential is taken by that.
    Anonymous in "anonymous" {
        /// Where single events are posted, such as `/events`.
        path: String = Text { default: "", form: "a path; empty: no events are taken without a credential" };
        /// Whose events they are.
        tenant: Option<TenantId> = TENANT;
        /// The types that may be sent.
        event_types: Vec<EventType> = TYPES;
        /// Requests of one client address in a minute; of one /64 network with IPv6. More are answered 429.
        requests_per_address: u32 = count("60", "1", "1000000");
        /// Web pages whose scripts may send (CORS), such as `["https://shop.example"]`; `["*"]` for all.
        /// Requests of other pages are answered 403, those of no page are not concerned.
        origins: Vec<String> = ORIGINS;
        /// How long browsers may remember the answer to a preflight.
        preflight_age: Duration = time("10m", "0s", "24h");
    }
}
