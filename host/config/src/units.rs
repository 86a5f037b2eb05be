//! Sizes and times as people write them: a whole number and a unit.

use std::time::Duration;

const SIZES: [(&str, u64); 6] =
    [("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

const TIMES_US: [(&str, u64); 5] =
    [("us", 1), ("ms", 1000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

/// Bytes from `65536`, `64KiB` or `64 KiB`. `None` also where it is more than 64 bits hold.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// A time from `100ms`, `30s`, `5m`, `1h`; a number without a unit is none.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    parse(text, &TIMES_US).map(Duration::from_micros)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("65536", Some(65_536)),
            ("17B", Some(17)),
            ("64KiB", Some(65_536)),
            (" 64 KiB ", Some(65_536)),
            ("3MiB", Some(3 << 20)),
            ("2GiB", Some(2 << 30)),
            ("1TiB", Some(1 << 40)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("16777216TiB", None),
            ("", None),
            ("MiB", None),
            ("1.5MiB", None),
            ("-1", None),
            ("64MB", None),
            ("64mib", None),
            ("64 MiB x", None),
            ("６4KiB", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, millis) in [
            ("1ms", Some(1)),
            ("100 ms", Some(100)),
            ("30s", Some(30_000)),
            ("60m", Some(3_600_000)),
            ("2h", Some(7_200_000)),
            ("5000us", Some(5)),
            ("0s", Some(0)),
            ("30", None),
            ("0.5s", None),
            ("1d", None),
            ("1h30m", None),
            ("s", None),
            ("-1s", None),
            ("5124095577h", None),
        ] {
            assert_eq!(parse_time(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
