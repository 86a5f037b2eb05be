//! `tidegate tenant`: who may send events at all.

use serde_json::json;

use super::Context;
use crate::cli::TenantCommand;
use crate::client::{Body, path};

pub(super) fn run(context: &Context, command: TenantCommand) -> anyhow::Result<()> {
    let Context { admin, print } = context;
    match command {
        TenantCommand::Create { tenant } => {
            let made = admin.post(&path(&["tenants"]), Body::Json(json!({ "id": tenant })))?;
            print.answer(&made, || format!("created tenant {tenant}"))?;
        }
        TenantCommand::List => {
            let list = admin.get_all(&path(&["tenants"]), "tenants", ("after", "/id"))?;
            print.list(&list, &[("TENANT", "/id"), ("CREATED", "/created_at")])?;
        }
    }
    Ok(())
}
