//! What a schema may cost on one value: the subschemas that apply to the same place, with every
//! reference followed, are counted before the schema is taken, since a few `$ref`s that fan out
//! double the work at each step. References are read here as the validator reads them, or refused.

use std::collections::HashMap;

use serde_json::Value;

use super::{SchemaError, walk};
use crate::pointer::push_step;

/// The most subschemas that may apply to one value, references followed.
pub(super) const MAX_SUBSCHEMAS: u32 = 4096;
/// The deepest nesting of subschemas that apply to one value; it bounds the validator's stack.
const MAX_NESTING: u32 = 32;

/// Choices of an `enum` that cost as much as a subschema.
const CHOICES_PER_SUBSCHEMA: usize = 64;
/// Bytes of the pointers to all parts of a schema together.
const MAX_POINTER_BYTES: usize = 16 << 20;

/// Counts the subschemas that may apply to one value, at most.
///
/// # Errors
/// With the pointer, where they are more than `MAX_SUBSCHEMAS`, nested deeper than `MAX_NESTING`,
/// or apply without end; where a reference leads nowhere, or a part has an identity of its own.
pub(super) fn check(schema: &Value) -> Result<u32, SchemaError> {
    let mut places = Places {
        root: schema,
        list: Vec::new(),
        by_address: HashMap::new(),
        anchors: HashMap::new(),
        pointers: 0,
    };
    walk::objects(schema, &mut |object, names, at| places.enter(object, names, at))?;
    let mut most = 1;
    for at in 0..places.list.len() {
        most = most.max(places.descend(at, 0)?.subschemas).max(places.of_a_member(at)?);
    }
    Ok(most)
}

fn refused(pointer: &str, message: String) -> SchemaError {
    SchemaError { pointer: pointer.to_owned(), message }
}

fn too_many(pointer: &str) -> SchemaError {
    let message = format!(
        "more than {MAX_SUBSCHEMAS} subschemas apply to one value here, with every reference \
         followed; combine fewer of them"
    );
    refused(pointer, message)
}

fn too_deep(pointer: &str) -> SchemaError {
    refused(pointer, format!("more than {MAX_NESTING} subschemas are nested on one value here"))
}

#[derive(Clone, Copy)]
struct Cost {
    subschemas: u32,
    nesting: u32,
}

/// A schema that is `true` or `false`.
const BOOLEAN: Cost = Cost { subschemas: 1, nesting: 1 };

enum State {
    Fresh,
    Open,
    Known(Cost),
}

struct Place<'a> {
    value: &'a Value,
    pointer: String,
    state: State,
}

/// Every object of the schema, in the order of the text.
struct Places<'a> {
    root: &'a Value,
    list: Vec<Place<'a>>,
    by_address: HashMap<*const Value, usize>,
    /// By name; a dynamic anchor may be the target wherever it stands.
    anchors: HashMap<&'a str, Vec<&'a Value>>,
    /// Bytes of all pointers.
    pointers: usize,
}

impl<'a> Places<'a> {
    fn enter(&mut self, value: &'a Value, names: bool, pointer: &str) -> Result<(), SchemaError> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|_| !names);
        self.pointers += pointer.len();
        if self.pointers > MAX_POINTER_BYTES {
            let message = "the names on the way to the parts of the schema are too long";
            return Err(refused("", message.into()));
        }
        // Parts with an identity, or a draft, of their own would read `#` in their own way.
        let own = text("$schema").is_some() || text("$id").is_some_and(|id| !id.starts_with('#'));
        if own && !pointer.is_empty() {
            let message =
                "only the schema as a whole may have `$schema` and `$id`: leave them out here";
            return Err(refused(pointer, message.into()));
        }
        let own = text("$id").and_then(|id| id.strip_prefix('#'));
        for name in [text("$anchor"), text("$dynamicAnchor"), own].into_iter().flatten() {
            self.anchors.entry(name).or_default().push(value);
        }
        self.by_address.insert(std::ptr::from_ref(value), self.list.len());
        self.list.push(Place { value, pointer: pointer.to_owned(), state: State::Fresh });
        Ok(())
    }

    fn cost(&mut self, schema: &'a Value, depth: u32) -> Result<Cost, SchemaError> {
        match self.by_address.get(&std::ptr::from_ref(schema)) {
            Some(at) => self.descend(*at, depth),
            None if schema.is_object() => {
                Err(refused("", "a reference leads into data, which is no schema".into()))
            }
            None => Ok(BOOLEAN),
        }
    }

    /// What the subschema at a place costs on one value. Recursion is as deep as `MAX_NESTING`
    /// allows: the check comes before the descent.
    fn descend(&mut self, at: usize, depth: u32) -> Result<Cost, SchemaError> {
        let Some(place) = self.list.get_mut(at) else { return Ok(BOOLEAN) };
        match place.state {
            State::Known(cost) => return Ok(cost),
            State::Open => {
                let message = "the subschema here applies to its own value again, without end; \
                               refer to it from a member or an element instead";
                return Err(refused(&place.pointer, message.into()));
            }
            State::Fresh => place.state = State::Open,
        }
        let (value, pointer) = (place.value, place.pointer.clone());
        if depth > MAX_NESTING {
            return Err(too_deep(&pointer));
        }
        let (mut sum, mut nesting) = (0u32, 0);
        for target in self.same_value(value, &pointer)? {
            let cost = self.cost(target, depth + 1)?;
            sum = sum.saturating_add(cost.subschemas);
            nesting = nesting.max(cost.nesting);
        }
        // Which members were evaluated is asked by evaluating once more.
        let repeats = ["unevaluatedProperties", "unevaluatedItems"]
            .into_iter()
            .filter(|key| value.get(*key).is_some())
            .count();
        let rounds = 1 + 2 * u32::try_from(repeats).unwrap_or(2);
        // A value is compared with each.
        let choices = value.get("enum").and_then(Value::as_array).map_or(0, Vec::len);
        sum =
            sum.saturating_add(u32::try_from(choices / CHOICES_PER_SUBSCHEMA).unwrap_or(u32::MAX));
        let cost =
            Cost { subschemas: sum.saturating_mul(rounds).saturating_add(1), nesting: nesting + 1 };
        if cost.subschemas > MAX_SUBSCHEMAS {
            return Err(too_many(&pointer));
        }
        if cost.nesting > MAX_NESTING {
            return Err(too_deep(&pointer));
        }
        if let Some(place) = self.list.get_mut(at) {
            place.state = State::Known(cost);
        }
        Ok(cost)
    }

    /// What one member of an object costs that all patterns of a place are tried on.
    fn of_a_member(&mut self, at: usize) -> Result<u32, SchemaError> {
        let Some(place) = self.list.get(at) else { return Ok(0) };
        let (value, pointer) = (place.value, place.pointer.clone());
        let Some(patterns) = value.get("patternProperties").and_then(Value::as_object) else {
            return Ok(0);
        };
        let others = ["additionalProperties", "unevaluatedProperties", "propertyNames"];
        let others = others.into_iter().filter_map(|key| value.get(key));
        let mut sum = 0u32;
        for schema in patterns.values().chain(others) {
            sum = sum.saturating_add(self.cost(schema, 0)?.subschemas).saturating_add(1);
        }
        if sum > MAX_SUBSCHEMAS { Err(too_many(&pointer)) } else { Ok(sum) }
    }

    /// The subschemas that apply to the same value as the subschema that holds them.
    fn same_value(&self, schema: &'a Value, pointer: &str) -> Result<Vec<&'a Value>, SchemaError> {
        let mut out = Vec::new();
        let Some(members) = schema.as_object() else { return Ok(out) };
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => out.extend(all),
                ("not" | "if" | "then" | "else", one) => out.push(one),
                ("dependentSchemas" | "dependencies", Value::Object(all)) => {
                    out.extend(all.values().filter(|one| !one.is_array()));
                }
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => {
                    let found = self.targets(target);
                    if found.is_empty() {
                        let mut at = pointer.to_owned();
                        push_step(&mut at, keyword);
                        return Err(refused(
                            &at,
                            format!("`{target}` leads nowhere in the schema"),
                        ));
                    }
                    out.extend(found);
                }
                _ => {}
            }
        }
        Ok(out)
    }

    fn targets(&self, reference: &str) -> Vec<&'a Value> {
        let fragment = reference.strip_prefix('#').unwrap_or(reference);
        let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
        let named = self.anchors.get(fragment.as_ref()).cloned().unwrap_or_default();
        named.into_iter().chain(self.root.pointer(&fragment)).collect()
    }
}
