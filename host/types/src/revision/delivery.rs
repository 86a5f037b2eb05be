//! Where the events of a type go, and what their sender's answer waits for.

use serde::{Deserialize, Serialize};

use crate::SinkName;

/// What has happened before a sender is told that its event is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// The event is in this node's log and the log is on its disk; sinks are served from there. It
    /// survives a crash and a power cut of the node, not the loss of its disk.
    #[default]
    Durable,
    /// Each required sink has acknowledged the event. The node keeps nothing of it.
    Delivered,
}

impl Ack {
    #[must_use]
    pub fn is_durable(&self) -> bool {
        *self == Self::Durable
    }
}

/// A sink that events go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkTarget {
    /// As the gateway's configuration names it.
    pub sink: SinkName,
    /// Where the partition key is: a JSON pointer to a string or number in the event as it is
    /// delivered. Events with the same key stay in order. The tenant, where nothing is given or found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// With the ack level `delivered`: does the answer wait for this sink? With `durable` the log is
    /// what it waits for, and every sink gets every event.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub required: bool,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_yes(value: &bool) -> bool {
    *value
}
