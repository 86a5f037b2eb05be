//! The OpenAPI documents as the tests read them: operations with what opens them, what they take and
//! what they answer, every reference followed.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "for tests: JSON without a member has null there, and a failed step is a panic"
)]

pub mod page;

use std::collections::BTreeMap;

use serde_json::Value;

/// The methods of a path that are operations.
const METHODS: [&str; 5] = ["get", "head", "post", "put", "delete"];

/// An OpenAPI document.
#[derive(Debug)]
pub struct Document {
    pub name: &'static str,
    pub text: &'static str,
    pub json: Value,
}

/// One operation of a document.
#[derive(Clone, Debug)]
pub struct Operation {
    /// In upper case.
    pub method: String,
    pub path: String,
    /// Any of them opens it: a scheme of credentials, and the scopes that it must have. Empty where
    /// nobody is asked.
    pub opened_by: Vec<(String, Vec<String>)>,
    pub body: Value,
    /// By status, references followed.
    pub responses: BTreeMap<u16, Value>,
}

impl Document {
    fn read(name: &'static str, text: &'static str) -> Self {
        Self { name, text, json: serde_json::from_str(text).expect("a JSON text") }
    }

    /// What the listener for events takes.
    #[must_use]
    pub fn public() -> Self {
        Self::read("public.json", include_str!("../../../host/docs/openapi/public.json"))
    }

    /// What the listener for administration takes.
    #[must_use]
    pub fn admin() -> Self {
        Self::read("admin.json", include_str!("../../../host/docs/openapi/admin.json"))
    }

    /// A value with its reference followed, where it is one.
    #[must_use]
    pub fn followed<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value["$ref"].as_str() else { return value };
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        let found = self.json.pointer(pointer);
        found.unwrap_or_else(|| panic!("{}: {reference} leads nowhere", self.name))
    }

    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let paths = self.json["paths"].as_object().expect("paths");
        let all = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().expect("a path item").iter();
            let methods = methods.filter(|(method, _)| METHODS.contains(&method.as_str()));
            methods.map(move |(method, operation)| self.operation(method, path, operation))
        });
        all.collect()
    }

    fn operation(&self, method: &str, path: &str, operation: &Value) -> Operation {
        let security = operation["security"].as_array().expect("security of each operation");
        let opened_by = security.iter().map(|requirement| {
            let requirement = requirement.as_object().expect("a requirement");
            let (scheme, scopes) = requirement.iter().next().expect("one scheme each");
            let scopes = scopes.as_array().expect("scopes").iter();
            (scheme.clone(), scopes.filter_map(Value::as_str).map(str::to_owned).collect())
        });
        let responses = operation["responses"].as_object().expect("responses").iter();
        let responses = responses.map(|(status, response)| {
            (status.parse().expect("a status"), self.followed(response).clone())
        });
        Operation {
            method: method.to_uppercase(),
            path: path.to_owned(),
            opened_by: opened_by.collect(),
            body: self.body(&operation["requestBody"]),
            responses: responses.collect(),
        }
    }

    /// A body, with the example of its schema where it shows none of its own.
    #[must_use]
    pub fn body(&self, body: &Value) -> Value {
        let mut body = body.clone();
        let content = body.get_mut("content").and_then(Value::as_object_mut);
        for content in content.into_iter().flat_map(|content| content.values_mut()) {
            let of_schema = &self.followed(&content["schema"])["example"];
            if content.get("example").is_none() && !of_schema.is_null() {
                content["example"] = of_schema.clone();
            }
        }
        body
    }

    /// Calls `look` with every value in the document and its JSON pointer.
    pub fn walk(&self, look: &mut impl FnMut(&str, &Value)) {
        walk(&self.json, "", look);
    }
}

fn walk(value: &Value, at: &str, look: &mut impl FnMut(&str, &Value)) {
    look(at, value);
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{at}/{index}"), look);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                walk(member, &format!("{at}/{name}"), look);
            }
        }
        _ => {}
    }
}

impl Operation {
    /// As people say it: `POST /v1/events`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The scopes of which each opens it, whatever the scheme.
    #[must_use]
    pub fn scopes(&self) -> Vec<&str> {
        let mut all: Vec<&str> =
            self.opened_by.iter().flat_map(|(_, scopes)| scopes).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// A content type that it takes with an example of that.
    #[must_use]
    pub fn example(&self) -> Option<(String, String)> {
        let content = self.body["content"].as_object()?;
        let text = |example: &Value| match example {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // JSON first, where there are several.
        let json = content.get_key_value("application/json").into_iter();
        json.chain(content).find_map(|(media, content)| {
            content.get("example").map(|example| (media.clone(), text(example)))
        })
    }
}

/// The problem types that a response may have, as `type` names them.
#[must_use]
pub fn problem_types(response: &Value) -> Vec<String> {
    let schema = &response["content"]["application/problem+json"]["schema"];
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let named = parts.flat_map(|part| part["properties"]["type"]["enum"].as_array());
    named.flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
