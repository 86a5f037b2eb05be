//! Reading one step of the configuration.

use serde_json::Value;
use tidegate_sdk::{Config, Invalid, Manifest, Object};

use crate::slot::{SlotId, Slots};
use crate::step::{Action, Constant, Make, Step};

const ACTIONS: [&str; 8] =
    ["lower", "upper", "trim", "date", "copy", "host", "constant", "default"];

const KEYS: [&str; 10] =
    ["set", "fallback", "lower", "upper", "trim", "date", "copy", "host", "constant", "default"];

/// Reads an entry of `steps` and declares what it needs.
pub(crate) fn read(
    config: &Config<'_>,
    slots: &mut Slots,
    manifest: &mut Manifest,
) -> Result<Step, Invalid> {
    let entry = config.object(&KEYS)?;
    let target = target(&entry, slots, manifest);
    let (name, place) = the_action(&entry)?;
    let fallback = entry.optional("fallback");
    let (pointer, target) = target?;
    if let Some(place) = &fallback
        && matches!(name, "host" | "constant" | "default")
    {
        return Err(place.problem(format!("`{name}` has no use for a fallback: leave it out")));
    }
    let action = match name {
        "constant" => Action::Constant(constant(&place, pointer, slots, manifest)?),
        "default" => {
            slots.presence(pointer, manifest);
            Action::Default(constant(&place, pointer, slots, manifest)?)
        }
        "copy" => {
            slots.json(pointer, manifest);
            let sources = sources(&place, fallback, |at| slots.json_source(at, manifest))?;
            Action::Copy { sources }
        }
        name => {
            slots.text(pointer, manifest);
            let sources = sources(&place, fallback, |at| slots.text_source(at, manifest))?;
            if name == "host" && !place.text()?.starts_with('@') {
                return Err(place.problem("this must be a host column such as `@event_id`; for a field of the event write `copy`"));
            }
            Action::Text { sources, make: make(name) }
        }
    };
    Ok(Step { target, action })
}

fn make(name: &str) -> Make {
    match name {
        "lower" => Make::Lower,
        "upper" => Make::Upper,
        "trim" => Make::Trim,
        "date" => Make::Date,
        _ => Make::Same,
    }
}

fn target<'a>(
    entry: &Object<'a>,
    slots: &mut Slots,
    manifest: &mut Manifest,
) -> Result<(&'a str, SlotId), Invalid> {
    let place = entry.required("set")?;
    let pointer = place.pointer()?;
    no_overlap(&place, slots.overlapping(pointer, true))?;
    Ok((pointer, slots.target(pointer, manifest)))
}

/// The one key that says what the step does.
fn the_action<'a>(entry: &Object<'a>) -> Result<(&'static str, Config<'a>), Invalid> {
    let mut present =
        ACTIONS.iter().filter_map(|name| entry.optional(name).map(|place| (*name, place)));
    match (present.next(), present.next()) {
        (Some(action), None) => Ok(action),
        (None, _) => {
            let message = format!("say what the field is set to: one of {}", ACTIONS.join(", "));
            Err(entry.place().problem(message))
        }
        (Some((first, _)), Some((second, place))) => Err(place.problem(format!(
            "a step does one thing, and this one has `{first}` and `{second}`: make two steps of it"
        ))),
    }
}

fn sources(
    first: &Config<'_>,
    second: Option<Config<'_>>,
    mut read: impl FnMut(&Config<'_>) -> Result<SlotId, Invalid>,
) -> Result<Vec<SlotId>, Invalid> {
    let places: Vec<_> = std::iter::once(first).chain(&second).map(&mut read).collect();
    places.into_iter().collect()
}

impl Slots {
    fn text_source(
        &mut self,
        place: &Config<'_>,
        manifest: &mut Manifest,
    ) -> Result<SlotId, Invalid> {
        let pointer = place.field()?;
        no_overlap(place, self.overlapping(pointer, false))?;
        Ok(self.text(pointer, manifest))
    }

    fn json_source(
        &mut self,
        place: &Config<'_>,
        manifest: &mut Manifest,
    ) -> Result<SlotId, Invalid> {
        let pointer = place.pointer()?;
        no_overlap(place, self.overlapping(pointer, false))?;
        Ok(self.json(pointer, manifest))
    }
}

/// Steps may not set a field and use another that is part of it, or of which it is part.
fn no_overlap(place: &Config<'_>, other: Option<&str>) -> Result<(), Invalid> {
    match other {
        None => Ok(()),
        Some(other) => Err(place.problem(format!(
            "this field and `{other}`, which another step uses, are one inside the other: set and use the same field, or separate ones"
        ))),
    }
}

/// A constant, with the reading that tells whether the field has it already.
fn constant(
    place: &Config<'_>,
    pointer: &str,
    slots: &mut Slots,
    manifest: &mut Manifest,
) -> Result<Constant, Invalid> {
    match place.value() {
        Value::String(text) => {
            slots.text(pointer, manifest);
            Ok(Constant::Text(text.clone()))
        }
        other => {
            slots.json(pointer, manifest);
            Ok(Constant::Json(other.to_string()))
        }
    }
}
