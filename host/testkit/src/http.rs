//! HTTP/1.1 as bytes: a blocking connection, in TLS where that is asked for, that sends what it is given
//! and reads one answer.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::tls::Trust;

/// How long a read may take before the test fails.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    read: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    Ok(stream)
}

impl Connection {
    /// # Errors
    /// Where nobody listens.
    pub fn open(address: &str) -> io::Result<Self> {
        Ok(Self { stream: Stream::Plain(connect(address)?), read: Vec::new() })
    }

    /// The same in TLS, with the peer as `localhost`.
    ///
    /// # Errors
    /// Where nobody listens, or one of the two does not trust the other. That a client is not trusted
    /// is told by TLS 1.3 with the first answer only.
    pub fn open_tls(address: &str, trust: &Trust) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(&trust.0), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, connect(address)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream: Stream::Tls(Box::new(stream)), read: Vec::new() })
    }

    /// What TLS has agreed on: the protocol by ALPN, and the peer's certificate.
    #[must_use]
    pub fn agreed(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let Stream::Tls(stream) = &self.stream else { return None };
        let protocol = stream.conn.alpn_protocol().unwrap_or_default().to_vec();
        Some((protocol, stream.conn.peer_certificates()?.first()?.to_vec()))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Where the peer has gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request with its length and reads the answer.
    ///
    /// # Errors
    /// Where the peer goes away before it has answered.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes)?;
        self.receive()
    }

    /// Sends bytes as they are while it reads one answer, as a client does that may be answered
    /// before it has sent everything.
    ///
    /// # Errors
    /// Where the peer goes away before it has answered. That it takes not all the bytes is none.
    pub fn exchange(&mut self, bytes: &[u8]) -> io::Result<Response> {
        let Stream::Plain(stream) = &self.stream else {
            return Err(io::Error::other("not in TLS"));
        };
        let mut sending = stream.try_clone()?;
        sending.set_write_timeout(Some(READ_TIMEOUT))?;
        std::thread::scope(|scope| {
            scope.spawn(move || drop(sending.write_all(bytes)));
            self.receive()
        })
    }

    /// Waits until the peer closes the connection. Answers what it has sent before that.
    ///
    /// # Errors
    /// Where the peer keeps it open for longer than the test has patience.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
                    ) =>
                {
                    return Ok(std::mem::take(&mut self.read));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// Where the peer goes away, or sends something that is no HTTP.
    pub fn receive(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                break end;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let bad = || io::Error::other(format!("no HTTP answer: {head}"));
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(bad)?;
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .and_then(|(_, v)| v.parse().ok());
        let length: usize = length.unwrap_or(0);
        while self.read.len() < length {
            self.fill()?;
        }
        let body = self.read.drain(..length).collect();
        Ok(Response { status, headers, body })
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
