//! Reading one expectation of the configuration.

use serde_json::Value;
use tidegate_sdk::{Config, Field, Invalid, Manifest, Object, Presence, Severity};

use crate::expectation::{Expectation, Kind};
use crate::key;

const KEYS: [&str; 5] = ["name", "field", "expect", "severity", "nulls"];

const SEVERITIES: [(&str, Severity); 4] = [
    ("info", Severity::Info),
    ("warn", Severity::Warn),
    ("soft_fail", Severity::Soft),
    ("hard_fail", Severity::Hard),
];

/// The values of a set are compared one by one; a larger set belongs in a reference table.
const MOST_VALUES: usize = 256;

const EXPECT: &str = "\"not_null\", \"unique\", or an object with one of the keys range, set, pattern, length, in_table";

/// Reads an entry of `expectations` and declares what it needs. `names` holds those read before.
pub(crate) fn read(
    config: &Config<'_>,
    names: &mut Vec<String>,
    manifest: &mut Manifest,
) -> Result<Expectation, Invalid> {
    let entry = config.object(&KEYS)?;
    let name = entry.required("name").and_then(|place| new_name(&place, names));
    let pointer = entry.required("field").and_then(|place| place.field());
    let severity = entry.optional("severity");
    let severity = severity.map_or(Ok(Severity::Soft), |place| place.one_of(&SEVERITIES));
    let nulls = entry.optional("nulls");
    let nulls_fail =
        nulls.as_ref().map_or(Ok(false), |place| place.one_of(&[("skip", false), ("fail", true)]));
    let expect = entry.required("expect")?;
    let kind = kind(&expect, pointer?, manifest);
    let (name, severity, nulls_fail, kind) = (name?, severity?, nulls_fail?, kind?);
    let is_not_null = matches!(kind, Kind::NotNull { .. });
    if let Some(place) = nulls
        && is_not_null
        && !nulls_fail
    {
        return Err(place.problem("`not_null` always fails on nulls: leave `nulls` out"));
    }
    let code = manifest.code(name, severity);
    Ok(Expectation { code, nulls_fail: nulls_fail || is_not_null, kind })
}

fn new_name<'a>(place: &Config<'a>, names: &mut Vec<String>) -> Result<&'a str, Invalid> {
    let name = place.code()?;
    if names.iter().any(|old| old == name) {
        return Err(place
            .problem("another expectation has this name: findings carry it, so choose another"));
    }
    names.push(name.to_owned());
    Ok(name)
}

fn kind(expect: &Config<'_>, pointer: &str, manifest: &mut Manifest) -> Result<Kind, Invalid> {
    match expect.value() {
        Value::String(word) if word == "not_null" => {
            Ok(Kind::NotNull { field: manifest.read(pointer) })
        }
        Value::String(word) if word == "unique" => {
            let counted = if pointer == "@key" { "" } else { pointer };
            if counted.starts_with('@') {
                return Err(expect.problem("of the host's columns only `@key` can be counted"));
            }
            let occurrence = manifest.read(&format!("@occurrence{counted}"));
            Ok(Kind::Unique { field: manifest.read(pointer), occurrence })
        }
        Value::Object(map) if map.len() == 1 => {
            let object = expect.object(&["range", "set", "pattern", "length", "in_table"])?;
            with_argument(&object, pointer, manifest)
        }
        _ => Err(expect.must_be(EXPECT)),
    }
}

fn with_argument(
    object: &Object<'_>,
    pointer: &str,
    manifest: &mut Manifest,
) -> Result<Kind, Invalid> {
    if let Some(place) = object.optional("range") {
        not_of_host(&place, pointer)?;
        let (low, high) = bounds(&place, |bound| bound.number())?;
        let (low, high) = (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY));
        in_order(&place, low <= high)?;
        Ok(Kind::Range { field: manifest.read(pointer), low, high })
    } else if let Some(place) = object.optional("length") {
        let (low, high) = bounds(&place, |bound| bound.count())?;
        let (low, high) = (low.unwrap_or(0), high.unwrap_or(u64::MAX));
        in_order(&place, low <= high)?;
        Ok(Kind::Length { field: manifest.read(pointer), low, high })
    } else if let Some(place) = object.optional("set") {
        set(&place, pointer, manifest)
    } else if let Some(place) = object.optional("pattern") {
        let pattern = place.text()?.to_owned();
        let text = manifest.read_lazily(pointer);
        let check = manifest.matches(text, &pattern);
        Ok(Kind::Pattern { field: presence(pointer, manifest), check, pattern })
    } else if let Some(place) = object.optional("in_table") {
        let (table, steps) = key::read(&place)?;
        let handle = manifest.table(&table);
        let text = manifest.read_lazily(pointer);
        // Without steps the text itself is the key, and need not cross.
        let check = match steps.is_empty() {
            true => manifest.contains(handle, text),
            false => {
                manifest.contains_key(handle, text, move |text, made| key::make(&steps, text, made))
            }
        };
        Ok(Kind::InTable { field: presence(pointer, manifest), check, table })
    } else {
        // The one key that it has is unknown, which has been reported.
        Err(object.place().must_be(EXPECT))
    }
}

fn presence(pointer: &str, manifest: &mut Manifest) -> Field<Presence> {
    manifest.read_lazily(pointer)
}

/// Host columns are text.
fn not_of_host(place: &Config<'_>, pointer: &str) -> Result<(), Invalid> {
    if pointer.starts_with('@') {
        let message = format!("`{pointer}` is text: expect a set of texts, a pattern or a length");
        return Err(place.problem(message));
    }
    Ok(())
}

/// `min` and `max`, of which at least one is there.
fn bounds<'a, T>(
    place: &Config<'a>,
    read: impl Fn(&Config<'a>) -> Result<T, Invalid>,
) -> Result<(Option<T>, Option<T>), Invalid> {
    let object = place.object(&["min", "max"])?;
    let low = object.optional("min").map(|bound| read(&bound)).transpose();
    let high = object.optional("max").map(|bound| read(&bound)).transpose();
    match (low?, high?) {
        (None, None) => Err(place.problem("give `min`, `max` or both")),
        both => Ok(both),
    }
}

fn in_order(place: &Config<'_>, ordered: bool) -> Result<(), Invalid> {
    if ordered { Ok(()) } else { Err(place.problem("`min` is above `max`: swap them")) }
}

/// A set has values of one type, and the field is read as that type.
fn set(place: &Config<'_>, pointer: &str, manifest: &mut Manifest) -> Result<Kind, Invalid> {
    let values: Vec<_> = place.list(MOST_VALUES)?.iter().map(Config::value).collect();
    let texts: Option<Vec<_>> = values.iter().map(|it| it.as_str().map(str::to_owned)).collect();
    if let Some(texts) = texts {
        return Ok(Kind::OneOfTexts { field: manifest.read(pointer), texts });
    }
    not_of_host(place, pointer)?;
    let numbers: Option<Vec<_>> = values.iter().map(|it| it.as_f64()).collect();
    if let Some(numbers) = numbers {
        return Ok(Kind::OneOfNumbers { field: manifest.read(pointer), numbers });
    }
    let booleans: Option<Vec<_>> = values.iter().map(|it| it.as_bool()).collect();
    if let Some(booleans) = booleans {
        return Ok(Kind::OneOfBooleans { field: manifest.read(pointer), booleans });
    }
    Err(place.problem(
        "the values must be all text, all numbers or all true and false; for null use `nulls`",
    ))
}
