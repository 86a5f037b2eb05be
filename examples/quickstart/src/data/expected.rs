//! What the rules must find: counts that are known of the data, and for each single event.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::Result;
use serde::Deserialize;

use super::table_keys;

/// Counts that are known of a set of flights, tables and nulls included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) events: u64,
    /// `dep_time` is null: the flight never left.
    pub(crate) not_departed: u64,
    pub(crate) tailnum_unknown: u64,
    /// `tailnum` is null or not a key of `planes`.
    pub(crate) tailnum_not_in_planes: u64,
    pub(crate) dest_not_in_airports: u64,
    /// `arr_delay` is null.
    pub(crate) not_arrived: u64,
}

pub(crate) const JANUARY: Facts = Facts {
    events: 27_004,
    not_departed: 521,
    tailnum_unknown: 155,
    tailnum_not_in_planes: 4_479,
    dest_not_in_airports: 680,
    not_arrived: 606,
};

pub(crate) const YEAR: Facts = Facts {
    events: 336_776,
    not_departed: 8_255,
    tailnum_unknown: 2_512,
    tailnum_not_in_planes: 52_606,
    dest_not_in_airports: 7_602,
    not_arrived: 9_430,
};

impl Facts {
    /// The counts by the names of the rules that must come to them.
    pub(crate) fn by_rule(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("departed", self.not_departed),
            ("tailnum-known", self.tailnum_unknown),
            ("tailnum-in-planes", self.tailnum_not_in_planes),
            ("dest-in-airports", self.dest_not_in_airports),
            ("arrived", self.not_arrived),
        ])
    }
}

/// The rule that revision 2 adds.
pub(crate) const ADDED_RULE: &str = "left-within-two-hours";

/// The fields of a flight that the rules look at.
#[derive(Debug, Deserialize)]
pub(crate) struct Flight<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    dep_time: Option<i64>,
    dep_delay: Option<i64>,
    arr_delay: Option<i64>,
    #[serde(borrow)]
    tailnum: Option<Cow<'a, str>>,
    #[serde(borrow)]
    dest: Cow<'a, str>,
}

/// The rules once more, in plain Rust, to compare with.
pub(crate) struct Expected {
    airports: HashSet<String>,
    planes: HashSet<String>,
}

impl Expected {
    /// # Errors
    /// Where the committed tables cannot be read.
    pub(crate) fn load() -> Result<Self> {
        Ok(Self { airports: table_keys("airports")?, planes: table_keys("planes")? })
    }

    /// The names of the rules that must have a finding for a flight.
    pub(crate) fn findings(
        &self,
        flight: &Flight<'_>,
        has_added_rule: bool,
    ) -> BTreeSet<&'static str> {
        let known_plane = |tailnum: &Cow<'_, str>| self.planes.contains(tailnum.as_ref());
        let checks = [
            ("departed", flight.dep_time.is_none()),
            ("tailnum-known", flight.tailnum.is_none()),
            ("tailnum-in-planes", !flight.tailnum.as_ref().is_some_and(known_plane)),
            ("dest-in-airports", !self.airports.contains(flight.dest.as_ref())),
            ("arrived", flight.arr_delay.is_none()),
            (ADDED_RULE, has_added_rule && flight.dep_delay.is_some_and(|minutes| minutes > 120)),
        ];
        checks.into_iter().filter(|(_, fails)| *fails).map(|(rule, _)| rule).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{flights::Flights, january};

    #[test]
    fn the_rules_in_plain_rust_come_to_the_known_counts() {
        let expected = Expected::load().unwrap();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut ids = HashSet::new();
        for event in Flights::open(&january()).unwrap() {
            let event = event.unwrap();
            let flight: Flight<'_> = serde_json::from_slice(&event).unwrap();
            assert!(ids.insert(flight.id.clone().into_owned()), "{} comes twice", flight.id);
            for rule in expected.findings(&flight, false) {
                *counts.entry(rule).or_default() += 1;
            }
        }
        assert_eq!(counts, JANUARY.by_rule());
    }

    #[test]
    fn the_revisions_hold_the_rules_and_differ_by_one() {
        let rules = |revision: &str| -> Vec<String> {
            let path = crate::data::folder().join(revision);
            let document: serde_json::Value =
                serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let rules = document["rules"].as_array().unwrap().iter();
            rules.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
        };
        let (first, mut second) = (rules("revision-1.json"), rules("revision-2.json"));
        for rule in JANUARY.by_rule().keys() {
            assert!(first.iter().any(|name| name == rule), "{rule}");
        }
        second.retain(|name| name != ADDED_RULE);
        assert_eq!(first, second);
    }
}
