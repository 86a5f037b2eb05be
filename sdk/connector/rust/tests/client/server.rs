//! An HTTP server on raw sockets whose every answer a test decides, also by breaking the connection.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tidegate_types::UnixMillis;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The path for one event.
const SINGLE: &str = "/v1/events";

/// A request as the test sees it.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) connection: u64,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// `None` where the body was not read.
    pub(crate) events: Option<Vec<Value>>,
    pub(crate) at: Instant,
    pub(crate) answered: Option<Instant>,
}

/// Answers a request: what `exchanges.json` has in `server`.
type Script = Box<dyn Fn(usize, &Got) -> Value + Send + Sync>;

/// Serves on a free port until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    script: Script,
    got: Mutex<Vec<Got>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// One answer after the other; 404 when there is none left.
    pub(crate) async fn with_replies(replies: Vec<Value>) -> Self {
        let ended = json!({ "status": 404, "text": "the script has ended" });
        Self::start(move |index, _| replies.get(index).unwrap_or(&ended).clone()).await
    }

    pub(crate) async fn start(
        script: impl Fn(usize, &Got) -> Value + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { script: Box::new(script), got: Mutex::default() });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { url, shared, task }
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.shared.got().clone()
    }
}

impl Shared {
    fn got(&self) -> MutexGuard<'_, Vec<Got>> {
        self.got.lock().unwrap()
    }

    /// What is answered. One that comes early needs nothing of the body.
    fn reply(&self, index: usize) -> Value {
        let got = self.got()[index].clone();
        (self.script)(index, &got)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    for number in 1.. {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // A connection that the client ends is what some tests are about.
            serve(stream, number, &shared).await.ok();
        });
    }
}

async fn serve(stream: TcpStream, number: u64, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    while let Some(got) = head(&mut reader, number).await? {
        let length = got.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let encoding = got.headers.get("content-encoding").cloned();
        let is_single = got.path == SINGLE;
        let index = {
            let mut all = shared.got();
            all.push(got);
            all.len() - 1
        };
        let mut reply = shared.reply(index);
        let mut count = 0;
        if reply["early"] != true {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).await?;
            let events = events_of(&body, encoding.as_deref(), is_single);
            count = events.len();
            let mut all = shared.got();
            all[index].at = Instant::now();
            all[index].events = Some(events);
            drop(all);
            reply = shared.reply(index);
        }
        if !answer(&mut writer, &reply, count, shared, index).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// False where the connection ends with this.
async fn answer(
    writer: &mut OwnedWriteHalf,
    reply: &Value,
    count: usize,
    shared: &Shared,
    index: usize,
) -> std::io::Result<bool> {
    if reply["hang"] == true {
        std::future::pending::<()>().await;
    }
    if reply["break"] == true {
        return Ok(false);
    }
    tokio::time::sleep(Duration::from_millis(reply["delay_ms"].as_u64().unwrap_or(0))).await;
    let (head, body) = {
        let mut got = shared.got();
        got[index].answered = Some(Instant::now());
        render(reply, count, got[index].path == SINGLE)
    };
    if reply["cut"] == true {
        writer.write_all(head.as_bytes()).await?;
        writer.write_all(&body.as_bytes()[..body.len() / 2]).await?;
        return Ok(false);
    }
    if let Some(wait) = reply["trickle_ms"].as_u64() {
        writer.write_all(head.as_bytes()).await?;
        for byte in body.bytes() {
            writer.write_all(&[byte]).await?;
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        return Ok(true);
    }
    writer.write_all((head.clone() + &body).as_bytes()).await?;
    Ok(!head.contains("Connection: close"))
}

fn render(reply: &Value, count: usize, is_single: bool) -> (String, String) {
    let body = reply["text"].as_str().map_or_else(
        || {
            let mut members = reply["body"].as_object().cloned().unwrap_or_default();
            if !reply["receipts"].is_null() {
                let list = receipts(&reply["receipts"], count);
                if is_single {
                    let is_problem = reply["status"].as_u64() >= Some(400);
                    for (name, value) in list[0].as_object().unwrap() {
                        let is_status = is_problem && name == "status";
                        let name = if is_status { "event_status" } else { name };
                        members.insert(name.to_owned(), value.clone());
                    }
                } else {
                    members.insert("receipts".to_owned(), list);
                }
            }
            Value::from(members).to_string()
        },
        str::to_owned,
    );
    let mut head = format!("HTTP/1.1 {} It\r\nContent-Length: {}\r\n", reply["status"], body.len());
    for (name, value) in reply["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap();
        let wait = value.strip_prefix("in ").and_then(|rest| rest.strip_suffix(" s"));
        let date = wait.map(|seconds| {
            let at = Duration::from_millis(UnixMillis::now().0)
                + Duration::from_secs(seconds.parse().unwrap());
            httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + at)
        });
        head += &format!("{name}: {}\r\n", date.as_deref().unwrap_or(value));
    }
    (head + "\r\n", body)
}

fn receipts(given: &Value, count: usize) -> Value {
    let rows = given.as_array().cloned().unwrap_or_else(|| vec![given.clone(); count]);
    let whole = |row: &Value| {
        let mut receipt = json!({
            "event_id": "0192d4e5-8a7c-7def-bfff-ffffffffffff",
            "received_at": "2024-10-29T00:00:00.000Z",
        });
        let members = if row.is_string() { json!({ "status": row }) } else { row.clone() };
        for (name, value) in members.as_object().unwrap() {
            receipt[name] = value.clone();
        }
        receipt
    };
    rows.iter().map(whole).collect()
}

async fn head(
    reader: &mut BufReader<OwnedReadHalf>,
    connection: u64,
) -> std::io::Result<Option<Got>> {
    let mut line = String::new();
    if reader.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let at = Instant::now();
    Ok(Some(Got { connection, method, path, headers, events: None, at, answered: None }))
}

fn events_of(body: &[u8], encoding: Option<&str>, is_single: bool) -> Vec<Value> {
    let mut plain = Vec::new();
    match encoding {
        Some("gzip") => {
            flate2::read::GzDecoder::new(body).take(1 << 26).read_to_end(&mut plain).unwrap();
        }
        Some("zstd") => {
            zstd::Decoder::new(body).unwrap().take(1 << 26).read_to_end(&mut plain).unwrap();
        }
        _ => plain.extend_from_slice(body),
    }
    let body: Value = serde_json::from_slice(&plain).expect("the connector sends JSON");
    if is_single {
        return vec![body];
    }
    body["events"].as_array().expect("a batch").clone()
}
