//! Rules of single values: the form in which they are written, the default, the bounds.
//!
//! Defaults and bounds are written as a person would write them, and read by the same parser; a
//! test reads them all.

pub(crate) mod choice;
pub(crate) mod network;
pub(crate) mod table;
pub(crate) mod text;

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::Value;

use crate::section::Base;
use crate::units::{parse_size, parse_time};

/// The most characters of a wrong value that a message quotes.
const QUOTED_CHARS: usize = 60;

/// The rule of one value.
pub(crate) trait Rule {
    type Out;

    fn default(&self, base: &Base) -> Self::Out;
    /// The value, or what is wrong and what to write.
    fn parse(&self, value: &Value) -> Result<Self::Out, String>;
    /// For the reference.
    fn default_text(&self) -> String;
    fn bounds_text(&self) -> String;
}

/// A value as text: what the environment gives, and TOML's texts, numbers and truth values.
pub(crate) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, char) => Some(char.to_string()),
        Value::Bool(_, bool) => Some(bool.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_u128().map(|number| number.to_string()))
            .or_else(|| number.to_f64().map(|number| number.to_string())),
        Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
    }
}

fn quoted(value: &Value) -> String {
    match text_of(value) {
        Some(text) => format!("`{}`", text.chars().take(QUOTED_CHARS).collect::<String>()),
        None => "a list or table".to_owned(),
    }
}

/// A number within bounds. The texts are read by `parse`; `T` is the field's type.
pub(crate) struct Bounded<T, P> {
    default: &'static str,
    low: &'static str,
    high: &'static str,
    parse: fn(&str) -> Option<P>,
    /// `is not …: write …`
    form: &'static str,
    out: PhantomData<fn() -> T>,
}

/// Bytes: `"64MiB"`.
pub(crate) fn size<T>(
    default: &'static str,
    low: &'static str,
    high: &'static str,
) -> Bounded<T, u64> {
    let form = "a size: write bytes, or a number with KiB, MiB, GiB or TiB, such as \"64MiB\"";
    Bounded { default, low, high, parse: parse_size, form, out: PhantomData }
}

/// A time: `"30s"`.
pub(crate) fn time(
    default: &'static str,
    low: &'static str,
    high: &'static str,
) -> Bounded<Duration, Duration> {
    let form = "a time: write a number with us, ms, s, m or h, such as \"30s\"";
    Bounded { default, low, high, parse: parse_time, form, out: PhantomData }
}

/// A whole number.
pub(crate) fn count<T>(
    default: &'static str,
    low: &'static str,
    high: &'static str,
) -> Bounded<T, u64> {
    let form = "a whole number: write one without a unit, such as 1000";
    Bounded { default, low, high, parse: |text| text.trim().parse().ok(), form, out: PhantomData }
}

impl<T: TryFrom<P>, P: PartialOrd> Bounded<T, P> {
    fn convert(&self, text: &str) -> Option<Result<T, ()>> {
        let value = (self.parse)(text)?;
        let (low, high) = ((self.parse)(self.low)?, (self.parse)(self.high)?);
        Some(if value < low || value > high { Err(()) } else { T::try_from(value).map_err(|_| ()) })
    }
}

impl<T: TryFrom<P>, P: PartialOrd> Rule for Bounded<T, P> {
    type Out = T;

    fn default(&self, _: &Base) -> T {
        let default = self.convert(self.default).and_then(Result::ok);
        default.expect("declared defaults are within declared bounds")
    }

    fn parse(&self, value: &Value) -> Result<T, String> {
        match text_of(value).and_then(|text| self.convert(&text)) {
            Some(Ok(value)) => Ok(value),
            Some(Err(())) => {
                let Self { low, high, .. } = self;
                Err(format!("{} is out of bounds: write {low} to {high}", quoted(value)))
            }
            None => Err(format!("{} is not {}", quoted(value), self.form)),
        }
    }

    fn default_text(&self) -> String {
        self.default.to_owned()
    }

    fn bounds_text(&self) -> String {
        format!("{} to {}", self.low, self.high)
    }
}

/// Threads: as many as there are cores, where nothing is given.
pub(crate) struct Threads;

const THREADS: Bounded<usize, u64> = Bounded {
    default: "1",
    low: "1",
    high: "256",
    parse: |text| text.trim().parse().ok(),
    form: "a whole number: write one without a unit, such as 8",
    out: PhantomData,
};

impl Rule for Threads {
    type Out = usize;

    fn default(&self, base: &Base) -> usize {
        base.cores.clamp(1, 256)
    }

    fn parse(&self, value: &Value) -> Result<usize, String> {
        THREADS.parse(value)
    }

    fn default_text(&self) -> String {
        "the number of cores".to_owned()
    }

    fn bounds_text(&self) -> String {
        THREADS.bounds_text()
    }
}

/// An address to listen on.
pub(crate) struct Address(pub(crate) &'static str);

impl Rule for Address {
    type Out = SocketAddr;

    fn default(&self, _: &Base) -> SocketAddr {
        self.0.parse().expect("declared addresses are addresses")
    }

    fn parse(&self, value: &Value) -> Result<SocketAddr, String> {
        text_of(value).and_then(|text| text.parse().ok()).ok_or_else(|| {
            format!("{} is not an address: write IP:PORT, such as \"{}\"", quoted(value), self.0)
        })
    }

    fn default_text(&self) -> String {
        self.0.to_owned()
    }

    fn bounds_text(&self) -> String {
        "IP:PORT; port 0 takes a free one".to_owned()
    }
}

/// A file or folder; where nothing is given, one under `data_dir`.
pub(crate) struct UnderDataDir(pub(crate) &'static str);

impl Rule for UnderDataDir {
    type Out = PathBuf;

    fn default(&self, base: &Base) -> PathBuf {
        base.data_dir.join(self.0)
    }

    fn parse(&self, value: &Value) -> Result<PathBuf, String> {
        let text = text_of(value).filter(|text| !text.is_empty());
        text.map(PathBuf::from).ok_or_else(|| "this is not a path: write one".to_owned())
    }

    fn default_text(&self) -> String {
        format!("`data_dir`/{}", self.0)
    }

    fn bounds_text(&self) -> String {
        "a path".to_owned()
    }
}

/// A file that need not be there; where nothing is given, there is none.
pub(crate) struct OptionalFile;

impl Rule for OptionalFile {
    type Out = Option<PathBuf>;

    fn default(&self, _: &Base) -> Option<PathBuf> {
        None
    }

    fn parse(&self, value: &Value) -> Result<Option<PathBuf>, String> {
        let text = text_of(value).ok_or_else(|| "this is not a path: write one".to_owned())?;
        Ok(Some(text).filter(|text| !text.is_empty()).map(PathBuf::from))
    }

    fn default_text(&self) -> String {
        "none".to_owned()
    }

    fn bounds_text(&self) -> String {
        "a path, or empty".to_owned()
    }
}

/// The name of the node; where nothing is given, that of the host.
pub(crate) struct NodeName;

const UNNAMED_NODE: &str = "node-1";

fn is_node_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=63).contains(&text.len()) && text.bytes().all(fits)
}

impl Rule for NodeName {
    type Out = String;

    fn default(&self, base: &Base) -> String {
        let name = Some(base.host_name.as_str()).filter(|name| is_node_name(name));
        name.unwrap_or(UNNAMED_NODE).to_owned()
    }

    fn parse(&self, value: &Value) -> Result<String, String> {
        text_of(value).filter(|text| is_node_name(text)).ok_or_else(|| {
            format!("{} is not a node's name: write {}", quoted(value), self.bounds_text())
        })
    }

    fn default_text(&self) -> String {
        format!("the host's name, or {UNNAMED_NODE}")
    }

    fn bounds_text(&self) -> String {
        "1 to 63 of letters, digits, `-`, `_` and `.`".to_owned()
    }
}

/// What API keys name after `tg_`.
pub(crate) struct Environment;

impl Rule for Environment {
    type Out = String;

    fn default(&self, _: &Base) -> String {
        "live".to_owned()
    }

    fn parse(&self, value: &Value) -> Result<String, String> {
        let fits = |text: &String| {
            (1..=16).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
        };
        text_of(value).filter(fits).ok_or_else(|| {
            format!("{} is not an environment: write {}", quoted(value), self.bounds_text())
        })
    }

    fn default_text(&self) -> String {
        "live".to_owned()
    }

    fn bounds_text(&self) -> String {
        "1 to 16 of 0-9 and a-z".to_owned()
    }
}
