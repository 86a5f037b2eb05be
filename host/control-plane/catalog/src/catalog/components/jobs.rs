//! Admission jobs: one for each uploaded version. A version is pending until its job has put it to
//! the proof, then admitted or failed for good; where the gateway itself could not decide, the job
//! ends in error and the version stays pending until it is sent again.
//!
//! A version that failed is failed for good under what its tenant asks and allows; where that has
//! changed, it may be sent again.
//!
//! The job is durable with its version, in one transaction. A node claims a job with a lease and
//! renews it with every step that it notes; a job whose lease has run out, or that a node left
//! behind when it died, is claimed again from the beginning. Steps that a claim noted are replaced
//! by those of the next. Tenants take turns: the one whose last claim is the oldest is next.

mod again;
mod quotas;

use std::time::Duration;

use serde_json::Value as Json;
use tidegate_types::{Digest, TenantId, UnixMillis};

use super::{Component, find_uploaded, insert_component};
use crate::catalog::{Catalog, tenants};
use crate::database::{self, Access, DatabaseError, Row, Transaction, columns, params};
use crate::{ArtifactName, CatalogError, Page, Put, Selector};

/// A job that ended so many processes is not begun again by itself.
const MAX_ATTEMPTS: u32 = 3;

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    Pending,
    Running,
    Admitted,
    Failed,
    /// The gateway could not decide.
    Error,
}

impl JobState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Admitted => "admitted",
            Self::Failed => "failed",
            Self::Error => "error",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Pending, Self::Running, Self::Admitted, Self::Failed, Self::Error];
        all.into_iter().find(|state| state.as_str() == text)
    }

    /// Will nothing more happen by itself?
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Admitted | Self::Failed | Self::Error)
    }
}

/// May a version judge events?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Pending,
    Admitted,
    Failed,
}

impl Admission {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Admitted => "admitted",
            Self::Failed => "failed",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let all = [Self::Pending, Self::Admitted, Self::Failed];
        all.into_iter().find(|admission| admission.as_str() == text)
    }
}

/// The job of a version.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Counts up over all tenants.
    pub number: u64,
    pub tenant: TenantId,
    /// The plugin's name.
    pub name: String,
    pub version: u64,
    pub digest: Digest,
    pub state: JobState,
    /// The steps that are done, as the data plane reports them.
    pub steps: Vec<Json>,
    /// Why the gateway could not decide.
    pub trouble: Option<String>,
    pub created_at: UnixMillis,
    pub started_at: Option<UnixMillis>,
    pub ended_at: Option<UnixMillis>,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub struct Ending {
    pub state: JobState,
    pub steps: Vec<Json>,
    pub trouble: Option<String>,
    /// What is known of the component, where it was admitted.
    pub inspection: Option<Json>,
    /// What the job counts against the tenant's quota.
    pub took: Duration,
}

const JOB: &str = "SELECT j.number, j.tenant_id, j.name, j.version, v.digest, j.state, j.steps, \
                   j.trouble, j.created_at, j.started_at, j.ended_at FROM admission_jobs AS j \
                   JOIN component_versions AS v ON v.tenant_id = j.tenant_id AND v.name = j.name \
                   AND v.version = j.version";

/// A job `j` that nobody has, ?1 being the time.
const FREE: &str = "(j.state = 'pending' OR (j.state = 'running' AND j.lease_until < ?1))";

impl Catalog {
    /// Stores an uploaded component as a pending version with its job. A digest that the name has
    /// already is that version; its job is to be done again where it ended in error, and where it failed
    /// and the tenant's limits or policy have changed.
    ///
    /// # Errors
    /// [`CatalogError::Taken`] for the name of a built-in component; [`CatalogError::NotFound`] for
    /// an unknown tenant; [`CatalogError::TooLarge`], [`CatalogError::Full`] and
    /// [`CatalogError::Quota`] at the limits.
    pub fn submit_component(
        &self,
        tenant: &TenantId,
        name: &ArtifactName,
        component: &[u8],
    ) -> Result<Put<(Component, Option<Job>)>, CatalogError> {
        let (bytes, limit) = (component.len() as u64, self.limits.component_bytes);
        if bytes > limit {
            return Err(CatalogError::TooLarge { what: "component", limit });
        }
        self.check_component_name(tenant, name)?;
        let known = Selector::Digest(Digest::of(component));
        // Content that the quota refuses is not stored; it is looked at again below.
        self.transact(Access::Read, |transaction| {
            match find_uploaded(transaction, tenant, name, &known)? {
                Some(_) => Ok(()),
                None => self.check_quotas(transaction, tenant, bytes),
            }
        })?;
        let digest = self.put_content(component)?;
        self.write(|transaction| {
            tenants::require(transaction, tenant)?;
            let which = Selector::Digest(digest);
            if let Some(same) = find_uploaded(transaction, tenant, name, &which)? {
                self.try_again(transaction, tenant, &same)?;
                let same = find_uploaded(transaction, tenant, name, &which)?.unwrap_or(same);
                let job = same.job.map(|job| find(transaction, tenant, job)).transpose()?.flatten();
                return Ok(Put::Unchanged((same, job)));
            }
            self.check_quotas(transaction, tenant, bytes)?;
            insert_component(transaction, &digest, bytes, None)?;
            let version = self.insert_version(transaction, tenant, name, &digest)?;
            transaction.execute(
                "INSERT INTO admission_jobs (tenant_id, name, version, state, steps, created_at) \
                 VALUES (?1, ?2, ?3, 'pending', '[]', ?4)",
                params![tenant.as_str(), name.as_str(), columns::signed(version), now()],
            )?;
            let made = find_uploaded(transaction, tenant, name, &which)?;
            let made = made.ok_or_else(|| CatalogError::not_found("component", digest))?;
            let job = made.job.map(|job| find(transaction, tenant, job)).transpose()?.flatten();
            Ok(Put::Created((made, job)))
        })
    }

    /// One job of a tenant.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn job(&self, tenant: &TenantId, number: u64) -> Result<Job, CatalogError> {
        let found = self.read(|transaction| find(transaction, tenant, number))?;
        found.ok_or_else(|| CatalogError::not_found("job", number))
    }

    /// A tenant's jobs, newest first.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn jobs(&self, tenant: &TenantId, page: Page) -> Result<Vec<Job>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!(
            "{JOB} WHERE j.tenant_id = ?1 AND j.number < ?2 ORDER BY j.number DESC LIMIT ?3"
        );
        let params = params![tenant.as_str(), page.bound(), page.limit];
        self.read(|transaction| columns::list(transaction, &sql, params, job))
    }

    /// Jobs that are never claimed again, since they ended too many processes.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn hopeless_jobs(&self) -> Result<Vec<Job>, CatalogError> {
        let sql = format!("{JOB} WHERE {FREE} AND j.attempts >= {MAX_ATTEMPTS} ORDER BY j.number");
        self.read(|transaction| columns::list(transaction, &sql, params![now()], job))
    }

    /// Ends such a job in error. False where it is none any more.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn give_up_job(&self, number: u64) -> Result<bool, CatalogError> {
        let sql = format!(
            "UPDATE admission_jobs AS j SET state = 'error', ended_at = ?1, trouble = ?2 \
             WHERE j.number = ?3 AND {FREE} AND j.attempts >= {MAX_ATTEMPTS}"
        );
        let trouble = "the gateway stopped each time that it began to admit this version; send it again \
                       to have it tried once more";
        let params = params![now(), trouble, columns::signed(number)];
        self.write(|transaction| Ok(transaction.execute(&sql, params)? == 1))
    }

    /// Takes the next job, if there is one: from now on it is this node's, for as long as the lease.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn claim_job(&self, node: &str, lease: Duration) -> Result<Option<Job>, CatalogError> {
        let free = format!("{FREE} AND j.attempts < {MAX_ATTEMPTS}");
        let now = now();
        // A look costs nothing; only a job that is there takes its turn among the writes.
        let any = format!("SELECT count(*) FROM admission_jobs AS j WHERE {free}");
        if self.read(|transaction| columns::count(transaction, &any, params![now]))? == 0 {
            return Ok(None);
        }
        self.write(|transaction| {
            let sql = format!(
                "{JOB} WHERE {free} ORDER BY coalesce((SELECT max(e.started_at) FROM \
                 admission_jobs AS e WHERE e.tenant_id = j.tenant_id), 0), j.number LIMIT 1"
            );
            let Some(next) = columns::first(transaction, &sql, params![now], job)? else {
                return Ok(None);
            };
            transaction.execute(
                "UPDATE admission_jobs SET state = 'running', node = ?2, lease_until = ?3, \
                 started_at = ?4, steps = '[]', attempts = attempts + 1, settings = ?5 \
                 WHERE number = ?1",
                params![
                    columns::signed(next.number),
                    node,
                    until(lease),
                    now,
                    again::settings(transaction, &next.tenant, &next.digest)?,
                ],
            )?;
            Ok(find(transaction, &next.tenant, next.number)?)
        })
    }

    /// Gives back the jobs that a node had claimed when it stopped; answers how many.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn release_jobs(&self, node: &str) -> Result<u64, CatalogError> {
        self.write(|transaction| {
            let sql =
                "UPDATE admission_jobs SET state = 'pending' WHERE state = 'running' AND node = ?1";
            Ok(transaction.execute(sql, params![node])?)
        })
    }

    /// Notes the steps that are done so far, and renews the lease. False where the job is no longer
    /// this node's.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn note_steps(
        &self,
        number: u64,
        node: &str,
        steps: &[Json],
        lease: Duration,
    ) -> Result<bool, CatalogError> {
        self.write(|transaction| {
            let sql = "UPDATE admission_jobs SET steps = ?3, lease_until = ?4 \
                       WHERE number = ?1 AND node = ?2 AND state = 'running'";
            let steps = Json::from(steps.to_vec()).to_string();
            let params = params![columns::signed(number), node, steps, until(lease)];
            Ok(transaction.execute(sql, params)? == 1)
        })
    }

    /// Ends a job, and admits or fails its version, in one transaction. Nothing changes where the
    /// job is no longer this node's; then it answers false.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn end_job(&self, job: &Job, node: &str, ending: &Ending) -> Result<bool, CatalogError> {
        self.write(|transaction| {
            let took = u64::try_from(ending.took.as_millis()).unwrap_or(u64::MAX);
            // The gateway's own failures are not the tenant's to pay for.
            let took = if ending.state == JobState::Error { 0 } else { took };
            let ended = transaction.execute(
                "UPDATE admission_jobs SET state = ?3, steps = ?4, trouble = ?5, ended_at = ?6, \
                 took_ms = ?7 WHERE number = ?1 AND node = ?2 AND state = 'running'",
                params![
                    columns::signed(job.number),
                    node,
                    ending.state.as_str(),
                    Json::from(ending.steps.clone()).to_string(),
                    ending.trouble.as_deref(),
                    now(),
                    columns::signed(took),
                ],
            )?;
            let admission = match ending.state {
                _ if ended == 0 => return Ok(false),
                JobState::Admitted => Admission::Admitted,
                JobState::Failed => Admission::Failed,
                JobState::Pending | JobState::Running | JobState::Error => return Ok(true),
            };
            transaction.execute(
                "UPDATE component_versions SET state = ?4 \
                 WHERE tenant_id = ?1 AND name = ?2 AND version = ?3",
                params![
                    job.tenant.as_str(),
                    &job.name,
                    columns::signed(job.version),
                    admission.as_str(),
                ],
            )?;
            if let Some(inspection) = &ending.inspection {
                let sql = "UPDATE components SET inspection = ?2 WHERE digest = ?1";
                transaction.execute(sql, params![job.digest.0, inspection.to_string()])?;
            }
            Ok(true)
        })
    }
}

fn find(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    number: u64,
) -> database::Result<Option<Job>> {
    let sql = format!("{JOB} WHERE j.tenant_id = ?1 AND j.number = ?2");
    columns::first(transaction, &sql, params![tenant.as_str(), columns::signed(number)], job)
}

fn job(row: &Row) -> database::Result<Job> {
    let state: String = row.get(5)?;
    let state = JobState::parse(&state);
    Ok(Job {
        number: columns::number(row, 0)?,
        tenant: columns::parsed(row, 1)?,
        name: row.get(2)?,
        version: columns::number(row, 3)?,
        digest: columns::digest(row, 4)?,
        state: state.ok_or_else(|| DatabaseError::damaged(5, "is no state"))?,
        steps: columns::json(row, 6)?,
        trouble: row.get(7)?,
        created_at: columns::time(row, 8)?,
        started_at: columns::optional_time(row, 9)?,
        ended_at: columns::optional_time(row, 10)?,
    })
}

fn now() -> i64 {
    columns::signed(UnixMillis::now().0)
}

fn until(lease: Duration) -> i64 {
    let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
    columns::signed(UnixMillis::now().0.saturating_add(lease))
}
