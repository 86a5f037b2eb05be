//! Patches spliced into the text of an event: objects and arrays on the way to a patch are cut into
//! their members, everything else is copied as it stands.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Op, Patch, PatchError, unreadable};
use crate::text::push_string;

/// The patches as a tree of steps. A revision's writes never overlap, so a place is either changed
/// or on the way to changes.
#[derive(Default)]
pub(super) struct Edits<'p> {
    /// The first patch at or below this place.
    first: Option<Patch<'p>>,
    change: Option<Patch<'p>>,
    /// In the order in which the patches came, which is the order of new members.
    children: Vec<(Cow<'p, str>, Edits<'p>)>,
}

impl<'p> Edits<'p> {
    /// Adds a patch.
    ///
    /// # Errors
    /// Where its pointer is the whole event, or none.
    pub(super) fn insert(&mut self, patch: Patch<'p>) -> Result<(), PatchError> {
        let blocked = || PatchError::Blocked(patch.pointer.to_owned());
        let steps = patch.pointer.strip_prefix('/').ok_or_else(blocked)?;
        self.descend(&mut steps.split('/').map(unescaped), patch);
        Ok(())
    }

    fn descend(&mut self, steps: &mut dyn Iterator<Item = Cow<'p, str>>, patch: Patch<'p>) {
        self.first.get_or_insert(patch);
        let Some(step) = steps.next() else {
            self.change = Some(patch);
            self.children.clear();
            return;
        };
        let at = self.children.iter().position(|(name, _)| *name == step);
        let at = at.unwrap_or_else(|| {
            self.children.push((step, Edits::default()));
            self.children.len() - 1
        });
        if let Some((_, child)) = self.children.get_mut(at) {
            child.descend(steps, patch);
        }
    }

    /// The value that stands here in the end, where a patch gives one.
    fn set(&self) -> Option<&'p [u8]> {
        self.change.filter(|patch| patch.op == Op::Set).map(|patch| patch.value)
    }

    fn removed(&self) -> bool {
        self.change.is_some_and(|patch| patch.op == Op::Remove)
    }

    fn sets_something(&self) -> bool {
        self.set().is_some() || self.children.iter().any(|(_, edits)| edits.sets_something())
    }

    fn blocked(&self) -> PatchError {
        let pointer = self.first.map_or("", |patch| patch.pointer);
        PatchError::Blocked(pointer.to_owned())
    }

    /// Writes a value that is there, with the changes in it.
    ///
    /// # Errors
    /// Where a patch does not fit, or the value is no JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>, text: &str) -> Result<(), PatchError> {
        let text = text.trim_ascii();
        if let Some(value) = self.set() {
            out.extend_from_slice(value);
            return Ok(());
        }
        let Some((_, first)) = self.children.first() else {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        };
        match text.as_bytes().first() {
            Some(b'{') => self.write_object(out, text),
            Some(b'[') => self.write_array(out, text),
            _ => Err(first.blocked()),
        }
    }

    fn write_object(&self, out: &mut Vec<u8>, text: &str) -> Result<(), PatchError> {
        let Members(members) = serde_json::from_str(text).map_err(unreadable)?;
        out.push(b'{');
        let start = out.len();
        for (name, value) in &members {
            match self.children.iter().find(|(changed, _)| changed == name) {
                None => {
                    begin_member(out, start, name);
                    out.extend_from_slice(value.get().as_bytes());
                }
                Some((_, edits)) if edits.removed() => {}
                Some((_, edits)) => {
                    begin_member(out, start, name);
                    edits.write(out, value.get())?;
                }
            }
        }
        for (name, edits) in &self.children {
            if !members.iter().any(|(there, _)| there == name) && edits.sets_something() {
                begin_member(out, start, name);
                edits.write_new(out);
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Elements are only replaced.
    fn write_array(&self, out: &mut Vec<u8>, text: &str) -> Result<(), PatchError> {
        let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(unreadable)?;
        let mut changed = vec![None; elements.len()];
        for (name, edits) in &self.children {
            let canonical = name == "0" || !name.starts_with(['0', '+']);
            let place = canonical.then(|| name.parse::<usize>().ok()).flatten();
            match place.and_then(|at| changed.get_mut(at)) {
                Some(slot) if !edits.removed() => *slot = Some(edits),
                Some(_) | None => return Err(edits.blocked()),
            }
        }
        out.push(b'[');
        for (at, (element, edits)) in elements.iter().zip(changed).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match edits {
                Some(edits) => edits.write(out, element.get())?,
                None => out.extend_from_slice(element.get().as_bytes()),
            }
        }
        out.push(b']');
        Ok(())
    }

    /// Writes a value that was not there.
    fn write_new(&self, out: &mut Vec<u8>) {
        if let Some(value) = self.set() {
            out.extend_from_slice(value);
            return;
        }
        out.push(b'{');
        let start = out.len();
        for (name, edits) in self.children.iter().filter(|(_, edits)| edits.sets_something()) {
            begin_member(out, start, name);
            edits.write_new(out);
        }
        out.push(b'}');
    }
}

fn unescaped(step: &str) -> Cow<'_, str> {
    if step.contains('~') {
        Cow::Owned(step.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(step)
    }
}

fn begin_member(out: &mut Vec<u8>, start: usize, name: &str) {
    if out.len() > start {
        out.push(b',');
    }
    push_string(out, name);
    out.push(b':');
}

/// The members of an object: names unescaped, values as written.
struct Members<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'t> Deserialize<'t> for Members<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

struct MembersVisitor;

impl<'t> Visitor<'t> for MembersVisitor {
    type Value = Vec<(Cow<'t, str>, &'t RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(16);
        while let Some(name) = map.next_key_seed(Name)? {
            members.push((name, map.next_value()?));
        }
        Ok(members)
    }
}

/// A name, borrowed where it has no escapes.
struct Name;

impl<'t> DeserializeSeed<'t> for Name {
    type Value = Cow<'t, str>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'t> for Name {
    type Value = Cow<'t, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'t str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
