//! What a schema may cost on one value: the subschemas that apply to the same place, with every
//! reference followed, are counted before the schema is taken, since a few `$ref`s that fan out
//! double the work at each step.

use std::collections::HashMap;

use serde_json::Value;

use super::SchemaError;
use crate::pointer::push_step;

/// The most subschemas that may apply to one value, references followed.
pub(super) const MAX_SUBSCHEMAS: u32 = 4096;
/// The deepest nesting of subschemas that apply to one value; it bounds the validator's stack.
const MAX_NESTING: u32 = 32;

/// Counts the subschemas that may apply to one value, at most.
///
/// # Errors
/// With the pointer, where they are more than `MAX_SUBSCHEMAS`, nested deeper than `MAX_NESTING`,
/// or apply without end.
pub(super) fn check(schema: &Value) -> Result<u32, SchemaError> {
    let mut places = Places::default();
    places.collect(schema, schema, &mut String::new());
    let mut most = 1;
    for at in 0..places.list.len() {
        most = most.max(places.cost(at)?.subschemas);
    }
    Ok(most)
}

#[derive(Clone, Copy)]
struct Cost {
    subschemas: u32,
    nesting: u32,
}

enum State {
    Fresh,
    Open,
    Known(Cost),
}

struct Place<'a> {
    value: &'a Value,
    /// The schema resource that `#` means here.
    resource: &'a Value,
    pointer: String,
    state: State,
}

/// Every object of the schema, in the order of the text.
#[derive(Default)]
struct Places<'a> {
    list: Vec<Place<'a>>,
    by_address: HashMap<*const Value, usize>,
    /// By name; a dynamic anchor may be the target wherever it stands.
    anchors: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Places<'a> {
    fn collect(&mut self, value: &'a Value, resource: &'a Value, pointer: &mut String) {
        let length = pointer.len();
        match value {
            Value::Object(members) => {
                let id = value.get("$id").and_then(Value::as_str);
                let resource =
                    if id.is_some_and(|id| !id.starts_with('#')) { value } else { resource };
                let at = self.list.len();
                for name in ["$anchor", "$dynamicAnchor"].map(|key| value.get(key)) {
                    if let Some(name) = name.and_then(Value::as_str) {
                        self.anchors.entry(name).or_default().push(at);
                    }
                }
                if let Some(name) = id.and_then(|id| id.strip_prefix('#')) {
                    self.anchors.entry(name).or_default().push(at);
                }
                self.by_address.insert(std::ptr::from_ref(value), at);
                let pointer_here = pointer.clone();
                self.list.push(Place {
                    value,
                    resource,
                    pointer: pointer_here,
                    state: State::Fresh,
                });
                for (name, member) in members {
                    push_step(pointer, name);
                    self.collect(member, resource, pointer);
                    pointer.truncate(length);
                }
            }
            Value::Array(elements) => {
                for (place, element) in elements.iter().enumerate() {
                    push_step(pointer, &place.to_string());
                    self.collect(element, resource, pointer);
                    pointer.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// What the subschema at a place costs on one value. Recursion is as deep as `MAX_NESTING`
    /// allows: the check comes before the descent.
    fn cost(&mut self, at: usize) -> Result<Cost, SchemaError> {
        self.descend(at, 0)
    }

    fn descend(&mut self, at: usize, depth: u32) -> Result<Cost, SchemaError> {
        let Some(place) = self.list.get_mut(at) else {
            return Ok(Cost { subschemas: 1, nesting: 1 });
        };
        let fail = |place: &Place<'_>, message: String| SchemaError {
            pointer: place.pointer.clone(),
            message,
        };
        match place.state {
            State::Known(cost) => return Ok(cost),
            State::Open => {
                let message = "the subschema here applies to its own value again, without end; \
                               refer to it from a member or an element instead";
                return Err(fail(place, message.into()));
            }
            State::Fresh => place.state = State::Open,
        }
        let too_deep = format!("more than {MAX_NESTING} subschemas are nested on one value here");
        if depth > MAX_NESTING {
            return Err(fail(place, too_deep));
        }
        let (value, resource) = (place.value, place.resource);
        let mut sum = 0u32;
        let mut nesting = 0;
        for target in self.same_value(value, resource) {
            let cost = self.descend(target, depth + 1)?;
            sum = sum.saturating_add(cost.subschemas);
            nesting = nesting.max(cost.nesting);
        }
        // Which members were evaluated is asked by evaluating once more.
        let repeats = ["unevaluatedProperties", "unevaluatedItems"]
            .into_iter()
            .filter(|key| value.get(*key).is_some())
            .count();
        let rounds = 1 + 2 * u32::try_from(repeats).unwrap_or(2);
        let cost =
            Cost { subschemas: sum.saturating_mul(rounds).saturating_add(1), nesting: nesting + 1 };
        let Some(place) = self.list.get_mut(at) else { return Ok(cost) };
        if cost.subschemas > MAX_SUBSCHEMAS {
            let message = format!(
                "more than {MAX_SUBSCHEMAS} subschemas apply to one value here, with every \
                 reference followed; combine fewer of them"
            );
            return Err(fail(place, message));
        }
        if cost.nesting > MAX_NESTING {
            return Err(fail(place, too_deep));
        }
        place.state = State::Known(cost);
        Ok(cost)
    }

    /// The subschemas that apply to the same value as the subschema that holds them.
    fn same_value(&self, schema: &'a Value, resource: &'a Value) -> Vec<usize> {
        let mut out = Vec::new();
        let Some(members) = schema.as_object() else { return out };
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                    out.extend(all.iter().filter_map(|one| self.place(one)));
                }
                ("not" | "if" | "then" | "else", one) => out.extend(self.place(one)),
                ("dependentSchemas" | "dependencies", Value::Object(all)) => {
                    out.extend(all.values().filter_map(|one| self.place(one)));
                }
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => {
                    out.extend(self.targets(target, resource));
                }
                _ => {}
            }
        }
        out
    }

    fn place(&self, schema: &'a Value) -> Option<usize> {
        self.by_address.get(&std::ptr::from_ref(schema)).copied()
    }

    /// A reference that leads nowhere is the validator's to refuse.
    fn targets(&self, reference: &str, resource: &'a Value) -> Vec<usize> {
        let fragment = reference.strip_prefix('#').unwrap_or(reference);
        let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
        let named = self.anchors.get(fragment.as_ref()).cloned().unwrap_or_default();
        let pointed = resource.pointer(&fragment).and_then(|target| self.place(target));
        named.into_iter().chain(pointed).collect()
    }
}
