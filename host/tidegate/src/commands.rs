//! Carries out one command of the command line.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use tidegate_config::Config;

use crate::cli::{Arguments, Command, DlqCommand, Global};
use crate::client::Admin;
use crate::output::Printer;
use crate::serve;

mod access;
mod files;
mod plugin;
mod post;
mod revision;
mod schema;
mod stored;
mod table;
mod tenant;

/// What every administering command needs.
struct Context {
    admin: Admin,
    print: Printer,
}

/// # Errors
/// Where the command failed; the error says what to do.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { global, command } = arguments;
    match command {
        Command::Serve { config } => {
            serve::run(configuration(config.as_deref(), &global)?)?;
        }
        Command::Compile { arguments } => return Ok(serve::compile(&arguments)),
        Command::Tenant(command) => tenant::run(&context(&global)?, command)?,
        Command::Key(command) => access::key::run(&context(&global)?, command)?,
        Command::Token(command) => access::token::run(&context(&global)?, command)?,
        Command::SigningKey(command) => access::signing::run(&context(&global)?, command)?,
        Command::Audit(command) => access::audit::run(&context(&global)?, &command)?,
        Command::Schema(command) => schema::run(&context(&global)?, command)?,
        Command::Table(command) => table::run(&context(&global)?, command)?,
        Command::Plugin(command) => return plugin::run(&global, command),
        Command::Revision(command) => revision::run(&context(&global)?, command)?,
        Command::Explain { of, event_id } => {
            return stored::explain::run(&context(&global)?, &of.tenant, &event_id);
        }
        Command::Quarantine(command) => stored::quarantine::run(&context(&global)?, command)?,
        Command::Dlq(DlqCommand::Redrive(redrive)) => {
            let config = configuration(redrive.config.as_deref(), &global)?;
            stored::dlq::redrive(&config, &redrive, Printer::new(global.json))?;
        }
        Command::Post(command) => return post::run(&global, &command),
    }
    Ok(ExitCode::SUCCESS)
}

/// The file and the environment; `--data-dir` wins over both.
fn configuration(file: Option<&Path>, global: &Global) -> anyhow::Result<Config> {
    let is_text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let mut environment: Vec<(String, String)> = std::env::vars_os().filter_map(is_text).collect();
    if let Some(folder) = &global.data_dir {
        let folder = folder.to_str().context("the path of --data-dir is not valid UTF-8")?;
        environment.push(("TIDEGATE_DATA_DIR".to_owned(), folder.to_owned()));
    }
    Ok(Config::load_with(file, environment)?)
}

fn context(global: &Global) -> anyhow::Result<Context> {
    Ok(Context { admin: Admin::new(global)?, print: Printer::new(global.json) })
}
