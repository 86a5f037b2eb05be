//! Requests and answers on a connection, and what a call's reply does with it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};

use super::{Reply, Shared};

/// Serves a connection on a thread of its own. Answers whether the listener is to go on.
pub(super) fn serve(shared: &Arc<Shared>, stream: TcpStream, life: usize) -> bool {
    let copy = stream.try_clone().expect("a second handle");
    {
        let mut state = shared.state();
        if state.life != life {
            return false;
        }
        state.connections.push(copy);
    }
    let shared = Arc::clone(shared);
    let serve = move || {
        // An answer is one write: it should not wait for company.
        drop(stream.set_nodelay(true));
        let mut reader = BufReader::new(&stream);
        while let Some((target, body)) = read(&mut reader) {
            let answer = answer(&shared, &target, &body, life);
            let sent = answer.is_some_and(|answer| (&stream).write_all(&answer).is_ok());
            if !sent {
                break;
            }
        }
        drop(stream.shutdown(Shutdown::Both));
    };
    let thread = std::thread::Builder::new().name("kinesis-fake-connection".to_owned());
    thread.spawn(serve).expect("a thread");
    true
}

/// The operation and the body of the next request.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<(String, Value)> {
    let (mut target, mut length) = (String::new(), 0);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => target = value.trim().to_owned(),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((target, serde_json::from_slice(&body).ok()?))
}

/// The bytes of the answer; none where the connection is to be cut.
fn answer(shared: &Shared, target: &str, body: &Value, life: usize) -> Option<Vec<u8>> {
    let operation = target.strip_prefix("Kinesis_20131202.").unwrap_or_default();
    let stream = body["StreamName"].as_str().map(str::to_owned).or_else(|| {
        let arn = body["StreamARN"].as_str()?;
        Some(arn.rsplit('/').next()?.to_owned())
    });
    let stream = stream.unwrap_or_default();
    match operation {
        "DescribeStreamSummary" => {
            let mut state = shared.state();
            state.looks += 1;
            shared.changed.notify_all();
            if state.hidden {
                return Some(error(400, "AccessDeniedException", "you may not look at streams"));
            }
            Some(match state.streams.get(&stream) {
                Some(found) => ok(&found.summary(&stream)),
                None => error(400, "ResourceNotFoundException", &format!("no stream {stream}")),
            })
        }
        "PutRecords" => put_records(shared, stream, body, life),
        other => Some(error(400, "UnknownOperationException", other)),
    }
}

fn put_records(shared: &Shared, stream: String, body: &Value, life: usize) -> Option<Vec<u8>> {
    let mut state = shared.state();
    let Some(found) = state.streams.get(&stream) else {
        let message = format!("no stream {stream}");
        return Some(error(400, "ResourceNotFoundException", &message));
    };
    let entries = match found.read(body) {
        Ok(entries) => entries,
        Err((code, message)) => return Some(error(400, code, &message)),
    };
    let call = super::PutCall { number: state.calls.len(), stream: stream.clone(), entries };
    state.calls.push(call.clone());
    let reply = (state.script)(&call);
    shared.changed.notify_all();
    if reply == Reply::Hold {
        let releases = state.releases;
        state.held += 1;
        shared.changed.notify_all();
        let goes_on = |state: &mut super::State| state.releases == releases && state.life == life;
        state = shared.changed.wait_while(state, goes_on).unwrap_or_else(PoisonError::into_inner);
        state.held -= 1;
    }
    if state.life != life {
        return None;
    }
    let found = state.streams.get_mut(&stream)?;
    let result = match reply {
        Reply::Store | Reply::Hold => Some(found.store(&call, &[])),
        Reply::Entries(outcomes) => Some(found.store(&call, &outcomes)),
        Reply::Error(status, code) => return Some(error(status, code, "as the test says")),
        Reply::Cut => None,
        Reply::StoreAndCut => {
            found.store(&call, &[]);
            None
        }
    };
    shared.changed.notify_all();
    result.map(|answer| ok(&answer))
}

fn ok(body: &Value) -> Vec<u8> {
    bytes(200, body)
}

fn error(status: u16, code: &str, message: &str) -> Vec<u8> {
    bytes(status, &json!({ "__type": code, "message": message }))
}

fn bytes(status: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} As it is\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amzn-requestid: 1\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
