//! A document as a page that people read: each operation with what it takes and what it answers.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{Document, problem_types};

/// Methods in the order in which a page has them.
const ORDER: [&str; 5] = ["get", "head", "post", "put", "delete"];

/// The page of a document.
#[must_use]
pub fn markdown(document: &Document) -> String {
    let mut out = String::new();
    let info = &document.json["info"];
    put(&mut out, &format!("# {}, API {}\n\n", text(&info["title"]), text(&info["version"])));
    put(
        &mut out,
        &format!(
            "Made from `openapi/{}`; change that, not this. {}\n\n{}\n\n",
            document.name,
            text(&info["summary"]),
            text(&info["description"])
        ),
    );
    put(&mut out, "## Credentials\n\n");
    for (name, scheme) in members(&document.json["components"]["securitySchemes"]) {
        let place = match scheme["in"].as_str() {
            Some(place) => format!("`{}` in the {place}", text(&scheme["name"])),
            None => "`Authorization: Bearer …`".to_owned(),
        };
        put(&mut out, &format!("- **{name}**, {place}. {}\n", text(&scheme["description"])));
    }
    for tag in document.json["tags"].as_array().into_iter().flatten() {
        put(&mut out, &format!("\n## {}\n\n{}\n", text(&tag["name"]), text(&tag["description"])));
        for (path, item) in members(&document.json["paths"]) {
            for method in ORDER {
                let operation = &item[method];
                if operation["tags"][0] == tag["name"] {
                    self::operation(&mut out, document, (method, path), operation);
                }
            }
        }
    }
    out
}

fn operation(
    out: &mut String,
    document: &Document,
    (method, path): (&str, &str),
    operation: &Value,
) {
    let summary = text(&operation["summary"]);
    put(out, &format!("\n### {} `{path}`\n\n{summary}.", method.to_uppercase()));
    if let Some(description) = operation["description"].as_str() {
        put(out, &format!(" {description}"));
    }
    put(out, "\n");
    parameters(out, document, &operation["parameters"]);
    body(out, document, document.followed(&operation["requestBody"]));
    put(out, "\n| answer | meaning | problems |\n|---|---|---|\n");
    for (status, response) in members(&operation["responses"]) {
        let response = document.followed(response);
        let problems = problem_types(response);
        let problems: Vec<_> = problems.iter().filter_map(|uri| uri.rsplit(':').next()).collect();
        let problems = problems.iter().map(|name| format!("[{name}](../problems.md#{name})"));
        let problems = problems.collect::<Vec<_>>().join(", ");
        let meaning = cell(text(&response["description"]));
        put(out, &format!("| {status} | {meaning} | {problems} |\n"));
    }
}

fn parameters(out: &mut String, document: &Document, parameters: &Value) {
    let all: Vec<_> = parameters.as_array().into_iter().flatten().collect();
    if all.is_empty() {
        return;
    }
    put(out, "\n| parameter | in | meaning |\n|---|---|---|\n");
    for parameter in all {
        let parameter = document.followed(parameter);
        let needed = if parameter["required"] == true { ", required" } else { "" };
        put(
            out,
            &format!(
                "| `{}` | {}{needed} | {} |\n",
                text(&parameter["name"]),
                text(&parameter["in"]),
                cell(text(&parameter["description"]))
            ),
        );
    }
}

fn body(out: &mut String, document: &Document, body: &Value) {
    let content = &document.body(body)["content"];
    if content.is_null() {
        return;
    }
    let kinds: Vec<_> = members(content).map(|(media, _)| format!("`{media}`")).collect();
    let needed = if body["required"] == true { "" } else { ", or none" };
    let about = text(&body["description"]);
    put(out, &format!("\nBody: {}{needed}. {about}\n", kinds.join(", ")));
    let json = content.get("application/json").into_iter();
    let shown = json.chain(members(content).map(|(_, content)| content));
    let Some(example) = shown.filter_map(|content| content.get("example")).next() else { return };
    let example = match example {
        Value::String(text) => text.trim_end().to_owned(),
        other => serde_json::to_string_pretty(other).expect("JSON can be written"),
    };
    put(out, &format!("\n```json\n{example}\n```\n"));
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// On one line, as a table needs it.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn put(out: &mut String, text: &str) {
    out.write_str(text).expect("writing to a String does not fail");
}
