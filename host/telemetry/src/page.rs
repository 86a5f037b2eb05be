//! All metrics at one moment.

mod text;

use std::collections::HashMap;

use crate::histogram::Exemplar;
use crate::metric::{Kind, Metric};

pub use text::Format;

/// Metrics with their values, as they are now. Those of one metric come together, in the order in which
/// metrics were first named.
#[derive(Debug, Default)]
pub struct Page {
    families: Vec<Family>,
    places: HashMap<&'static str, usize>,
}

/// A metric with the values of all of its labels.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) metric: &'static Metric,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug)]
pub(crate) struct Sample {
    /// The values of the metric's labels, in their order.
    pub(crate) labels: Box<[Box<str>]>,
    pub(crate) value: Value,
}

/// What a metric has come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Whole(u64),
    Number(f64),
    Distribution(Distribution),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(u64::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<Distribution> for Value {
    fn from(value: Distribution) -> Self {
        Self::Distribution(value)
    }
}

/// How often values of some size came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Upper bounds of all buckets but the last, which has none.
    pub bounds: Vec<f64>,
    /// How many values fell into each bucket; not added up.
    pub counts: Vec<u64>,
    /// Of all values.
    pub sum: f64,
    /// Of each bucket; empty where there are none.
    pub exemplars: Vec<Option<Exemplar>>,
}

impl Distribution {
    /// Of durations, whose bounds are in microseconds.
    #[must_use]
    pub fn of_micros(bounds: &[u64], counts: Vec<u64>, seconds: f64) -> Self {
        let bounds = bounds.iter().map(|micros| *micros as f64 / 1e6).collect();
        Self { bounds, counts, sum: seconds, exemplars: Vec::new() }
    }
}

impl Page {
    /// One that a part of the gateway has written.
    #[must_use]
    pub fn of(report: impl FnOnce(&mut Self)) -> Self {
        let mut page = Self::default();
        report(&mut page);
        page
    }

    /// Tells the value of a metric for the values of its labels.
    ///
    /// # Panics
    /// Where the value is none of the metric's kind, or there are more or fewer labels than it has.
    pub fn put(&mut self, metric: &'static Metric, labels: &[&str], value: impl Into<Value>) {
        let value = value.into();
        let is_distribution = matches!(value, Value::Distribution(_));
        assert_eq!(is_distribution, metric.kind == Kind::Histogram, "the kind of {}", metric.name);
        assert_eq!(labels.len(), metric.labels.len(), "the labels of {}", metric.name);
        let families = &mut self.families;
        let place = *self.places.entry(metric.name).or_insert_with(|| {
            families.push(Family { metric, samples: Vec::new() });
            families.len() - 1
        });
        let labels = labels.iter().map(|label| (*label).into()).collect();
        if let Some(family) = self.families.get_mut(place) {
            family.samples.push(Sample { labels, value });
        }
    }

    pub(crate) fn families(&self) -> &[Family] {
        &self.families
    }

    /// The whole number that a metric has come to, for those who look for one.
    #[must_use]
    pub fn whole(&self, metric: &Metric, labels: &[&str]) -> Option<u64> {
        let family = self.families.get(*self.places.get(metric.name)?)?;
        let is_it =
            |sample: &&Sample| sample.labels.iter().map(AsRef::as_ref).eq(labels.iter().copied());
        match family.samples.iter().find(is_it)?.value {
            Value::Whole(value) => Some(value),
            Value::Number(_) | Value::Distribution(_) => None,
        }
    }

    /// As text that Prometheus reads.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        text::write(self.families(), format)
    }
}
