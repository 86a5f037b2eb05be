//! Many tenants on one node, each with three components of its own: what they cost together, and
//! what the activation of one changes for the others.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tidegate_testkit::{Gateway, Tenant};

use super::load::{Load, Measured};
use super::{BUILT_IN, SETTINGS, draft, is_judged_by, revision, stored};
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
    let alone = [first.tenant.clone()];
    let steady = |tenants| Load {
        gateway: &gateway,
        tenants,
        connections: 8,
        batch: 20,
        pace: Some(Duration::from_millis(10)),
        members: "",
    };
    let hold = |count: usize| {
        move |phase: &super::load::Phase| {
            (0..=count).for_each(|round| phase.hold(round, HELD));
            Ok(())
        }
    };
    let (one, ()) = steady(&alone).during(hold(rounds))?;
    let memory_of_one = stored::resident_mib(&gateway)?;

    let mut fleet = vec![first];
    for number in 1..TENANTS {
        fleet.push(set_up(&gateway, number)?);
    }
    let tenants: Vec<_> = fleet.iter().map(|own| own.tenant.clone()).collect();
    let (all, ()) = steady(&tenants).during(hold(rounds))?;
    let memory_of_all = stored::resident_mib(&gateway)?;

    let (changing, others) = tenants.split_first().context("there are tenants")?;
    let own = fleet.first().context("there are tenants")?;
    let (beside, swaps) = steady(others).during(|phase| {
        let mut swaps = 0;
        for round in 0..=rounds {
            phase.hold(2 * round, HELD);
            phase.set(2 * round + 1);
            swaps += swap_for(&gateway, changing, own, HELD)?;
            phase.settle();
        }
        Ok(swaps)
    })?;
    for measured in [&one, &all, &beside] {
        ensure!(measured.refused.is_empty(), "batches were refused: {:?}", measured.refused);
    }
    let sent = one.sent + all.sent + beside.sent;
    let stored = stored::events(&gateway)?;
    ensure!(stored == sent, "{stored} events are stored of {sent}");
    let mut connection = gateway.connect();
    for own in &fleet {
        let judged = is_judged_by(&mut connection, &own.tenant, "last", &own.name)?;
        ensure!(judged, "{} is judged by another's rules", own.name);
    }
    let pairs = |with: &Measured, without: &Measured| {
        (1..=rounds)
            .map(|round| Ok((with.p99_ms(round)?, without.p99_ms(round)?)))
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let changes =
        (1..=rounds).map(|round| Ok((beside.p99_ms(2 * round + 1)?, beside.p99_ms(2 * round)?)));
    let changes = changes.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(vec![
        Row::of(
            "plugins/fleet",
            "200 tenants x 3 components, 16,000 events/s, p99; against one tenant",
            "ms",
            &pairs(&all, &one)?,
        ),
        Row::of(
            "plugins/fleet",
            "200 tenants x 3 components, resident memory; against one tenant",
            "MiB",
            &[(memory_of_all, memory_of_one)],
        ),
        Row::of(
            "plugins/fleet",
            format!(
                "199 tenants while one activates every 100 ms ({swaps} times), p99; against none"
            ),
            "ms",
            &changes,
        ),
    ])
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

/// Activates two revisions of a tenant in turn for a time; answers how often.
fn swap_for(gateway: &Gateway, tenant: &Tenant, own: &Own, time: Duration) -> anyhow::Result<u32> {
    let drafted = [
        draft(gateway, tenant, &own.revision("other"))?,
        draft(gateway, tenant, &own.revision(&own.name))?,
    ];
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < time {
        for digest in &drafted {
            tenant.activate_digest(gateway, digest);
            count += 1;
            std::thread::sleep(BETWEEN);
        }
    }
    Ok(count)
}
