//! One run of the script: what several requests want of one bucket, one after the other.
//!
//! The key of a bucket is the prefix, the tenant, a byte 1, `r`, `e` or `b` for requests, events or
//! bytes, and the id of an API key, or nothing for the tenant as a whole. Its value is what is in it and
//! since when (microseconds by Redis's clock): two doubles. It ends when the bucket is full. All doubles
//! are little-endian.

use redis::Value;
use tidegate_quota::{Ask, Bucket, per_micro};
use tidegate_types::quota::{Dimension, Quota};

/// The arithmetic of `tidegate_quota::State`. Argument: burst and tokens per microsecond, then for each
/// step what is wanted and the least that is of use; less than nothing is put back. Answer: for each step
/// what was granted and what is left.
pub(super) const SCRIPT: &str = "\
local arg = ARGV[1]
local burst, rate = struct.unpack('<dd', arg)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local value, tokens, at = redis.call('GET', KEYS[1]), burst, now
if value then
  tokens, at = struct.unpack('<dd', value)
  tokens = math.min(tokens + math.max(now - at, 0) * rate, burst)
  at = math.max(at, now)
end
local out = {}
for place = 17, #arg, 16 do
  local want, least = struct.unpack('<dd', arg, place)
  local there, granted = tokens + 1e-6, 0
  if want < 0 or there >= want then
    granted = want
  elseif there >= math.min(least, burst) then
    granted = math.max(math.floor(there), least)
  end
  tokens = math.min(tokens - granted, burst)
  out[#out + 1] = struct.pack('<dd', granted, tokens)
end
local full_ms = math.min(math.max(math.ceil((burst - tokens) / rate / 1000), 1), 1e14)
redis.call('SET', KEYS[1], struct.pack('<dd', tokens, at), 'PX', string.format('%.0f', full_ms))
return table.concat(out)";

/// Bytes of a step, there and back.
const STEP: usize = 16;

/// What all who ask want of one bucket.
pub(super) struct Run {
    pub(super) bucket: Bucket,
    argument: Vec<u8>,
}

/// What one of them wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    want: f64,
    least: f64,
}

/// What it got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Left {
    pub(super) granted: u64,
    pub(super) tokens: f64,
}

impl Step {
    pub(super) fn take(ask: &Ask) -> Self {
        Self { want: ask.want as f64, least: ask.least as f64 }
    }

    pub(super) fn put_back(tokens: u64) -> Self {
        Self { want: -(tokens as f64), least: 0.0 }
    }
}

impl Run {
    pub(super) fn new(bucket: Bucket, quota: Quota) -> Self {
        let mut run = Self { bucket, argument: Vec::with_capacity(2 * STEP) };
        run.push(quota.burst() as f64, per_micro(&quota));
        run
    }

    fn push(&mut self, one: f64, other: f64) {
        self.argument.extend([one, other].into_iter().flat_map(f64::to_le_bytes));
    }

    /// Answers the step's place.
    pub(super) fn add(&mut self, step: Step) -> usize {
        let place = self.argument.len() / STEP - 1;
        self.push(step.want, step.least);
        place
    }

    pub(super) fn argument(&self) -> &[u8] {
        &self.argument
    }

    /// What a step got by the reply; `None` where that is none.
    pub(super) fn outcome(&self, reply: &Value, place: usize) -> Option<Left> {
        let Value::BulkString(bytes) = reply else { return None };
        if bytes.len() + STEP != self.argument.len() {
            return None;
        }
        let (granted, rest) = bytes.get(place * STEP..)?.split_first_chunk()?;
        let tokens = f64::from_le_bytes(*rest.first_chunk()?);
        // Granted is a whole number that was asked for.
        Some(Left { granted: f64::from_le_bytes(*granted) as u64, tokens })
    }
}

/// What an error of the server says.
pub(super) fn refusal(reply: &Value) -> Option<String> {
    let Value::ServerError(error) = reply else { return None };
    Some(format!("{} {}", error.code(), error.details().unwrap_or_default()))
}

pub(super) fn key(prefix: &str, bucket: &Bucket) -> Vec<u8> {
    let dimension: &[u8] = match bucket.dimension {
        Dimension::Requests => b"\x01r",
        Dimension::Events => b"\x01e",
        Dimension::Bytes => b"\x01b",
    };
    let of_key = bucket.key.as_deref().unwrap_or_default();
    [prefix.as_bytes(), bucket.tenant.as_str().as_bytes(), dimension, of_key.as_bytes()].concat()
}
