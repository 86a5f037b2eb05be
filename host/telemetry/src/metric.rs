//! The declaration of a metric.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the start of the process.
    Counter,
    /// Is as it is now.
    Gauge,
    /// How often values of some size came, since the start of the process.
    Histogram,
}

impl Kind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric: its name says what is counted and in which unit, by the rules of Prometheus.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    /// The names of its labels, in their order.
    pub labels: &'static [&'static str],
}

impl Metric {
    /// Its unit as UCUM has it, which OpenTelemetry wants: by the end of its name.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        match name.rsplit('_').next() {
            Some("seconds") => "s",
            Some("bytes") => "By",
            _ => "1",
        }
    }
}

/// `/// Help.` `NAME: counter "tidegate_name_total" [label, other];`
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $name:ident: $kind:ident $text:literal [$($label:ident),*];)+) => {
        $($(#[doc = $help])+
        pub static $name: $crate::metric::Metric = $crate::metric::Metric {
            name: $text,
            kind: $crate::metric::metrics!(@kind $kind),
            help: concat!($($help),+),
            labels: &[$(stringify!($label)),*],
        };)+

        /// All of these.
        pub(crate) static ALL: &[&$crate::metric::Metric] = &[$(&$name),+];
    };
    (@kind counter) => { $crate::metric::Kind::Counter };
    (@kind gauge) => { $crate::metric::Kind::Gauge };
    (@kind histogram) => { $crate::metric::Kind::Histogram };
}
pub(crate) use metrics;
