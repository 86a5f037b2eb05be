//! API keys: `tg_live_ID_SECRET_CHECK`.
//!
//! ID is 16 of `0-9 a-z`, the key's name in the catalog. SECRET is 43 base-62 characters drawn
//! evenly, 256 bits. CHECK is the CRC-32C of everything before the last underscore in 6 base-62
//! digits, so that a scanner for leaked secrets can tell a key from noise without asking.
//! A key is shown once; what is kept is the SHA-256 of the whole text.

use std::fmt;

use tidegate_types::Digest;

const PREFIX: &str = "tg_live_";
const ID_CHARACTERS: usize = 16;
const SECRET_CHARACTERS: usize = 43;
const CHECK_CHARACTERS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const BASE36: &[u8] = BASE62.first_chunk::<36>().expect("62 characters have a first 36");

/// A freshly made key. Its `Debug` form hides the secret.
pub struct ApiKey {
    id: String,
    text: String,
}

impl ApiKey {
    /// Draws a new key from the operating system's random bytes.
    ///
    /// # Errors
    /// Where the operating system has no random bytes to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let (id, text) = generate(PREFIX)?;
        Ok(Self { id, text })
    }

    /// The key's name in the catalog.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole key, to be shown to its owner once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What the catalog keeps of it.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({PREFIX}{}_…)", self.id)
    }
}

/// An id, and a text of the form that the module tells, with a prefix of its own.
pub(crate) fn generate(prefix: &str) -> Result<(String, String), getrandom::Error> {
    let id = draw(BASE36, ID_CHARACTERS)?;
    let secret = draw(BASE62, SECRET_CHARACTERS)?;
    let mut text = format!("{prefix}{id}_{secret}");
    let check = check_sum(&text);
    text.push('_');
    text.push_str(&check);
    Ok((id, text))
}

/// Has a text this form and the check that belongs to it?
pub(crate) fn is_whole(text: &str, prefix: &str) -> bool {
    let length = prefix.len() + ID_CHARACTERS + 1 + SECRET_CHARACTERS + 1 + CHECK_CHARACTERS;
    text.len() == length
        && text.starts_with(prefix)
        && text.rsplit_once('_').is_some_and(|(body, check)| check_sum(body) == check)
}

/// Characters of an alphabet, each equally likely: bytes beyond the last whole multiple of the
/// alphabet's length are thrown away.
fn draw(alphabet: &[u8], count: usize) -> Result<String, getrandom::Error> {
    let even = 256 - 256 % alphabet.len();
    let mut out = String::with_capacity(count);
    while out.len() < count {
        let mut random = [0u8; 64];
        getrandom::fill(&mut random)?;
        let usable = random.iter().map(|b| usize::from(*b)).filter(|b| *b < even);
        let drawn = usable.filter_map(|b| alphabet.get(b % alphabet.len()));
        out.extend(drawn.take(count - out.len()).map(|b| char::from(*b)));
    }
    Ok(out)
}

fn check_sum(text: &str) -> String {
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
    fn keys_have_the_documented_form() {
        let key = ApiKey::generate().unwrap();
        let parts: Vec<&str> = key.reveal().split('_').collect();
        assert_eq!(parts.len(), 5);
        assert_eq!(parts[..2], ["tg", "live"]);
        assert_eq!(parts[2], key.id());
        assert_eq!((parts[2].len(), parts[3].len(), parts[4].len()), (16, 43, 6));
        assert!(parts[3].bytes().all(|b| b.is_ascii_alphanumeric()));
        let (body, check) = key.reveal().rsplit_once('_').unwrap();
        assert_eq!(check_sum(body), check);
        assert!(!format!("{key:?}").contains(parts[3]));
    }

    #[test]
    fn check_sums_are_the_published_crc() {
        // CRC-32C of "123456789" is 0xE3069283 = 3808858755 (RFC 3720, B.4).
        let value = check_sum("123456789").bytes().fold(0u64, |sum, digit| {
            sum * 62 + BASE62.iter().position(|b| *b == digit).unwrap() as u64
        });
        assert_eq!(value, 0xE306_9283);
    }

    #[test]
    fn every_character_is_drawn_about_as_often() {
        let drawn = draw(BASE62, 62_000).unwrap();
        for wanted in BASE62 {
            let count = drawn.bytes().filter(|b| b == wanted).count();
            // Mean 1000, standard deviation 31: seven of them either way.
            assert!((780..1220).contains(&count), "{} came {count} times", char::from(*wanted));
        }
    }
}
