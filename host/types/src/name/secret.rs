//! The form of the secrets that this gateway makes: `PREFIX_ID_SECRET_CHECK`.
//!
//! ID is 16 of `0-9 a-z`, the secret's name in the catalog. SECRET is 43 base-62 characters drawn
//! evenly, 256 bits. CHECK is the CRC-32C of everything before the last underscore in 6 base-62
//! digits, so that a scanner for leaked secrets can tell one from noise without asking. API keys
//! have the prefix `tg_ENVIRONMENT`, where ENVIRONMENT is 1 to 16 of `0-9 a-z`.

/// Characters of an id.
pub const ID_CHARACTERS: usize = 16;
/// Characters of the secret itself.
pub const SECRET_CHARACTERS: usize = 43;
/// The digits of secrets and checks.
pub const BASE62: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

const CHECK_CHARACTERS: usize = 6;
const KEY_PREFIX: &str = "tg_";
const MAX_ENVIRONMENT_CHARACTERS: usize = 16;

/// The prefix of API keys of an environment, with its last underscore; `None` where the name of the
/// environment breaks its rule.
#[must_use]
pub fn key_prefix(environment: &str) -> Option<String> {
    is_environment(environment).then(|| format!("{KEY_PREFIX}{environment}_"))
}

fn is_environment(text: &str) -> bool {
    (1..=MAX_ENVIRONMENT_CHARACTERS).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}

/// What a text is that was sent as an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyText<'a> {
    /// One of the form above, with the check that belongs to it.
    Whole { id: &'a str },
    /// It begins as one and is not whole: cut off, or mistyped.
    Damaged,
    /// Of another form: made by another system, or noise.
    Foreign,
}

impl<'a> KeyText<'a> {
    /// Reads a text.
    #[must_use]
    pub fn read(text: &'a str) -> Self {
        let Some(rest) = text.strip_prefix(KEY_PREFIX) else { return Self::Foreign };
        let Some((environment, rest)) = rest.split_once('_') else { return Self::Foreign };
        if !is_environment(environment) {
            return Self::Foreign;
        }
        match rest.get(..ID_CHARACTERS) {
            Some(id) if has_rest(text, rest) => Self::Whole { id },
            _ => Self::Damaged,
        }
    }
}

/// Has a text a prefix and the form above?
#[must_use]
pub fn is_whole(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| has_rest(text, rest))
}

/// Is what follows a prefix an id, a secret and the check of it all?
fn has_rest(text: &str, rest: &str) -> bool {
    let parts: Vec<&str> = rest.splitn(4, '_').collect();
    let [id, secret, check] = parts.as_slice() else { return false };
    (id.len(), secret.len(), check.len()) == (ID_CHARACTERS, SECRET_CHARACTERS, CHECK_CHARACTERS)
        && text.rsplit_once('_').is_some_and(|(body, check)| check_of(body) == check)
}

/// The check of everything before the last underscore.
#[must_use]
pub fn check_of(text: &str) -> String {
    let mut rest = crc32c::crc32c(text.as_bytes());
    let mut digits = Vec::with_capacity(CHECK_CHARACTERS);
    for _ in 0..CHECK_CHARACTERS {
        digits.push(BASE62.get((rest % 62) as usize).map_or('0', |b| char::from(*b)));
        rest /= 62;
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_the_published_crc() {
        // CRC-32C of "123456789" is 0xE3069283 = 3808858755 (RFC 3720, B.4).
        let value = check_of("123456789").bytes().fold(0u64, |sum, digit| {
            sum * 62 + BASE62.iter().position(|b| *b == digit).unwrap() as u64
        });
        assert_eq!(value, 0xE306_9283);
    }

    #[test]
    fn texts_of_keys() {
        let (id, secret) = ("0123456789abcdef", "s".repeat(43));
        let made = |prefix: &str| {
            let body = format!("{prefix}{id}_{secret}");
            format!("{body}_{}", check_of(&body))
        };
        let good = made("tg_live_");
        let mut mistyped = good.clone();
        mistyped.replace_range(30..31, "t");
        for (text, expected) in [
            (good.as_str(), KeyText::Whole { id }),
            (&made("tg_test1_"), KeyText::Whole { id }),
            (&good[..good.len() - 1], KeyText::Damaged),
            (&format!("{good}x"), KeyText::Damaged),
            (&mistyped, KeyText::Damaged),
            ("tg_live_", KeyText::Damaged),
            ("tg_live_ключключключключ", KeyText::Damaged),
            (&made("tg_Live_"), KeyText::Foreign),
            (&made("tg__"), KeyText::Foreign),
            (&made("tg_abcdefghijklmnopq_"), KeyText::Foreign),
            ("tg_live", KeyText::Foreign),
            ("sk-1234", KeyText::Foreign),
            ("", KeyText::Foreign),
        ] {
            assert_eq!(KeyText::read(text), expected, "{text}");
        }
        assert!(is_whole(&made("tg_access_"), "tg_access_"));
        assert!(!is_whole(&good, "tg_access_"));
    }
}
