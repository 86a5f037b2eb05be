//! The life of a request, top to bottom. Each stage consumes what the stage before made, and alone
//! can make its own type, so a stage cannot be skipped.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;
use tidegate_types::Problem;

use crate::gateway::Gateway;
use crate::observe::stages::{Stage, StageClock};
use crate::observe::trace::Trace;
use crate::stage::acknowledge::{self, Answer};
use crate::stage::admit::meter::{self, Standing};
use crate::stage::authenticate::Producer;
use crate::stage::decode::Form;
use crate::stage::{admit, claim, decode, deliver, evaluate, identify, validate};

/// Takes the body of a request to its answer. The producer was authenticated before the body was
/// read. What is left of the sender's quotas is noted in `standing`.
///
/// It comes to its end whether or not the client still waits (see `http::outlive`): until the
/// hand-over to the log a failure frees the claimed keys, after it only the log's answer settles
/// them.
///
/// # Errors
/// A problem that concerns the request as a whole; no event of it has been stored then, or it is
/// not known whether they have been.
pub(crate) async fn run(
    gateway: &Gateway,
    producer: Producer,
    headers: &HeaderMap,
    form: Form,
    body: Bytes,
    (standing, trace): (&OnceLock<Standing>, &Trace),
) -> Result<Answer, Problem> {
    let meters = &gateway.meters;
    let mut clock = StageClock::begin(meters, trace.own.as_ref(), Stage::Admit);
    let producer = producer.confirm(&gateway.snapshot, headers)?;
    let allowance = producer.allowance().clone();
    let admitted = admit::admit(producer, &Arc::clone(&gateway.in_flight))?;
    clock.enter(Stage::Decode);
    let decoded = decode::decode(admitted, headers, form, body, &gateway.options);
    let count = decoded.as_ref().map_or(0, decode::Decoded::count);
    let received = meters.events.receive(&allowance.tenant, count);
    clock.enter(Stage::Meter);
    let metered = meter::meter(&allowance, decoded, &*gateway.buckets, standing).await?;
    let before = metered.copy_for_shadow();
    clock.enter(Stage::Identify);
    let identified = identify::identify(metered, headers)?;
    let key = identified.told_key();
    clock.enter(Stage::Claim);
    let claimed = claim::claim(identified, &gateway.keys).await?;
    clock.enter(Stage::Validate);
    let validated = validate::validate(claimed).await;
    clock.enter(Stage::Evaluate);
    let evaluated = evaluate::evaluate(validated, &gateway.node).await?;
    gateway.shadows.offer(before, &evaluated);
    clock.enter(Stage::Deliver);
    let delivered = deliver::deliver(evaluated, gateway, trace.carried.clone()).await;
    clock.enter(Stage::Acknowledge);
    let answer = acknowledge::acknowledge(delivered);
    received.settle(&answer.tally);
    clock.end();
    Ok(Answer { key, ..answer })
}
