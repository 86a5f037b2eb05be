//! A1, A2, D10: who may do what, on every operation that the documents have, against a gateway that runs.
//! What is expected of each cell follows from the operation's own security requirements, so that an
//! operation cannot be there without its row.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod admin;
mod furnished;
mod public;

use tidegate_contract::Operation;
use tidegate_testkit::{Connection, Response};

/// What a cell must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// The credentials are none.
    Unauthenticated,
    /// They do not allow this.
    Forbidden,
    /// For them it is not there.
    NotThere,
    /// They suffice; what comes of it is another matter.
    LetIn,
}

/// One request of a row.
struct Cell<'a> {
    who: &'a str,
    /// Headers with the credentials.
    credentials: Vec<(&'a str, String)>,
    path: &'a str,
    expected: Expected,
}

/// Sends an operation as its document shows it, and holds the answer against what is expected and what
/// is documented.
fn check(address: &str, operation: &Operation, cell: &Cell<'_>) -> Response {
    let what = format!("{} as {}: {}", operation.name(), cell.who, cell.path);
    let (media, body) = operation.example().unwrap_or_default();
    let mut headers: Vec<(&str, &str)> =
        cell.credentials.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if !media.is_empty() {
        headers.push(("content-type", &media));
    }
    let method = operation.method.as_str();
    let connection = &mut Connection::open(address).unwrap();
    let answer = if method == "HEAD" {
        head(connection, cell.path, &headers)
    } else {
        connection.request(method, cell.path, &headers, body.as_bytes()).unwrap()
    };
    let told = format!("{what}: {} {}", answer.status, answer.text());
    match cell.expected {
        Expected::Unauthenticated => {
            assert_eq!(answer.status, 401, "{told}");
            assert!(answer.header("www-authenticate").is_some(), "{told}");
        }
        Expected::Forbidden => assert_eq!(answer.status, 403, "{told}"),
        Expected::NotThere => assert_eq!(answer.status, 404, "{told}"),
        Expected::LetIn => {
            assert!(!matches!(answer.status, 401 | 403) && answer.status < 500, "{told}");
        }
    }
    assert!(operation.responses.contains_key(&answer.status), "not documented: {told}");
    answer
}

/// The answer to `HEAD` names the length of a body that does not come.
fn head(connection: &mut Connection, path: &str, headers: &[(&str, &str)]) -> Response {
    let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let lines: String = lines.collect();
    let request = format!("HEAD {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{lines}\r\n");
    connection.send(request.as_bytes()).unwrap();
    let all = connection.read_to_end().unwrap();
    let text = String::from_utf8(all).unwrap();
    assert!(text.ends_with("\r\n\r\n"), "a body after HEAD: {text}");
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let headers = text.lines().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    Response { status, headers: headers.collect(), body: Vec::new() }
}
