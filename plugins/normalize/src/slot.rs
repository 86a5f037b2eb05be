//! The fields that steps read and set, and what a row's steps have made of them so far. Each step
//! sees what the steps before it set. Nothing is allocated for a row that needs no change.

use std::borrow::Cow;

use serde_json::Value;
use tidegate_sdk::{Cell, Field, Json, Manifest, Outcome, Presence, RawJson, Row, Target, Text};

/// A field, as far as steps use it.
#[derive(Debug)]
struct Slot {
    pointer: String,
    text: Option<Field<Text>>,
    json: Option<Field<Json>>,
    presence: Option<Field<Presence>>,
    target: Option<Target>,
}

/// Which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(usize);

/// All fields that the steps use, each once.
#[derive(Debug, Default)]
pub(crate) struct Slots(Vec<Slot>);

impl Slots {
    /// A field that is read as text, or set to text.
    pub(crate) fn text(&mut self, pointer: &str, manifest: &mut Manifest) -> SlotId {
        self.slot(pointer, |slot| slot.text = Some(manifest.read(pointer)))
    }

    /// A field that is read as JSON, or set to JSON.
    pub(crate) fn json(&mut self, pointer: &str, manifest: &mut Manifest) -> SlotId {
        self.slot(pointer, |slot| slot.json = Some(manifest.read(pointer)))
    }

    /// A field that is asked whether it is there.
    pub(crate) fn presence(&mut self, pointer: &str, manifest: &mut Manifest) -> SlotId {
        self.slot(pointer, |slot| slot.presence = Some(manifest.read(pointer)))
    }

    /// A field that is set.
    pub(crate) fn target(&mut self, pointer: &str, manifest: &mut Manifest) -> SlotId {
        self.slot(pointer, |slot| slot.target = Some(manifest.write(pointer)))
    }

    /// A field in which another is, or that is in it, where one of the two is set: the other
    /// would be read as it was before. `is_set` says whether the field asked about is set.
    pub(crate) fn overlapping(&self, pointer: &str, is_set: bool) -> Option<&str> {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
        };
        let overlaps = |slot: &&Slot| {
            (is_set || slot.target.is_some())
                && (within(&slot.pointer, pointer) || within(pointer, &slot.pointer))
        };
        self.0.iter().find(overlaps).map(|slot| slot.pointer.as_str())
    }

    fn slot(&mut self, pointer: &str, change: impl FnOnce(&mut Slot)) -> SlotId {
        let index = self.0.iter().position(|slot| slot.pointer == pointer).unwrap_or_else(|| {
            let pointer = pointer.to_owned();
            self.0.push(Slot { pointer, text: None, json: None, presence: None, target: None });
            self.0.len() - 1
        });
        if let Some(slot) = self.0.get_mut(index) {
            change(slot);
        }
        SlotId(index)
    }

    fn get(&self, id: SlotId) -> Option<&Slot> {
        self.0.get(id.0)
    }
}

/// A value that a step has set.
#[derive(Debug)]
enum New<'a> {
    Text(Cow<'a, str>),
    Json(Cow<'a, str>),
}

/// A field that differs from what the event has.
#[derive(Debug)]
struct Change<'a> {
    slot: SlotId,
    value: New<'a>,
    /// Was it set more than once? Then it may be again what the event has.
    again: bool,
}

/// What the steps have made of one row so far.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    slots: &'a Slots,
    row: Row<'a>,
    new: Vec<Change<'a>>,
}

impl<'a> Changes<'a> {
    pub(crate) fn new(slots: &'a Slots, row: Row<'a>) -> Self {
        Self { slots, row, new: Vec::new() }
    }

    /// Begins another row.
    pub(crate) fn start_row(&mut self, row: Row<'a>) {
        self.row = row;
        self.new.clear();
    }

    /// The text at a field; `None` where there is none.
    pub(crate) fn text(&self, id: SlotId) -> Option<Cow<'a, str>> {
        match self.changed(id) {
            Some(New::Text(text)) => Some(text.clone()),
            Some(New::Json(json)) => serde_json::from_str(json).ok().map(Cow::Owned),
            None => self.row.get(self.slots.get(id)?.text?).present().map(Cow::Borrowed),
        }
    }

    /// The JSON text at a field; `None` where it is missing or null.
    pub(crate) fn json(&self, id: SlotId) -> Option<Cow<'a, str>> {
        match self.changed(id) {
            Some(New::Text(text)) => Some(Cow::Owned(Value::from(text.as_ref()).to_string())),
            Some(New::Json(json)) => Some(json.clone()).filter(|json| json != "null"),
            None => self.row.get(self.slots.get(id)?.json?).present().map(Cow::Borrowed),
        }
    }

    /// Is a field missing or null?
    pub(crate) fn is_absent(&self, id: SlotId) -> bool {
        match self.changed(id) {
            Some(New::Text(_)) => false,
            Some(New::Json(json)) => json == "null",
            None => {
                let field = self.slots.get(id).and_then(|slot| slot.presence);
                field.is_some_and(|field| self.row.get(field).is_absent())
            }
        }
    }

    pub(crate) fn set_text(&mut self, id: SlotId, text: Cow<'a, str>) {
        self.set(id, New::Text(text));
    }

    pub(crate) fn set_json(&mut self, id: SlotId, json: Cow<'a, str>) {
        self.set(id, New::Json(json));
    }

    /// Writes the patches of the fields that differ from what the event has.
    pub(crate) fn patch(&self, out: &mut Outcome) {
        for Change { slot, value, again } in &self.new {
            if *again && self.is_as_wanted(*slot, value) {
                continue;
            }
            let Some(target) = self.slots.get(*slot).and_then(|slot| slot.target) else { continue };
            match value {
                New::Text(text) => out.set(target, text.as_ref()),
                New::Json(json) => out.set(target, &RawJson(json)),
            }
        }
    }

    fn set(&mut self, id: SlotId, value: New<'a>) {
        if let Some(change) = self.new.iter_mut().find(|change| change.slot == id) {
            change.value = value;
            change.again = true;
        } else if !self.is_as_wanted(id, &value) {
            self.new.push(Change { slot: id, value, again: false });
        }
    }

    fn changed(&self, id: SlotId) -> Option<&New<'a>> {
        self.new.iter().find(|change| change.slot == id).map(|change| &change.value)
    }

    fn is_as_wanted(&self, id: SlotId, value: &New<'_>) -> bool {
        self.slots.get(id).is_some_and(|slot| match value {
            New::Text(text) => self.has_text(slot, text),
            New::Json(json) => self.has_json(slot, json),
        })
    }

    fn has_text(&self, slot: &Slot, text: &str) -> bool {
        slot.text.is_some_and(|field| self.row.get(field).present() == Some(text))
    }

    /// Does the event have the same JSON value, however it is written?
    fn has_json(&self, slot: &Slot, json: &str) -> bool {
        let Some(field) = slot.json else { return false };
        match self.row.get(field) {
            Cell::Missing | Cell::OtherType => false,
            Cell::Null => json == "null",
            Cell::Present(old) => old == json || same_value(old, json),
        }
    }
}

fn same_value(one: &str, other: &str) -> bool {
    // A value begins with the same byte however blanks and member order differ inside of it.
    let comparable = one.bytes().next() == other.bytes().next() && one.starts_with(['{', '[']);
    comparable
        && match (serde_json::from_str::<Value>(one), serde_json::from_str::<Value>(other)) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        }
}
