//! The progress bar of `tidegate post`: on a terminal only, on standard error.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over the inputs' bytes, or a running count where their size is not known.
pub(super) fn bar(total_bytes: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = match total_bytes {
        Some(_) => "{wide_bar} {bytes}/{total_bytes} read, {msg} events, {eta} left",
        None => "{spinner} {bytes} read, {msg} events",
    };
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(total_bytes, ProgressDrawTarget::stderr())
        .with_style(style)
        .with_message("0")
}

/// One more event is settled.
pub(super) fn advance(bar: &ProgressBar, taken: &AtomicU64, settled: u64) {
    if bar.is_hidden() {
        return;
    }
    bar.set_message(settled.to_string());
    bar.set_position(taken.load(Ordering::Relaxed));
}
