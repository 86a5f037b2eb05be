//! Reference tables: rows by key, immutable, shared by all instances that use them.
//!
//! The cells of a table lie one after the other in one text, with the end of each beside it, and an
//! index of row numbers by the hash of the key: a table of a million rows is three allocations, and
//! goes as fast as it comes. Tables of the same content share it, whatever their generation and
//! whoever's they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ahash::RandomState;
use tidegate_types::Digest;

/// One generation of a reference table.
#[derive(Clone, Debug)]
pub struct Table {
    generation: u64,
    content: Arc<Content>,
}

/// The cells of a table, found by key.
#[derive(Debug)]
pub struct Content {
    columns: Vec<String>,
    /// The column that tells rows apart.
    key: usize,
    /// All cells, row after row, in the order of `columns`.
    text: String,
    /// For each cell its end in `text`.
    ends: Vec<u32>,
    /// Open addressing by the key's hash: a row's number plus one, 0 where there is none. Its length
    /// is a power of two, and at least a quarter of it is free.
    index: Box<[u32]>,
    hasher: RandomState,
}

/// A table whose parts do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    #[error("row {row} has {found} cells; the table has {expected} columns")]
    Ragged { row: usize, found: usize, expected: usize },
    #[error("row {row} repeats the key of an earlier row")]
    DuplicateKey { row: usize },
    #[error("the table has no column `{0}`")]
    NoColumn(String),
    #[error("a table has at most 4 GiB of text and 2^31 rows")]
    TooLarge,
    #[error("the ends of the cells do not fit their text")]
    Ends,
}

impl Content {
    /// The content of cells that lie one after the other; the first column is the key. Rows are
    /// counted from 0.
    ///
    /// # Errors
    /// Where the last row is not whole, ends do not rise to the end of the text, a key comes twice, or
    /// there is no column.
    pub fn new(columns: Vec<String>, text: String, ends: Vec<u32>) -> Result<Self, TableError> {
        let expected = columns.len();
        if expected == 0 {
            return Err(TableError::NoColumn(String::new()));
        }
        let (rows, found) = (ends.len() / expected, ends.len() % expected);
        if found > 0 {
            return Err(TableError::Ragged { row: rows, found, expected });
        }
        let fits = |end: &u32| text.is_char_boundary(*end as usize);
        let whole = ends.last().map_or(0, |end| *end as usize) == text.len();
        if !ends.is_sorted() || !ends.iter().all(fits) || !whole {
            return Err(TableError::Ends);
        }
        Self::indexed(columns, 0, text, ends)
    }

    fn indexed(
        columns: Vec<String>,
        key: usize,
        text: String,
        ends: Vec<u32>,
    ) -> Result<Self, TableError> {
        let rows = ends.len() / columns.len();
        if rows >= 1 << 31 {
            return Err(TableError::TooLarge);
        }
        let slots = (rows + rows / 3 + 1).next_power_of_two();
        let (index, hasher) = (vec![0; slots].into_boxed_slice(), RandomState::new());
        let mut content = Self { columns, key, text, ends, index, hasher };
        for row in 0..rows {
            let key = content.cell_at(row, content.key);
            match content.find(key) {
                Err(free) => content.put(free, row),
                Ok(_) => return Err(TableError::DuplicateKey { row }),
            }
        }
        Ok(content)
    }

    /// The row of a key, or the free slot where it would stand.
    fn find(&self, key: &str) -> Result<usize, usize> {
        let mask = self.index.len() - 1;
        let mut slot = self.hasher.hash_one(key) as usize & mask;
        // A free slot is always met: at least a quarter are free.
        loop {
            match self.index.get(slot) {
                None | Some(0) => return Err(slot),
                Some(row) if self.cell_at(*row as usize - 1, self.key) == key => {
                    return Ok(*row as usize - 1);
                }
                Some(_) => slot = (slot + 1) & mask,
            }
        }
    }

    fn put(&mut self, slot: usize, row: usize) {
        if let Some(slot) = self.index.get_mut(slot) {
            // Below 2^31.
            *slot = row as u32 + 1;
        }
    }

    fn cell_at(&self, row: usize, column: usize) -> &str {
        let index = row * self.columns.len() + column;
        let end = |index: usize| self.ends.get(index).map_or(0, |end| *end as usize);
        self.text.get(index.checked_sub(1).map_or(0, end)..end(index)).unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.ends.len() / self.columns.len()
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.text.capacity() + 4 * (self.ends.capacity() + self.index.len())
    }
}

impl Table {
    /// A table of rows of text; the column `key` tells them apart. Rows are counted from 0.
    ///
    /// # Errors
    /// Where a row has another number of cells than there are columns, or repeats a key, or there
    /// is no column `key`.
    pub fn new<R>(
        generation: u64,
        columns: Vec<String>,
        key: &str,
        rows: R,
    ) -> Result<Self, TableError>
    where
        R: IntoIterator<Item = Vec<String>>,
    {
        let key_at = columns.iter().position(|name| name == key);
        let key_at = key_at.ok_or_else(|| TableError::NoColumn(key.to_owned()))?;
        let (mut text, mut ends) = (String::new(), Vec::new());
        for (row, cells) in rows.into_iter().enumerate() {
            let (found, expected) = (cells.len(), columns.len());
            if found != expected {
                return Err(TableError::Ragged { row, found, expected });
            }
            for cell in cells {
                text.push_str(&cell);
                ends.push(u32::try_from(text.len()).map_err(|_| TableError::TooLarge)?);
            }
        }
        let content = Content::indexed(columns, key_at, text, ends)?;
        Ok(Self::of(generation, Arc::new(content)))
    }

    /// A generation with this content.
    #[must_use]
    pub fn of(generation: u64, content: Arc<Content>) -> Self {
        Self { generation, content }
    }

    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.content.columns.iter().position(|column| column == name)
    }

    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.content.find(key).is_ok()
    }

    /// The cell of a row by its key; `None` where no row has it.
    #[must_use]
    pub fn cell(&self, key: &str, column: usize) -> Option<&str> {
        let row = self.content.find(key).ok()?;
        (column < self.content.columns.len()).then(|| self.content.cell_at(row, column))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.content.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Contents in use, by digest, so that each is loaded once and held once. It holds none itself but the
/// last one loaded: what was checked a moment ago is there when it is put in force.
#[derive(Debug, Default)]
pub struct TableCache {
    contents: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    by_digest: HashMap<Digest, Weak<Content>>,
    last: Option<Arc<Content>>,
}

impl TableCache {
    /// The content of a digest, loaded where nobody has it. Two that ask for the same at once may both
    /// load it; one of the two is kept.
    ///
    /// # Errors
    /// Of `load`.
    pub fn get_or_load<E>(
        &self,
        digest: &Digest,
        load: impl FnOnce() -> Result<Content, E>,
    ) -> Result<Arc<Content>, E> {
        let lock = || self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let known = || lock().by_digest.get(digest).and_then(Weak::upgrade);
        if let Some(known) = known() {
            return Ok(known);
        }
        let loaded = Arc::new(load()?);
        let mut cached = lock();
        if let Some(known) = cached.by_digest.get(digest).and_then(Weak::upgrade) {
            return Ok(known);
        }
        cached.by_digest.retain(|_, content| content.strong_count() > 0);
        cached.by_digest.insert(*digest, Arc::downgrade(&loaded));
        // What was last is dropped after the lock: it may be large.
        let last = cached.last.replace(Arc::clone(&loaded));
        drop(cached);
        drop(last);
        Ok(loaded)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let content = |columns: &[&str], text: &str, ends: &[u32]| {
            Content::new(names(columns), text.to_owned(), ends.to_vec())
                .map(|content| content.len())
        };
        assert_eq!(content(&["k", "v"], "a1b2", &[1, 2, 3, 4]), Ok(2));
        assert_eq!(content(&["k"], "", &[]), Ok(0));
        assert_eq!(content(&[], "", &[]), Err(TableError::NoColumn(String::new())));
        assert_eq!(
            content(&["k", "v"], "a1b", &[1, 2, 3]),
            Err(TableError::Ragged { row: 1, found: 1, expected: 2 })
        );
        assert_eq!(
            content(&["k", "v"], "a1a2", &[1, 2, 3, 4]),
            Err(TableError::DuplicateKey { row: 1 })
        );
        for (text, ends) in [("ab", [2, 1]), ("ab", [1, 1]), ("ab", [1, 3]), ("aä", [2, 3])] {
            assert_eq!(content(&["k"], text, &ends), Err(TableError::Ends), "{text} {ends:?}");
        }
    }

    #[test]
    fn content_is_loaded_once_while_it_is_used() {
        let cache = TableCache::default();
        let load = |key: &str| {
            let (key, end) = (key.to_owned(), key.len() as u32);
            move || Content::new(names(&["k"]), key, vec![end])
        };
        let refuse = || Err(TableError::TooLarge);
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let first = cache.get_or_load(&a, load("a")).expect("it is loaded");
        assert!(Arc::ptr_eq(&first, &cache.get_or_load(&a, refuse).expect("it is there")));
        drop(first);
        cache.get_or_load(&a, refuse).expect("the last one loaded is held");
        cache.get_or_load(&b, load("b")).expect("it is loaded");
        assert_eq!(cache.get_or_load(&a, refuse).map(drop), Err(TableError::TooLarge));
        let table = Table::of(7, cache.get_or_load(&b, refuse).expect("it is there"));
        assert!(table.contains("b") && !table.contains("a") && table.generation() == 7);
    }

    proptest! {
        /// A table is a map from keys to cells.
        #[test]
        fn rows_are_found_by_key(
            rows in proptest::collection::btree_map("[a-c]{0,4}", "[x-z]{0,3}", 0..60),
            asked in proptest::collection::vec("[a-d]{0,4}", 0..30),
        ) {
            let rows: BTreeMap<String, String> = rows;
            let cells = rows.iter().map(|(key, value)| vec![value.clone(), key.clone()]);
            let table = Table::new(3, names(&["v", "k"]), "k", cells).expect("a table");
            prop_assert_eq!(table.len(), rows.len());
            for key in rows.keys().chain(&asked) {
                prop_assert_eq!(table.cell(key, 0), rows.get(key).map(String::as_str));
                prop_assert_eq!(table.contains(key), rows.contains_key(key));
                prop_assert_eq!(table.cell(key, 2), None);
            }
        }
    }
}
