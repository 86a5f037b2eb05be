//! An address that keys are fetched from, played by the test: every answer is the test's, as bytes
//! on a real socket, and every connection is counted.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tidegate_identity::KeySource;

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// 200 and these bytes.
    Keys(Vec<u8>),
    /// A status, and a header line.
    Status(u16, String),
    /// Nothing, until the client goes away.
    Silence,
    /// The connection is closed.
    Gone,
}

/// A server on a free port of the loopback address, until the process ends.
pub(crate) struct Served {
    pub(crate) url: String,
    reply: Arc<Mutex<Reply>>,
    asked: Arc<AtomicUsize>,
}

impl Served {
    pub(crate) fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let reply = Arc::new(Mutex::new(reply));
        let asked = Arc::new(AtomicUsize::new(0));
        let (replies, count) = (Arc::clone(&reply), Arc::clone(&asked));
        let accept = move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let reply = replies.lock().unwrap().clone();
                let talk = move || {
                    // Clients break connections; that is their right.
                    talk(stream.unwrap(), reply).ok();
                };
                std::thread::Builder::new().name("connection".into()).spawn(talk).unwrap();
            }
        };
        std::thread::Builder::new().name("issuer".into()).spawn(accept).unwrap();
        Self { url, reply, asked }
    }

    pub(crate) fn source(&self) -> KeySource {
        KeySource::url(&self.url).unwrap()
    }

    /// Answers this from now on.
    pub(crate) fn set(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    /// Connections so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn talk(mut stream: TcpStream, reply: Reply) -> std::io::Result<()> {
    if matches!(reply, Reply::Gone) {
        return Ok(());
    }
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, header, body) = match reply {
        Reply::Keys(body) => (200, "content-type: application/json".to_owned(), body),
        Reply::Status(status, header) => (status, header, Vec::new()),
        Reply::Silence | Reply::Gone => {
            reader.read_to_end(&mut Vec::new())?;
            return Ok(());
        }
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}
