//! Makes API keys and access tokens, in the form of `tidegate_types::name::secret`. One is shown once;
//! what is kept is the SHA-256 of the whole text.

use std::fmt;

use tidegate_types::Digest;
use tidegate_types::name::secret::{BASE62, ID_CHARACTERS, SECRET_CHARACTERS, check_of};

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
    pub(crate) fn generate(prefix: &str) -> Result<Self, getrandom::Error> {
        let (id, text) = generate(prefix)?;
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
        write!(f, "ApiKey({}…)", self.id)
    }
}

/// An id for a key that was made elsewhere.
pub(crate) fn draw_id() -> Result<String, getrandom::Error> {
    draw(BASE36, ID_CHARACTERS)
}

/// An id, and a text of this form with a prefix of its own.
pub(crate) fn generate(prefix: &str) -> Result<(String, String), getrandom::Error> {
    let id = draw_id()?;
    let secret = draw(BASE62, SECRET_CHARACTERS)?;
    let mut text = format!("{prefix}{id}_{secret}");
    let check = check_of(&text);
    text.push('_');
    text.push_str(&check);
    Ok((id, text))
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

#[cfg(test)]
mod tests {
    use tidegate_types::name::secret::KeyText;

    use super::*;

    #[test]
    fn keys_have_the_documented_form() {
        let key = ApiKey::generate("tg_live_").unwrap();
        assert_eq!(KeyText::read(key.reveal()), KeyText::Whole { id: key.id() });
        let secret = key.reveal().split('_').nth(3).unwrap();
        assert!(secret.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert!(!format!("{key:?}").contains(secret));
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
