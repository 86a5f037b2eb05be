//! Places that a schema marks as sensitive: a subschema with `"x-sensitive": true`. Their values
//! are not shown to people.
//!
//! What `properties`, `items`, `prefixItems`, `additionalProperties`, `patternProperties`, `$ref`
//! and the combining keywords say is followed; where it cannot be told which members a mark is
//! about, it is about all of them.

use serde_json::Value;

use crate::pointer::Pointer;

/// Subschemas that are looked at, references followed: a schema that has more is sensitive as a
/// whole.
const MAX_VISITS: usize = 10_000;

/// A step on the way to a sensitive place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(Box<str>),
    /// Any member or element.
    Any,
}

/// The sensitive places of one schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sensitive(Vec<Vec<Step>>);

impl Sensitive {
    pub(super) fn of(schema: &Value) -> Self {
        let mut search = Search { root: schema, visits: 0, open: Vec::new(), found: Vec::new() };
        if search.visit(schema, &mut Vec::new()).is_err() {
            return Self(vec![Vec::new()]);
        }
        Self(search.found)
    }

    /// Would the value at a place show something sensitive: it is sensitive, within something that
    /// is, or holds something that is?
    #[must_use]
    pub fn touches(&self, pointer: &Pointer) -> bool {
        self.0.iter().any(|place| {
            place.iter().zip(pointer.steps()).all(|(step, asked)| match step {
                Step::Name(name) => **name == *asked.name,
                Step::Any => true,
            })
        })
    }
}

/// More subschemas than are looked at.
struct TooMany;

struct Search<'s> {
    root: &'s Value,
    visits: usize,
    /// References that are being followed.
    open: Vec<&'s str>,
    found: Vec<Vec<Step>>,
}

impl<'s> Search<'s> {
    fn visit(&mut self, schema: &'s Value, at: &mut Vec<Step>) -> Result<(), TooMany> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err(TooMany);
        }
        let Value::Object(members) = schema else { return Ok(()) };
        if members.get("x-sensitive") == Some(&Value::Bool(true)) {
            self.found.push(at.clone());
            return Ok(());
        }
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(named)) => {
                    for (name, member) in named {
                        self.step(Step::Name(name.as_str().into()), member, at)?;
                    }
                }
                ("patternProperties", Value::Object(named)) => {
                    for member in named.values() {
                        self.step(Step::Any, member, at)?;
                    }
                }
                ("dependentSchemas" | "dependencies", Value::Object(named)) => {
                    for member in named.values() {
                        self.visit(member, at)?;
                    }
                }
                (
                    "additionalProperties"
                    | "unevaluatedProperties"
                    | "additionalItems"
                    | "unevaluatedItems"
                    | "contains",
                    member,
                ) => self.step(Step::Any, member, at)?,
                ("items", member @ Value::Object(_)) => self.step(Step::Any, member, at)?,
                ("items" | "prefixItems", Value::Array(members)) => {
                    for (place, member) in members.iter().enumerate() {
                        self.step(Step::Name(place.to_string().into()), member, at)?;
                    }
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(members)) => {
                    for member in members {
                        self.visit(member, at)?;
                    }
                }
                ("if" | "then" | "else" | "not", member) => self.visit(member, at)?,
                ("$ref", Value::String(reference)) => self.follow(reference, at)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn step(&mut self, step: Step, schema: &'s Value, at: &mut Vec<Step>) -> Result<(), TooMany> {
        at.push(step);
        let done = self.visit(schema, at);
        at.pop();
        done
    }

    fn follow(&mut self, reference: &'s str, at: &mut Vec<Step>) -> Result<(), TooMany> {
        // A schema within itself: what it marks deeper down is of the same kind as what was found.
        if self.open.contains(&reference) {
            return Ok(());
        }
        let target = match reference.strip_prefix('#') {
            Some(pointer) => self.root.pointer(pointer),
            None => None,
        };
        // An anchor or an id: not followed, so nothing can be said of what is there.
        let Some(target) = target else { return Err(TooMany) };
        self.open.push(reference);
        let done = self.visit(target, at);
        self.open.pop();
        done
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn marked_places_are_found() {
        let schema = json!({
            "properties": {
                "email": { "x-sensitive": true },
                "person": { "$ref": "#/$defs/person" },
                "list": { "items": { "properties": { "card": { "x-sensitive": true } } } },
                "plain": { "type": "string", "x-sensitive": false }
            },
            "allOf": [{ "properties": { "ip": { "x-sensitive": true } } }],
            "$defs": { "person": {
                "properties": {
                    "name": { "x-sensitive": true },
                    "friend": { "$ref": "#/$defs/person" },
                    "age": {}
                }
            } }
        });
        let sensitive = Sensitive::of(&schema);
        for (pointer, expected) in [
            ("/email", true),
            ("/email/domain", true),
            ("/person/name", true),
            ("/person", true),
            ("/person/age", false),
            ("/list/3/card", true),
            ("/list", true),
            ("/list/0/amount", false),
            ("/ip", true),
            ("/plain", false),
            ("", true),
        ] {
            let pointer: Pointer = pointer.parse().expect("a pointer");
            assert_eq!(sensitive.touches(&pointer), expected, "{}", pointer.as_str());
        }
        let none = Sensitive::of(&json!({ "properties": { "a": {} } }));
        assert!(!none.touches(&"".parse().expect("a pointer")));
    }

    #[test]
    fn what_cannot_be_followed_is_sensitive_as_a_whole() {
        let schema = json!({ "properties": { "a": { "$ref": "#elsewhere" } } });
        assert!(Sensitive::of(&schema).touches(&"/b".parse().expect("a pointer")));
    }
}
