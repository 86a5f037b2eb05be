//! A registry that a test plays: every answer is the test's, as bytes on a real socket.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use tidegate_types::Digest;

/// A request: method and target, and the header `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) authorization: String,
}

/// Status, further headers, body; `None` keeps the client waiting until it goes away.
pub(crate) type Reply = Option<(u16, Vec<(&'static str, String)>, Vec<u8>)>;

/// A server on a free port of the loopback address, until the process ends.
pub(crate) struct Played {
    /// `127.0.0.1:PORT`
    pub(crate) host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Played {
    pub(crate) fn serve(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (reply, notes) = (Arc::new(reply), Arc::clone(&asked));
        let accept = move || {
            for stream in listener.incoming() {
                let (reply, notes) = (Arc::clone(&reply), Arc::clone(&notes));
                let talk = move || {
                    // Clients break connections; that is their right.
                    talk(stream.unwrap(), &*reply, &notes).ok();
                };
                thread::Builder::new().name("connection".into()).spawn(talk).unwrap();
            }
        };
        thread::Builder::new().name("registry".into()).spawn(accept).unwrap();
        Self { host, asked }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn talk(
    stream: TcpStream,
    reply: &dyn Fn(&Asked) -> Reply,
    notes: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => value.clone_into(&mut authorization),
                _ => {}
            }
        }
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        let line = line.trim_end().strip_suffix(" HTTP/1.1").unwrap().to_owned();
        let asked = Asked { line, authorization };
        notes.lock().unwrap().push(asked.clone());
        let Some((status, headers, body)) = reply(&asked) else {
            io::copy(&mut reader, &mut io::sink())?;
            return Ok(());
        };
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        writer.write_all(format!("{head}\r\n").as_bytes())?;
        writer.write_all(&body)?;
    }
}

pub(crate) fn ok(body: &[u8]) -> Reply {
    Some((200, Vec::new(), body.to_vec()))
}

pub(crate) fn status(status: u16) -> Reply {
    Some((status, Vec::new(), Vec::new()))
}

pub(crate) fn redirect(to: &str) -> Reply {
    Some((307, vec![("location", to.to_owned())], Vec::new()))
}

/// The parts of an honest artifact, whose configuration is `{}`.
pub(crate) struct Artifact {
    pub(crate) manifest: Vec<u8>,
    pub(crate) component: Vec<u8>,
}

impl Artifact {
    pub(crate) fn of(component: &[u8]) -> Self {
        let blob = |media: &str, bytes: &[u8]| json!({ "mediaType": media, "digest": Digest::of(bytes), "size": bytes.len() });
        let manifest = json!({
            "schemaVersion": 2,
            "config": blob("application/vnd.wasm.config.v0+json", b"{}"),
            "layers": [blob("application/wasm", component)],
        });
        Self { manifest: manifest.to_string().into_bytes(), component: component.to_vec() }
    }

    /// The reference at a host, by digest.
    pub(crate) fn at(&self, host: &str) -> String {
        format!("oci://{host}/acme/rule@{}", Digest::of(&self.manifest))
    }

    /// What an honest registry answers.
    pub(crate) fn answer(&self, line: &str) -> Reply {
        let config = format!("GET /v2/acme/rule/blobs/{}", Digest::of(b"{}"));
        let layer = format!("GET /v2/acme/rule/blobs/{}", Digest::of(&self.component));
        match line {
            line if line.starts_with("GET /v2/acme/rule/manifests/") => ok(&self.manifest),
            line if line == config => ok(b"{}"),
            line if line == layer => ok(&self.component),
            _ => status(404),
        }
    }
}
