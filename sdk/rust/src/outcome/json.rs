//! Values as JSON text, written straight into the list of patched values.

/// A value that can be set in an event.
pub trait ToJson {
    /// Appends the value's JSON text.
    fn write_json(&self, out: &mut Vec<u8>);
}

/// JSON text that is set as it is. The host refuses the whole outcome where it is not JSON.
#[derive(Clone, Copy, Debug)]
pub struct RawJson<'a>(pub &'a str);

impl ToJson for RawJson<'_> {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
}

impl ToJson for str {
    fn write_json(&self, out: &mut Vec<u8>) {
        const HEX: [u8; 16] = *b"0123456789abcdef";
        let digit = |nibble: u8| HEX.get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
        out.push(b'"');
        if !self.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
            out.extend_from_slice(self.as_bytes());
            out.push(b'"');
            return;
        }
        for byte in self.bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..0x20 => {
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&[digit(byte >> 4), digit(byte)]);
                }
                _ => out.push(byte),
            }
        }
        out.push(b'"');
    }
}

/// Must a byte of a text be escaped in JSON (RFC 8259, section 7)?
fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

impl ToJson for String {
    fn write_json(&self, out: &mut Vec<u8>) {
        self.as_str().write_json(out);
    }
}

impl ToJson for bool {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

macro_rules! integers {
    ($($name:ty),*) => {$(
        impl ToJson for $name {
            fn write_json(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.to_string().as_bytes());
            }
        }
    )*};
}
integers!(i32, i64, u32, u64);

/// Infinities and NaN have no JSON form and are written as `null`.
impl ToJson for f64 {
    fn write_json(&self, out: &mut Vec<u8>) {
        let text = if self.is_finite() { format!("{self:?}") } else { "null".to_owned() };
        out.extend_from_slice(text.as_bytes());
    }
}

impl ToJson for serde_json::Value {
    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: &(impl ToJson + ?Sized)) -> serde_json::Value {
        let mut out = Vec::new();
        value.write_json(&mut out);
        serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {out:?}"))
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in any::<String>(), control in "[\\x00-\\x1f\"\\\\/\\x7f]*") {
            prop_assert_eq!(written(text.as_str()), text);
            prop_assert_eq!(written(&control), control);
        }

        #[test]
        fn any_number_is_read_back(integer in any::<i64>(), unsigned in any::<u64>(), double in any::<f64>()) {
            prop_assert_eq!(written(&integer), integer);
            prop_assert_eq!(written(&unsigned), unsigned);
            if double.is_finite() {
                // The parser may be one unit in the last place off.
                let read = written(&double).as_f64().unwrap();
                prop_assert!((read - double).abs() <= double.abs() * 1e-15);
            } else {
                prop_assert!(written(&double).is_null());
            }
        }
    }
}
