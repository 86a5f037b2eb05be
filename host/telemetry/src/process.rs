//! What Linux tells of the process, as Prometheus's clients name it
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use crate::metrics::process as metrics;
use crate::page::Page;

/// Of a second, what `/proc/self/stat` counts in; Linux has it so on every architecture.
const TICKS: f64 = 100.0;

/// Tells of the process what can be read.
pub fn report(version: &str, page: &mut Page) {
    page.put(&metrics::BUILD, &[version], 1u64);
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (stat, system) = (read("/proc/self/stat"), read("/proc/stat"));
    if let Some((cpu, started)) = times(&stat, &system) {
        page.put(&metrics::CPU, &[], cpu);
        page.put(&metrics::STARTED, &[], started);
    }
    if let Some(bytes) = resident(&read("/proc/self/status")) {
        page.put(&metrics::RESIDENT, &[], bytes);
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        page.put(&metrics::OPEN_FILES, &[], entries.count());
    }
    if let Some(most) = most_files(&read("/proc/self/limits")) {
        page.put(&metrics::MOST_FILES, &[], most);
    }
}

/// Seconds of CPU time, and when the process was started, in seconds since 1970 (proc(5)).
fn times(stat: &str, system: &str) -> Option<(f64, f64)> {
    // The second field is the program's name in parentheses, and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let booted = system.lines().find_map(|line| line.strip_prefix("btime "))?;
    let booted: f64 = booted.trim().parse().ok()?;
    Some(((field(14)? + field(15)?) / TICKS, booted + field(22)? / TICKS))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn most_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 1 0 1000 1 1";
        assert_eq!(times(stat, "cpu 1\nbtime 1700000000\n"), Some((2.0, 1_700_000_010.0)));
        assert_eq!(times("", ""), None);
    }

    #[test]
    fn this_process_is_told_of() {
        let text = Page::of(|page| report("1.2.3", page)).text(crate::Format::Prometheus);
        for metric in crate::metrics::process::ALL.iter().take(6) {
            let of = |line: &&str| line.starts_with(metric.name);
            let line = text.lines().find(of).unwrap_or_else(|| panic!("no {}", metric.name));
            let value: f64 = line.rsplit(' ').next().and_then(|it| it.parse().ok()).expect(line);
            assert!(value > 0.0 || metric.name.contains("cpu"), "{line}");
        }
    }
}
