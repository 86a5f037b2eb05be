//! W3C Trace Context: the `traceparent` that a request came with.

use std::sync::Arc;

use http::HeaderMap;

/// The header of a request, where it is there once and well formed; what is not is passed over, as the
/// recommendation says (Trace Context, section 3.2.2).
pub(crate) fn parent(headers: &HeaderMap) -> Option<Arc<str>> {
    let mut values = headers.get_all("traceparent").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?.trim();
    is_parent(text).then(|| text.into())
}

/// `version-trace-parent-flags`: 2, 32, 16 and 2 lower-case hexadecimal digits, neither of the ids
/// zero. A later version may have more behind it.
fn is_parent(text: &str) -> bool {
    let hex = |part: &str, digits: usize| {
        part.len() == digits
            && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let id = |part: &str, digits| hex(part, digits) && part.bytes().any(|b| b != b'0');
    let mut parts = text.splitn(5, '-');
    let (Some(version), Some(trace), Some(span), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let rest = parts.next();
    hex(version, 2)
        && version != "ff"
        && id(trace, 32)
        && id(span, 16)
        && hex(flags, 2)
        && (rest.is_none() || version != "00")
        && text.len() <= 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_formed_is_taken() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (text, expected) in [
            (good.to_owned(), true),
            (good.replace("00-4", "01-4"), true),
            (format!("{}-more", good.replace("00-4", "01-4")), true),
            (format!("{good}-more"), false),
            (good.replace("00-4", "ff-4"), false),
            (good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)), false),
            (good.replace("00f067aa0ba902b7", &"0".repeat(16)), false),
            (good.replace("4bf9", "4BF9"), false),
            (good.replace("-01", "-1"), false),
            (String::new(), false),
        ] {
            assert_eq!(is_parent(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_header_that_is_there_twice_is_none() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        headers.append("traceparent", good.parse().unwrap());
        assert_eq!(parent(&headers).as_deref(), Some(good));
        headers.append("traceparent", good.parse().unwrap());
        assert_eq!(parent(&headers), None);
    }
}
