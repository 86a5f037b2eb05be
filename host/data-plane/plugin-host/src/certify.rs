//! Puts a component to the proof before anybody may use it, in six steps: scanned, compiled,
//! linked, configured, self-tested, costed. Each step answers facts, and problems with what is
//! wrong, where, and how to mend it. What the component cannot help (no room for an instance, a
//! compiler that does not start) is no problem of it: the report then says that the host could not
//! decide, and the same bytes may come again.

mod configure;
mod cost;
mod describe;
mod golden;
mod link;
mod prepare;
mod report;
mod trial;
mod workload;

use std::time::Instant;

use bytes::Bytes;
use tidegate_types::{Digest, TenantId};

pub use report::{CertifyReport, Place, Problem, StepName, StepReport, StepState, Verdict};

use crate::host::PluginHost;
use crate::limits::Limits;
use report::{Step, Trouble};

/// How a component is certified.
#[derive(Clone, Debug)]
pub struct CertifyOptions {
    /// Whose rule it is to be.
    pub tenant: TenantId,
    /// The limits to judge under; where it is `None`, those in force for this component of the
    /// tenant.
    pub limits: Option<Limits>,
    /// Does a component without golden cases fail its self-test?
    pub cases_required: bool,
}

/// What happens while a component is certified.
#[derive(Debug)]
pub enum Progress<'r> {
    Started(StepName),
    Finished(&'r StepReport),
}

impl PluginHost {
    /// Certifies a component. Dropping the future ends what is under way, the compiling child too.
    pub async fn certify(
        &self,
        bytes: Bytes,
        options: &CertifyOptions,
        progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> CertifyReport {
        let digest = Digest::of(&bytes);
        let limits = options.limits.clone();
        let limits = limits.unwrap_or_else(|| self.limits_of(&options.tenant, &digest));
        let mut run = Run { report: CertifyReport::new(digest), progress };
        let tried = self.steps(&bytes, options, &limits, &mut run).await;
        let mut report = run.report;
        match tried {
            Ok(()) => report.settle(),
            Err(Stop::Failed) => {
                report.skip_rest("a step before it failed");
                report.settle();
            }
            Err(Stop::Trouble(step, Trouble(what))) => report.trouble(step, what),
        }
        report
    }

    async fn steps(
        &self,
        bytes: &Bytes,
        options: &CertifyOptions,
        limits: &Limits,
        run: &mut Run<'_>,
    ) -> Result<(), Stop> {
        let tenant = &options.tenant;
        use StepName::{Compiled, Configured, Costed, Linked, Scanned, SelfTested};
        let most = self.compiler.options().component_bytes;
        let scanned = run.step(Scanned, async || Ok(prepare::scan(bytes, most))).await?;
        let compiled = run.step(Compiled, async || prepare::compile(self, bytes).await).await?;
        run.step(Linked, async || Ok(link::check(self, &compiled, &scanned))).await?;
        let files = golden::read(bytes);
        let cases = golden::parse(&files);
        let configured = run.step(Configured, async || {
            configure::all(self, &compiled.component, &cases, limits).await
        });
        let rules = configured.await?;
        let tested = run.step(SelfTested, async || {
            if cases.is_empty() {
                return Ok(golden::none(options.cases_required));
            }
            golden::test(self, &compiled.component, &rules, &cases, tenant, limits).await
        });
        tested.await?;
        let costed = run.step(Costed, async || {
            cost::measure(self, bytes, &rules, &cases, tenant, limits).await
        });
        costed.await
    }
}

/// Why the steps ended early.
enum Stop {
    Failed,
    Trouble(StepName, Trouble),
}

/// The report so far, and who follows it.
struct Run<'p> {
    report: CertifyReport,
    progress: &'p mut (dyn FnMut(Progress<'_>) + Send),
}

impl Run<'_> {
    /// Carries out one step; the steps after one that failed are not carried out.
    async fn step<T>(
        &mut self,
        name: StepName,
        work: impl AsyncFnOnce() -> Result<(Step, Option<T>), Trouble>,
    ) -> Result<T, Stop> {
        (self.progress)(Progress::Started(name));
        let started = Instant::now();
        let worked = Box::pin(work()).await;
        let (step, product) = worked.map_err(|trouble| Stop::Trouble(name, trouble))?;
        self.report.enter(name, step, started.elapsed());
        if let Some(finished) = self.report.steps.last() {
            (self.progress)(Progress::Finished(finished));
        }
        product.ok_or(Stop::Failed)
    }
}
