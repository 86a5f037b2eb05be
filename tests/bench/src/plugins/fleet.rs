//! Many tenants on one node, each with three components of its own: what they cost together, and
//! what the activation of one changes for the others.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tidegate_testkit::{Gateway, Tenant};

use super::load::{Load, Measured};
use super::stored::{self, Resident};
use super::{BUILT_IN, SETTINGS, draft, is_judged_by, revision};
use crate::report::Row;

const TENANTS: usize = 200;
const HELD: Duration = Duration::from_secs(3);
/// From one activation to the next.
const BETWEEN: Duration = Duration::from_millis(100);

/// A tenant with components that no other tenant has, and the name that its revision gives events.
struct Own {
    tenant: Tenant,
    name: String,
    components: [String; 3],
}

/// Measures one tenant, all of them, and the others while one activates.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let gateway = Gateway::start_with(&SETTINGS);
    let first = set_up(&gateway, 0)?;
    let (one, memory_of_one) = hold(&gateway, std::slice::from_ref(&first.tenant), rounds)?;
    let mut fleet = vec![first];
    for number in 1..TENANTS {
        fleet.push(set_up(&gateway, number)?);
    }
    let tenants: Vec<_> = fleet.iter().map(|own| own.tenant.clone()).collect();
    let (all, memory_of_all) = hold(&gateway, &tenants, rounds)?;
    let (beside, changes) = while_one_changes(&gateway, &fleet, rounds)?;

    let sent = one.sent + all.sent + beside.sent;
    let stored = stored::events(&gateway)?;
    ensure!(stored == sent, "{stored} events are stored of {sent}");
    let mut connection = gateway.connect();
    for own in &fleet {
        let judged = is_judged_by(&mut connection, &own.tenant, "last", &own.name)?;
        ensure!(judged, "{} is judged by another's rules", own.name);
    }
    let tails = (1..=rounds).map(|round| Ok((all.p99_ms(round)?, one.p99_ms(round)?)));
    let tails = tails.collect::<anyhow::Result<Vec<_>>>()?;
    let together = format!("{TENANTS} tenants x 3 components");
    let row = |case: &str, unit, figures: &[(f64, f64)]| {
        Row::of("plugins/fleet", format!("{together}, {case}; against one tenant"), unit, figures)
    };
    let memory = |kind: fn(&Resident) -> f64| [(kind(&memory_of_all), kind(&memory_of_one))];
    Ok(vec![
        row("16,000 events/s, p99", "ms", &tails),
        row("resident memory", "MiB", &memory(|it| it.all_mib)),
        row("memory that no files back", "MiB", &memory(|it| it.anonymous_mib)),
        changes,
    ])
}

/// 16,000 events a second.
fn steady<'a>(gateway: &'a Gateway, tenants: &'a [Tenant]) -> Load<'a> {
    let pace = Some(Duration::from_millis(10));
    Load { gateway, tenants, connections: 8, batch: 20, pace, members: "" }
}

/// Some rounds of tenants posting, a phase each, and the memory in use after that.
fn hold(
    gateway: &Gateway,
    tenants: &[Tenant],
    rounds: usize,
) -> anyhow::Result<(Measured, Resident)> {
    let (measured, ()) = steady(gateway, tenants).during(|phase| {
        // The first round warms up and does not count.
        (0..=rounds).for_each(|round| phase.hold(round, HELD));
        Ok(())
    })?;
    ensure!(measured.refused.is_empty(), "batches were refused: {:?}", measured.refused);
    Ok((measured, stored::resident(gateway)?))
}

/// All but the first tenant post; in every other phase, the first one activates.
fn while_one_changes(
    gateway: &Gateway,
    fleet: &[Own],
    rounds: usize,
) -> anyhow::Result<(Measured, Row)> {
    let (changing, others) = fleet.split_first().context("there are tenants")?;
    let others: Vec<_> = others.iter().map(|own| own.tenant.clone()).collect();
    let (measured, swaps) = steady(gateway, &others).during(|phase| {
        let mut swaps = 0;
        for round in 0..=rounds {
            phase.hold(2 * round, HELD);
            phase.set(2 * round + 1);
            swaps += changing.swap_for(gateway, HELD)?;
            phase.settle();
        }
        Ok(swaps)
    })?;
    ensure!(measured.refused.is_empty(), "batches were refused: {:?}", measured.refused);
    let pair = |round| Ok((measured.p99_ms(2 * round + 1)?, measured.p99_ms(2 * round)?));
    let pairs = (1..=rounds).map(pair).collect::<anyhow::Result<Vec<_>>>()?;
    let case =
        format!("the others while one activates every 100 ms ({swaps} times), p99; against none");
    Ok((measured, Row::of("plugins/fleet", case, "ms", &pairs)))
}

/// Uploads three components that differ from everybody else's, and activates them.
fn set_up(gateway: &Gateway, number: usize) -> anyhow::Result<Own> {
    let name = format!("tenant-{number}");
    let tenant = Tenant::create(gateway, &name);
    let mut components = BUILT_IN.map(|plugin| format!("own-{plugin}"));
    for (own, plugin) in components.iter_mut().zip(BUILT_IN) {
        let builtin = tidegate_plugins::find(plugin).context("it is built in")?;
        let job = tenant.upload_settled(gateway, own, &marked(builtin.component, &name)?);
        ensure!(job["state"] == "admitted", "{job}");
    }
    let own = Own { tenant, name, components };
    own.tenant.activate(gateway, &own.revision(&own.name));
    Ok(own)
}

impl Own {
    fn revision(&self, name: &str) -> serde_json::Value {
        let [required, expectations, normalize] = &self.components;
        revision(name, [required, expectations, normalize])
    }

    /// Activates two revisions in turn for a time; answers how often.
    fn swap_for(&self, gateway: &Gateway, time: Duration) -> anyhow::Result<u32> {
        let drafts =
            ["other", &self.name].map(|name| draft(gateway, &self.tenant, &self.revision(name)));
        let (begun, mut count) = (Instant::now(), 0);
        let [other, own] = drafts;
        let digests = [other?, own?];
        while begun.elapsed() < time {
            for digest in &digests {
                self.tenant.activate_digest(gateway, digest);
                count += 1;
                std::thread::sleep(BETWEEN);
            }
        }
        Ok(count)
    }
}

/// The component with a custom section of its own, so that it is another one by digest.
///
/// Section 0: its size, the length of its name, its name, and content (WebAssembly core
/// specification, 5.5.3; components have the same).
fn marked(component: &[u8], mark: &str) -> anyhow::Result<Vec<u8>> {
    const NAME: &str = "tenant";
    let size = u8::try_from(1 + NAME.len() + mark.len())?;
    ensure!(size < 0x80, "the size is one byte of LEB128");
    let head = [0, size, u8::try_from(NAME.len())?];
    Ok([component, &head, NAME.as_bytes(), mark.as_bytes()].concat())
}
