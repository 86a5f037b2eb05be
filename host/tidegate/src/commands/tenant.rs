//! `tidegate tenant`: who may send events at all.

use http::Method;
use serde_json::json;

use super::{Context, files};
use crate::cli::TenantCommand;
use crate::client::{Body, path};
use crate::output::cell;

pub(super) fn run(context: &Context, command: TenantCommand) -> anyhow::Result<()> {
    let Context { admin, print } = context;
    match command {
        TenantCommand::Create { tenant } => {
            let made = admin.post(&path(&["tenants"]), Body::Json(json!({ "id": tenant })))?;
            print.answer(&made, || format!("created tenant {tenant}"))?;
        }
        TenantCommand::Quotas { tenant, set } => {
            let path = path(&["tenants", &tenant, "quotas"]);
            let answer = match set {
                None => admin.get(&path)?,
                Some(file) => {
                    let quotas = json!({ "quotas": files::read_json(&file)? });
                    admin.call(Method::PUT, &path, Body::Json(quotas))?
                }
            };
            print.answer(&answer, || answer.to_string())?;
        }
        TenantCommand::Limits { tenant, set } => {
            let path = path(&["tenants", &tenant, "limits"]);
            let answer = match set {
                None => admin.get(&path)?,
                Some(file) => {
                    admin.call(Method::PUT, &path, Body::Json(files::read_json(&file)?))?
                }
            };
            print.answer(&answer, || answer.to_string())?;
        }
        TenantCommand::CasePolicy { tenant, policy } => {
            let path = path(&["tenants", &tenant, "case-policy"]);
            let answer = match policy {
                None => admin.get(&path)?,
                Some(policy) => {
                    admin.call(Method::PUT, &path, Body::Json(json!({ "policy": policy })))?
                }
            };
            print.answer(&answer, || cell(&answer, "/policy"))?;
        }
        TenantCommand::List => {
            let list = admin.get_all(&path(&["tenants"]), "tenants", ("after", "/id"))?;
            print.list(&list, &[("TENANT", "/id"), ("CREATED", "/created_at")])?;
        }
    }
    Ok(())
}
