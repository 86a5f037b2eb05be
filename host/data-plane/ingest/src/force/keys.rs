//! Who may send, and what.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use subtle::ConstantTimeEq as _;
use tidegate_types::name::secret::KeyText;
use tidegate_types::quota::Quotas;
use tidegate_types::{Digest, EventType, TenantId, UnixMillis};

/// All keys, also those that open nothing any more.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    by_id: HashMap<Arc<str>, Arc<ApiKey>, ahash::RandomState>,
    /// By the SHA-256 of the whole key: for those that other systems have made.
    by_hash: HashMap<Digest, Arc<ApiKey>, ahash::RandomState>,
}

/// An API key, without the key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its name in the catalog.
    pub id: Arc<str>,
    /// SHA-256 of the whole key.
    pub hash: Digest,
    pub tenant: TenantId,
    pub state: KeyState,
    pub scopes: Scopes,
    pub expires_at: Option<UnixMillis>,
    pub quotas: Quotas,
    pub last_used: Arc<LastUsed>,
}

/// Can the key be used at all?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Active,
    Revoked,
}

/// What a sender may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    pub write: WriteScope,
    /// `events:read`
    pub read: bool,
}

/// Which events a sender may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WriteScope {
    #[default]
    None,
    /// `events:write:TYPE`, for each of these.
    Types(Arc<[EventType]>),
    /// `events:write`
    All,
}

impl WriteScope {
    /// May events of this type be sent?
    #[must_use]
    pub fn covers(&self, event_type: &EventType) -> bool {
        match self {
            Self::None => false,
            Self::Types(types) => types.contains(event_type),
            Self::All => true,
        }
    }
}

impl Scopes {
    /// Reads the names of scopes; others are of no concern here.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut scopes, mut types) = (Self::default(), Vec::new());
        for name in names {
            match name {
                "events:write" => scopes.write = WriteScope::All,
                "events:read" => scopes.read = true,
                _ => {
                    let named = name.strip_prefix("events:write:").map(EventType::new);
                    types.extend(named.and_then(Result::ok));
                }
            }
        }
        if scopes.write == WriteScope::None && !types.is_empty() {
            scopes.write = WriteScope::Types(types.into());
        }
        scopes
    }
}

/// When a key was used last, and how much of that the catalog knows: milliseconds since 1970, 0 for
/// never. Shared by all snapshots that have the key.
#[derive(Debug, Default)]
pub struct LastUsed {
    used: AtomicU64,
    told: AtomicU64,
}

impl LastUsed {
    /// It was used.
    pub(crate) fn note(&self, at: UnixMillis) {
        self.used.store(at.0, Ordering::Relaxed);
    }

    /// When it was used last, where the catalog does not know.
    #[must_use]
    pub fn untold(&self) -> Option<UnixMillis> {
        let used = self.used.load(Ordering::Relaxed);
        let is_new = used > self.told.load(Ordering::Relaxed);
        is_new.then_some(UnixMillis(used))
    }

    /// The catalog knows.
    pub fn tell(&self, at: UnixMillis) {
        self.told.fetch_max(at.0, Ordering::Relaxed);
    }
}

impl Keys {
    pub(crate) fn new(keys: impl IntoIterator<Item = ApiKey>) -> Self {
        let mut all = Self::default();
        for key in keys.into_iter().map(Arc::new) {
            all.by_id.insert(Arc::clone(&key.id), Arc::clone(&key));
            all.by_hash.insert(key.hash, key);
        }
        all
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.by_id.values()
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Arc<ApiKey>> {
        self.by_id.get(id)
    }

    /// The key that a text is. One of our form is found by its id and compared in constant time; how
    /// long finding takes tells nothing but whether there is such an id, which is no secret. One of
    /// another form is found by its hash, of which time tells nothing that leads to the key.
    pub(crate) fn find(&self, text: &str) -> Option<&Arc<ApiKey>> {
        let hash = Digest::of(text.as_bytes());
        let own = match KeyText::read(text) {
            KeyText::Whole { id } => self.by_id.get(id),
            KeyText::Damaged | KeyText::Foreign => None,
        };
        let key = own.or_else(|| self.by_hash.get(&hash))?;
        bool::from(key.hash.0.ct_eq(&hash.0)).then_some(key)
    }
}
