//! Blocks of published files that were read last, for all readers together. A published object never
//! changes, so a block is good as long as it is here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Bytes of one block, which is read in one request.
pub(super) const BLOCK: u64 = 1 << 20;
/// Blocks that are kept: 64 MiB.
const BLOCKS: usize = 64;

/// The blocks; bounded.
#[derive(Default)]
pub(super) struct Cache(Mutex<Blocks>);

#[derive(Default)]
struct Blocks {
    /// By path and number, with when it was last asked for.
    blocks: HashMap<(String, u64), (Bytes, u64)>,
    now: u64,
}

impl Cache {
    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        // Lost is at worst a block, which is read again.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, path: &str, number: u64) -> Option<Bytes> {
        let mut blocks = self.blocks();
        blocks.now += 1;
        let now = blocks.now;
        let (block, last) = blocks.blocks.get_mut(&(path.to_owned(), number))?;
        *last = now;
        Some(block.clone())
    }

    /// Keeps a block in place of the one that was not asked for longest.
    pub(super) fn put(&self, path: &str, number: u64, block: Bytes) {
        let mut blocks = self.blocks();
        blocks.now += 1;
        let now = blocks.now;
        if blocks.blocks.len() >= BLOCKS {
            let oldest = blocks.blocks.iter().min_by_key(|(_, (_, last))| *last);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                blocks.blocks.remove(&oldest);
            }
        }
        blocks.blocks.insert((path.to_owned(), number), (block, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_asked_for_stay_and_others_make_room() {
        let cache = Cache::default();
        let most = BLOCKS as u64;
        for number in 0..most {
            cache.put("a", number, Bytes::from(number.to_string()));
        }
        assert_eq!(cache.get("a", 0).as_deref(), Some(&b"0"[..]));
        cache.put("b", 0, Bytes::from_static(b"b"));
        assert_eq!(cache.get("a", 1), None);
        assert_eq!(cache.get("a", 0).as_deref(), Some(&b"0"[..]));
        assert_eq!(cache.get("b", 0).as_deref(), Some(&b"b"[..]));
        assert_eq!(cache.blocks().blocks.len(), BLOCKS);
    }
}
