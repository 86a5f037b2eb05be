//! The form of JSON pointers; what they lead to is the event's.

/// Is it a JSON pointer (RFC 6901, section 3): nothing, or steps that begin with `/`, in which `~` is
/// followed by 0 or 1?
#[must_use]
pub fn is_json_pointer(text: &str) -> bool {
    let is_escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && is_escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_pointer() {
        for (text, expected) in [
            ("", true),
            ("/", true),
            ("/a/0/b~0~1", true),
            ("//", true),
            ("a", false),
            ("/a~", false),
            ("/a~2", false),
            ("~0", false),
        ] {
            assert_eq!(is_json_pointer(text), expected, "{text}");
        }
    }
}
