//! wrk as the load generator: one thread, 64 connections, every event with a key of its own.

use std::io::Write as _;
use std::process::Command;

use anyhow::{Context as _, ensure};

pub(crate) const CONNECTIONS: u32 = 64;

/// What wrk measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) requests_per_second: f64,
    pub(crate) p99_ms: f64,
}

/// Makes bodies in which the key differs from request to request: `{key}` stands for it.
///
/// The script prints what it counted as JSON when it is done; any answer but 202 fails the run.
fn script(template: &str, headers: &[(&str, &str)]) -> String {
    let parts: Vec<String> = template.split("{key}").map(lua_string).collect();
    let headers: String = headers
        .iter()
        .map(|(n, v)| format!("wrk.headers[{}] = {}\n", lua_string(n), lua_string(v)))
        .collect();
    format!(
        r#"
wrk.method = "POST"
{headers}
local parts = {{ {parts} }}
local run = os.time() .. "-" .. tostring(parts):sub(8)
local count = 0
local slots = {{}}
for i = 1, #parts do slots[2 * i - 1] = parts[i] end
function request()
  count = count + 1
  local key = run .. "-" .. count
  for i = 1, #parts - 1 do slots[2 * i] = key end
  return wrk.format(nil, nil, nil, table.concat(slots))
end
local others = 0
function response(status) if status ~= 202 then others = others + 1; wrong = others; wrongstatus = status end end
local threads = {{}}
function setup(thread) table.insert(threads, thread) end
function done(summary, latency, requests)
  local wrong, status = 0, 0
  for _, t in ipairs(threads) do wrong = wrong + (t:get("wrong") or 0); status = t:get("wrongstatus") or status end
  local errors = summary.errors
  io.write(string.format('RESULT {{"requests":%d,"micros":%d,"p99":%d,"wrong":%d,"status":%d,"errors":%d}}\n',
    summary.requests, summary.duration, latency:percentile(99), wrong, status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"#,
        parts = parts.join(", ")
    )
}

fn lua_string(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            byte => out.push(char::from(byte)),
        }
    }
    out.push('"');
    out
}

/// Loads an address for some seconds.
pub(crate) fn run(
    address: &str,
    path: &str,
    template: &str,
    headers: &[(&str, &str)],
    seconds: u32,
) -> anyhow::Result<Measured> {
    run_with(CONNECTIONS, address, path, template, headers, seconds)
}

/// The same with so many connections.
pub(crate) fn run_with(
    connections: u32,
    address: &str,
    path: &str,
    template: &str,
    headers: &[(&str, &str)],
    seconds: u32,
) -> anyhow::Result<Measured> {
    let mut file = tempfile::NamedTempFile::with_suffix(".lua")?;
    file.write_all(script(template, headers).as_bytes())?;
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--latency", "-s"])
        .arg(file.path())
        .arg(format!("http://{address}{path}"))
        .output()
        .context("wrk cannot be run: `cargo xtask bench` installs it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let result = result.with_context(|| {
        format!("wrk gave no result: {text}{}", String::from_utf8_lossy(&output.stderr))
    })?;
    let result: serde_json::Value = serde_json::from_str(result)?;
    let number =
        |name: &str| result.get(name).and_then(serde_json::Value::as_f64).unwrap_or(f64::NAN);
    ensure!(
        number("wrong") == 0.0,
        "{} answers were not 202 but {}",
        number("wrong"),
        number("status")
    );
    ensure!(number("errors") == 0.0, "{} connections failed", number("errors"));
    Ok(Measured {
        requests_per_second: number("requests") / (number("micros") / 1e6),
        p99_ms: number("p99") / 1e3,
    })
}
