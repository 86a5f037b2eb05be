//! Pipelines of commands, and what their replies say. Each command and script is about one key.

use std::time::Duration;

use redis::{Pipeline, Value};
use tidegate_dedup::{Commit, Found, Holder, Wanted};
use tidegate_types::TenantId;

use super::value::{self, First, Stored};
use crate::connection::Script;

/// Deletes a key whose value is still the one given.
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1";

/// Commits, except over the commit of another event: its id stands where [`value`] says. Answers what
/// was there before.
const COMMIT: &str = "local v = redis.call('GET', KEYS[1]) \
    if not v or v:byte() ~= 67 or v:sub(18, 33) == ARGV[1]:sub(18, 33) then \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end return v";

/// Replaces a value that is still the one given.
const PUT_BACK: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end return 1";

/// What all keys begin with, and the scripts.
pub(super) struct Commands {
    prefix: String,
    pub(super) commit: Script,
    pub(super) release: Script,
    pub(super) put_back: Script,
}

/// What a commit found under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// Our claim.
    Ours,
    /// Nothing.
    Gone,
    /// Another's claim.
    Taken,
    /// The same commit.
    Again,
    /// The commit of another event.
    Twice(First),
}

impl Commands {
    pub(super) fn new(prefix: &str) -> Self {
        let (commit, release) = (Script::new(COMMIT), Script::new(RELEASE));
        Self { prefix: prefix.to_owned(), commit, release, put_back: Script::new(PUT_BACK) }
    }

    pub(super) fn claim(&self, holder: &Holder, keys: &[Wanted], lease: Duration) -> Pipeline {
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let mut pipeline = Pipeline::with_capacity(keys.len());
        for one in keys {
            let key = value::key(&self.prefix, &holder.tenant, one.key);
            let claimed = value::claimed(one.fingerprint, holder.owner);
            pipeline
                .cmd("SET")
                .arg(key)
                .arg(&claimed[..])
                .arg("NX")
                .arg("GET")
                .arg("PX")
                .arg(lease_ms);
        }
        pipeline
    }

    /// Commits, each for the milliseconds that stand with it, then releases. Where the claims surely
    /// stand, no script is needed, which would cost Redis three times as much.
    pub(super) fn settle(
        &self,
        holder: &Holder,
        commits: &[(Commit, u64)],
        surely_ours: bool,
        releases: &[Wanted],
    ) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(commits.len() + releases.len());
        for (commit, rest_ms) in commits {
            let key = value::key(&self.prefix, &holder.tenant, commit.key);
            let committed = First::of(commit).encode();
            if surely_ours {
                let command = pipeline.cmd("SET").arg(key).arg(&committed[..]);
                command.arg("GET").arg("PX").arg(*rest_ms);
            } else {
                let command = pipeline.cmd("EVALSHA").arg(self.commit.digest()).arg(1).arg(key);
                command.arg(&committed[..]).arg(*rest_ms);
            }
        }
        self.add_releases(&mut pipeline, holder, releases);
        pipeline
    }

    pub(super) fn release(&self, holder: &Holder, keys: &[Wanted]) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(keys.len());
        self.add_releases(&mut pipeline, holder, keys);
        pipeline
    }

    fn add_releases(&self, pipeline: &mut Pipeline, holder: &Holder, keys: &[Wanted]) {
        for one in keys {
            let key = value::key(&self.prefix, &holder.tenant, one.key);
            let claimed = value::claimed(one.fingerprint, holder.owner);
            let script = self.release.digest();
            pipeline.cmd("EVALSHA").arg(script).arg(1).arg(key).arg(&claimed[..]);
        }
    }

    /// Puts outcomes back that commits have replaced, each for so many milliseconds.
    pub(super) fn put_back(
        &self,
        tenant: &TenantId,
        replaced: &[(&Commit, &First, u64)],
    ) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(replaced.len());
        for (commit, first, rest_ms) in replaced {
            let key = value::key(&self.prefix, tenant, commit.key);
            let (ours, before) = (First::of(commit).encode(), first.encode());
            let script = self.put_back.digest();
            let command = pipeline.cmd("EVALSHA").arg(script).arg(1).arg(key);
            command.arg(&ours[..]).arg(&before[..]).arg(*rest_ms);
        }
        pipeline
    }
}

/// What claims found, by the replies; the error is a reply that is none of a claim.
pub(super) fn found(
    holder: &Holder,
    replies: Vec<Value>,
    retry_after_ms: u64,
) -> Result<Vec<Found>, String> {
    let found = |reply: Value| match reply {
        Value::Nil => Ok(Found::New),
        Value::BulkString(bytes) => match value::parse(&bytes) {
            // A claim that was sent before, over a connection that broke.
            Some(Stored::Claimed { owner }) if owner == holder.owner => Ok(Found::New),
            Some(Stored::Claimed { .. }) => Ok(Found::InFlight { retry_after_ms }),
            Some(Stored::Committed(First { fingerprint, event_id, settled })) => {
                Ok(Found::Committed { fingerprint, event_id, settled })
            }
            None => Err("a key holds something that is none of our values".to_owned()),
        },
        Value::ServerError(error) if error.code() == "OOM" => Ok(Found::Full),
        other => Err(strange(&other)),
    };
    replies.into_iter().map(found).collect()
}

/// What a commit found; the error says why it was not made.
pub(super) fn committed(
    holder: &Holder,
    commit: &Commit,
    reply: &Value,
) -> Result<Committed, String> {
    match reply {
        Value::Nil => Ok(Committed::Gone),
        Value::BulkString(bytes) => Ok(match value::parse(bytes) {
            Some(Stored::Claimed { owner }) if owner == holder.owner => Committed::Ours,
            Some(Stored::Committed(first)) if first.event_id == commit.event_id => Committed::Again,
            Some(Stored::Committed(first)) => Committed::Twice(first),
            Some(Stored::Claimed { .. }) | None => Committed::Taken,
        }),
        other => Err(strange(other)),
    }
}

/// A script has run.
pub(super) fn is_done(reply: &Value) -> bool {
    *reply == Value::Int(1)
}

fn strange(reply: &Value) -> String {
    match reply {
        Value::ServerError(error) => {
            format!("{} {}", error.code(), error.details().unwrap_or_default())
        }
        _ => "a reply of another kind than the command has".to_owned(),
    }
}
