//! The rows of a batch as rules see them.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_event::{Document, Node, Pointer};
use tidegate_types::{EventId, EventType, RuleName, TenantId};

use super::plan::{Replaced, StandIn};

/// The occurrence numbers of one row, by host column.
pub type Occurrences = Vec<(Arc<str>, u32)>;

/// One event.
#[derive(Clone, Debug)]
pub struct Row {
    pub document: Arc<Document>,
    /// Index of the event's value in the document.
    pub root: u32,
    pub event_id: EventId,
    pub event_type: EventType,
    pub key: Option<Box<str>>,
}

impl Row {
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        self.document.at(self.root)
    }
}

/// Events that are judged together: those of one producer's request, or of one request each.
#[derive(Clone, Debug)]
pub struct Batch {
    pub tenant: TenantId,
    /// This gateway's name.
    pub node: Arc<str>,
    pub rows: Vec<Row>,
    /// Each row comes from a request of its own.
    pub(super) apart: bool,
    /// They were judged before, so nobody waits for it: events that come go first.
    pub(super) again: bool,
    /// They are judged as they were before: breakers are not asked, and what stood in for these rules
    /// does so again.
    before: Option<Arc<[Replaced]>>,
    /// In a golden case the host columns are what the case says: for each row an object of them.
    pub(crate) given: Option<Arc<[Document]>>,
    /// For each `@occurrence…` column: the number of each row.
    occurrences: HashMap<Arc<str>, Vec<u32>>,
}

impl Batch {
    #[must_use]
    pub fn new(tenant: TenantId, node: Arc<str>, rows: Vec<Row>) -> Self {
        Self {
            tenant,
            node,
            rows,
            apart: false,
            again: false,
            before: None,
            given: None,
            occurrences: HashMap::new(),
        }
    }

    /// One row that was judged before, by the same rules and with the same in place of those that
    /// did not judge.
    #[must_use]
    pub fn as_before(
        tenant: TenantId,
        node: Arc<str>,
        row: (Row, Occurrences),
        replaced: Vec<Replaced>,
    ) -> Self {
        Self { before: Some(replaced.into()), ..Self::recorded(tenant, node, vec![row]) }
    }

    /// Are breakers asked?
    pub(super) fn asks_breakers(&self) -> bool {
        self.before.is_none()
    }

    /// What stood in for a rule when the rows were judged before.
    pub(super) fn stood_in(&self, rule: &RuleName) -> Option<&StandIn> {
        let mut replaced = self.before.as_deref()?.iter();
        replaced.find(|replaced| replaced.rule == *rule).map(|replaced| &replaced.by)
    }

    /// Rows that come from a request each.
    pub(crate) fn apart(tenant: TenantId, node: Arc<str>, rows: Vec<Row>) -> Self {
        Self { apart: true, ..Self::new(tenant, node, rows) }
    }

    /// Rows that were judged before, with the occurrence numbers that they had then: a column that
    /// was not counted then has 1 for each row.
    #[must_use]
    pub fn recorded(tenant: TenantId, node: Arc<str>, rows: Vec<(Row, Occurrences)>) -> Self {
        let (count, mut occurrences) = (rows.len(), HashMap::<Arc<str>, Vec<u32>>::new());
        for (at, (_, numbers)) in rows.iter().enumerate() {
            for (column, number) in numbers {
                let column =
                    occurrences.entry(Arc::clone(column)).or_insert_with(|| vec![1; count]);
                if let Some(slot) = column.get_mut(at) {
                    *slot = *number;
                }
            }
        }
        let rows = rows.into_iter().map(|(row, _)| row).collect();
        let (apart, again, before, given) = (true, true, None, None);
        Self { tenant, node, rows, apart, again, before, given, occurrences }
    }

    /// Some of its rows, by their places, with the numbers that they have in the whole.
    #[must_use]
    pub(crate) fn part(&self, places: &[usize]) -> Self {
        let occurrences = self.occurrences.iter().map(|(column, numbers)| {
            let numbers = places.iter().filter_map(|at| numbers.get(*at).copied());
            (Arc::clone(column), numbers.collect())
        });
        Self {
            tenant: self.tenant.clone(),
            node: Arc::clone(&self.node),
            rows: places.iter().filter_map(|at| self.rows.get(*at).cloned()).collect(),
            apart: self.apart,
            again: self.again,
            before: self.before.clone(),
            given: None,
            occurrences: occurrences.collect(),
        }
    }

    /// Counts how often each row's key, or value at a place, has come so far.
    pub(crate) fn count_occurrences(&mut self, column: &Arc<str>, pointer: Option<&Pointer>) {
        if self.occurrences.contains_key(column) {
            return;
        }
        if self.apart {
            self.occurrences.insert(column.clone(), vec![1; self.rows.len()]);
            return;
        }
        let mut seen: HashMap<Vec<u8>, u32> = HashMap::new();
        let numbers = self.rows.iter().map(|row| {
            let mut value = Vec::new();
            match pointer {
                None => value.extend_from_slice(row.key.as_deref()?.as_bytes()),
                Some(pointer) => tidegate_event::canonical::write_canonical(
                    &mut value,
                    pointer.resolve(row.root())?,
                ),
            }
            let count = seen.entry(value).or_default();
            *count += 1;
            Some(*count)
        });
        // A row without the value stands alone.
        let numbers = numbers.map(|number| number.unwrap_or(1)).collect();
        self.occurrences.insert(column.clone(), numbers);
    }

    pub(crate) fn occurrences(&self, column: &str) -> Option<&Vec<u32>> {
        self.occurrences.get(column)
    }

    /// The occurrence numbers of a row, by column: part of what its verdict depends on.
    pub(crate) fn context(&self, row: usize) -> Occurrences {
        let mut out: Vec<_> = self
            .occurrences
            .iter()
            .filter_map(|(column, numbers)| Some((column.clone(), *numbers.get(row)?)))
            .collect();
        out.sort();
        out
    }
}

#[cfg(test)]
mod tests {
    use tidegate_types::UnixMillis;

    use super::*;

    #[test]
    fn occurrences_are_counted_within_a_request() {
        let row = |key: &str| Row {
            document: Arc::new(Document::parse(b"{}".to_vec()).expect("JSON")),
            root: 0,
            event_id: EventId::from_parts(UnixMillis(0), 0, 0),
            event_type: EventType::new("t").expect("name"),
            key: Some(key.into()),
        };
        let (tenant, node) = (TenantId::new("acme").expect("name"), Arc::<str>::from("node"));
        let (column, rows) = (Arc::<str>::from("@occurrence"), vec![row("a"), row("b"), row("a")]);
        let mut one = Batch::new(tenant.clone(), Arc::clone(&node), rows.clone());
        one.count_occurrences(&column, None);
        assert_eq!(one.occurrences(&column), Some(&vec![1, 1, 2]));
        let mut three = Batch::apart(tenant, node, rows);
        three.count_occurrences(&column, None);
        assert_eq!(three.occurrences(&column), Some(&vec![1, 1, 1]));
        // A part keeps what was counted over the whole.
        assert_eq!(one.part(&[1, 2]).occurrences(&column), Some(&vec![1, 2]));
    }
}
