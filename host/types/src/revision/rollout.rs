//! Rollouts: how a candidate revision comes before live traffic, and when it is taken back without
//! being asked for.

use serde::{Deserialize, Serialize};

/// How much of a tenant's traffic: 0 to 10,000 parts of 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

/// A share out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share is 0.01 to 100 percent")]
pub struct InvalidShare;

impl Share {
    const WHOLE: u16 = 10_000;

    /// From 0.01 to 100 percent, in steps of 0.01.
    ///
    /// # Errors
    /// Where it is beyond these.
    pub fn from_percent(percent: f64) -> Result<Self, InvalidShare> {
        if !(0.01..=100.0).contains(&percent) {
            return Err(InvalidShare);
        }
        // Between 1 and 10,000 by the check above.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked just above"
        )]
        Ok(Self((percent * 100.0).round() as u16))
    }

    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Does the share take what has this hash? Whatever a smaller share takes, a larger one takes
    /// as well, so events stay with the candidate while its share grows.
    #[must_use]
    pub fn takes(self, hash: u64) -> bool {
        // Less than 10,000, so it fits.
        u16::try_from(hash % u64::from(Self::WHOLE)).is_ok_and(|part| part < self.0)
    }
}

impl Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.percent())
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_percent(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// How far a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "lowercase", deny_unknown_fields)]
pub enum Stage {
    /// It judges a copy of what the active revision judges; nothing comes of it but a comparison.
    Shadow,
    /// It judges a share of the events, by a stable hash of the event's key.
    Canary { percent: Share },
}

impl Stage {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary { .. } => "canary",
        }
    }
}

/// When a revision is taken back without being asked for. Rates are shares of events, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Events that met a fault of a rule.
    pub fault_rate: f64,
    /// How much larger the share of rejected and quarantined events may be than with the revision
    /// that it is compared with.
    pub reject_jump: f64,
    /// How many times as long the slowest hundredth of requests may take to be judged.
    pub p99_ratio: f64,
    /// Judging that takes less than this, in milliseconds, is never too slow.
    pub p99_floor_ms: f64,
    /// Events that it must have judged before anything is concluded.
    pub min_events: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            fault_rate: 0.01,
            reject_jump: 0.1,
            p99_ratio: 3.0,
            p99_floor_ms: 20.0,
            min_events: 200,
        }
    }
}

impl Thresholds {
    /// What is wrong with them: the member, and what it must be.
    #[must_use]
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        let rate = |value: f64| (0.0..=1.0).contains(&value);
        if !rate(self.fault_rate) {
            return Some(("fault_rate", "a share of events, 0 to 1"));
        }
        if !rate(self.reject_jump) {
            return Some(("reject_jump", "a share of events, 0 to 1"));
        }
        if !(1.0..=1000.0).contains(&self.p99_ratio) {
            return Some(("p99_ratio", "a ratio of times, 1 to 1000"));
        }
        if !(0.0..=60_000.0).contains(&self.p99_floor_ms) {
            return Some(("p99_floor_ms", "milliseconds, 0 to 60000"));
        }
        (self.min_events == 0).then_some(("min_events", "a number of events, at least 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_and_grow_without_losing_any() {
        for (percent, parts) in [(0.01, 1), (5.0, 500), (33.333, 3333), (100.0, 10_000)] {
            assert_eq!(Share::from_percent(percent).map(|share| share.0), Ok(parts));
        }
        for percent in [0.0, 0.009, -1.0, 100.01, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::from_percent(percent), Err(InvalidShare), "{percent}");
        }
        let share = |percent| Share::from_percent(percent).expect("in bounds");
        let taken = |percent| (0..10_000u64).filter(|hash| share(percent).takes(*hash)).count();
        assert_eq!((taken(0.01), taken(25.0), taken(100.0)), (1, 2500, 10_000));
        assert!((0..20_000).all(|hash| !share(5.0).takes(hash) || share(6.0).takes(hash)));
    }

    #[test]
    fn stages_and_thresholds_are_read_strictly() {
        let stage = |text: &str| serde_json::from_str::<Stage>(text);
        assert_eq!(stage(r#"{"stage":"shadow"}"#).ok(), Some(Stage::Shadow));
        let five = Share::from_percent(5.0).expect("in bounds");
        assert_eq!(
            stage(r#"{"stage":"canary","percent":5}"#).ok(),
            Some(Stage::Canary { percent: five })
        );
        for wrong in
            [r#"{"stage":"canary"}"#, r#"{"stage":"canary","percent":0}"#, r#"{"stage":"live"}"#]
        {
            assert!(stage(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Thresholds::default().problem(), None);
        let wrong = Thresholds { p99_ratio: 0.5, ..Thresholds::default() };
        assert_eq!(wrong.problem().map(|(member, _)| member), Some("p99_ratio"));
        assert!(serde_json::from_str::<Thresholds>(r#"{"fault_rte":1}"#).is_err());
    }
}
