//! A small HTTP/1.1 server whose every answer a test decides.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// A request as the test sees it; header names are lower case.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method and target, such as `GET /v1/tenants`.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Status and body; `None` keeps the client waiting until it goes away.
pub(crate) type Reply = Option<(u16, String)>;

/// Serves on a free port until the process ends.
pub(crate) fn serve(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reply = Arc::new(reply);
    let accept = move || {
        for stream in listener.incoming() {
            let reply = Arc::clone(&reply);
            let talk = move || {
                // Clients break connections; that is their right.
                talk(stream.unwrap(), &*reply).ok();
            };
            thread::Builder::new().name("connection".into()).spawn(talk).unwrap();
        }
    };
    thread::Builder::new().name("server".into()).spawn(accept).unwrap();
    address
}

fn talk(stream: TcpStream, reply: &dyn Fn(&Request) -> Reply) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let Some((status, body)) = reply(&request) else {
            io::copy(&mut reader, &mut io::sink())?;
            return Ok(());
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
        writer.write_all(format!("{head}{body}").as_bytes())?;
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let line = line.trim_end().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let mut request = Request { line, headers, body: Vec::new() };
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}
