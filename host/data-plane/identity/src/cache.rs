//! What is remembered of tokens, by their digest. Bounded by generations: where the younger one is
//! full, it becomes the older one, and what nobody asked for since then is forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidegate_types::Digest;

/// Parts that are locked apart, so that workers seldom wait for each other.
const SHARDS: usize = 16;

struct Shard<T> {
    young: HashMap<Digest, T>,
    old: HashMap<Digest, T>,
}

pub(crate) struct Cache<T> {
    shards: [Mutex<Shard<T>>; SHARDS],
    /// Entries of one generation of one shard.
    most: usize,
}

impl<T: Clone> Cache<T> {
    /// Keeps at most so many, or two for each shard where that is more.
    pub(crate) fn new(entries: usize) -> Self {
        let empty = || Shard { young: HashMap::new(), old: HashMap::new() };
        let shards = std::array::from_fn(|_| Mutex::new(empty()));
        Self { shards, most: (entries / SHARDS / 2).max(1) }
    }

    /// What is remembered of a token. What is no longer good is forgotten.
    pub(crate) fn get(&self, token: &Digest, is_good: impl Fn(&T) -> bool) -> Option<T> {
        let mut shard = self.shard(token);
        if let Some(known) = shard.young.get(token) {
            if is_good(known) {
                return Some(known.clone());
            }
            shard.young.remove(token);
            return None;
        }
        let known = shard.old.remove(token).filter(is_good)?;
        self.insert(&mut shard, *token, known.clone());
        Some(known)
    }

    pub(crate) fn put(&self, token: Digest, what: T) {
        let mut shard = self.shard(&token);
        // What was remembered of it before must not come back when this is forgotten.
        shard.old.remove(&token);
        self.insert(&mut shard, token, what);
    }

    fn insert(&self, shard: &mut Shard<T>, token: Digest, what: T) {
        if shard.young.len() >= self.most && !shard.young.contains_key(&token) {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(token, what);
    }

    fn shard(&self, token: &Digest) -> MutexGuard<'_, Shard<T>> {
        let [first, ..] = token.0;
        let shard = self.shards.get(usize::from(first) % SHARDS);
        let shard = shard.expect("a remainder is less than the number of shards");
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl<T> Cache<T> {
        fn held(&self) -> usize {
            let count = |shard: &Mutex<Shard<T>>| {
                let shard = shard.lock().unwrap();
                shard.young.len() + shard.old.len()
            };
            self.shards.iter().map(count).sum()
        }
    }

    fn digest(n: u16) -> Digest {
        Digest::of(&n.to_be_bytes())
    }

    proptest! {
        /// It never answers anything but what was put last, and never holds more than it may.
        #[test]
        fn answers_what_was_put_or_nothing(
            entries in 0usize..200,
            steps in proptest::collection::vec((0u16..300, any::<bool>(), 0u32..4), 1..600),
        ) {
            let cache = Cache::new(entries);
            let mut model = HashMap::new();
            for (token, puts, value) in steps {
                if puts {
                    cache.put(digest(token), value);
                    model.insert(token, value);
                } else {
                    // Zeros have gone bad.
                    let found = cache.get(&digest(token), |value| *value != 0);
                    let put = model.get(&token).copied().filter(|value| *value != 0);
                    prop_assert!(found.is_none() || found == put);
                }
                prop_assert!(cache.held() <= entries.max(2 * SHARDS));
            }
        }
    }

    /// One that was put anew and went bad is forgotten, though the older generation has it as it was.
    #[test]
    fn what_was_put_before_does_not_come_back() {
        let cache = Cache::new(4 * SHARDS);
        let of_one_shard = (0..).map(digest).filter(|token| usize::from(token.0[0]) % SHARDS == 0);
        let tokens: Vec<Digest> = of_one_shard.take(3).collect();
        // Two fill the younger generation, the third begins a new one.
        for token in &tokens {
            cache.put(*token, 1);
        }
        cache.put(tokens[0], 0);
        assert_eq!(cache.get(&tokens[0], |value| *value != 0), None);
        assert_eq!(cache.get(&tokens[0], |value| *value != 0), None);
        assert_eq!(cache.get(&tokens[1], |value| *value != 0), Some(1));
    }

    #[test]
    fn what_is_asked_for_stays_and_what_went_bad_is_forgotten() {
        let cache = Cache::new(100);
        cache.put(digest(0), 7);
        for n in 1..5000 {
            assert_eq!(cache.get(&digest(0), |_| true), Some(7), "after {n}");
            cache.put(digest(n), 1);
        }
        assert_eq!(cache.get(&digest(1), |_| true), None);
        let before = cache.held();
        assert_eq!(cache.get(&digest(0), |_| false), None);
        assert_eq!(cache.get(&digest(0), |_| true), None);
        assert_eq!(cache.held(), before - 1);
    }
}
