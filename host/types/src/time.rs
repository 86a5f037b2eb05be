//! Wall-clock time as milliseconds since 1970 UTC, and its RFC 3339 form.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

const MILLIS_A_DAY: u64 = 86_400_000;

impl UnixMillis {
    /// The system's clock; 0 where it stands before 1970.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }

    /// `2026-11-21T09:00:00.000Z`. Years after 9999 are written as 9999-12-31.
    #[must_use]
    pub fn rfc3339(self) -> [u8; 24] {
        let (year, month, day) = civil_from_days(self.0 / MILLIS_A_DAY);
        let (year, month, day) = if year > 9999 { (9999, 12, 31) } else { (year, month, day) };
        let of_day = self.0 % MILLIS_A_DAY;
        let mut out = *b"0000-00-00T00:00:00.000Z";
        write_digits(&mut out, 0, 4, year);
        write_digits(&mut out, 5, 2, month);
        write_digits(&mut out, 8, 2, day);
        write_digits(&mut out, 11, 2, of_day / 3_600_000);
        write_digits(&mut out, 14, 2, of_day / 60_000 % 60);
        write_digits(&mut out, 17, 2, of_day / 1000 % 60);
        write_digits(&mut out, 20, 3, of_day % 1000);
        out
    }

    /// The same as a `String`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        String::from_utf8_lossy(&self.rfc3339()).into_owned()
    }

    /// `2026-11-21`.
    #[must_use]
    pub fn date(self) -> String {
        self.to_rfc3339().chars().take(10).collect()
    }

    /// Reads an RFC 3339 date-time with any offset, fractions cut to milliseconds. `None` where it
    /// is none, or stands before 1970.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        parse(text).and_then(|millis| u64::try_from(millis).ok()).map(Self)
    }

    /// Is it an RFC 3339 date-time, of any year?
    #[must_use]
    pub fn is_rfc3339(text: &str) -> bool {
        parse(text).is_some()
    }
}

/// Milliseconds since 1970 UTC.
fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, len: usize| -> Option<i64> {
        let part = bytes.get(from..from + len)?;
        part.iter().all(u8::is_ascii_digit).then_some(())?;
        std::str::from_utf8(part).ok()?.parse().ok()
    };
    let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|b| any.contains(b));
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let punctuated = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !punctuated || !in_range {
        return None;
    }
    let mut at = 19;
    let mut millis = 0;
    if is(at, b".") {
        let digits = bytes.iter().skip(20).take_while(|b| b.is_ascii_digit());
        let mut scale = 100;
        let mut count = 0;
        for digit in digits {
            millis += i64::from(digit - b'0') * scale;
            scale /= 10;
            count += 1;
        }
        if count == 0 {
            return None;
        }
        at += 1 + count;
    }
    let offset_minutes = match bytes.get(at)? {
        b'Z' | b'z' if bytes.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if bytes.len() == at + 6 && is(at + 3, b":") => {
            let (h, m) = (number(at + 1, 2)?, number(at + 4, 2)?);
            if h > 23 || m > 59 {
                return None;
            }
            if *sign == b'+' { h * 60 + m } else { -(h * 60 + m) }
        }
        _ => return None,
    };
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second.min(59);
    Some((seconds - offset_minutes * 60) * 1000 + millis)
}

fn write_digits(out: &mut [u8], at: usize, len: usize, mut value: u64) {
    for slot in out.iter_mut().skip(at).take(len).rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`, for days
/// since 1970 that are not negative.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// The inverse, from the same source.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_both_ways() {
        for (text, millis) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999),
            ("2013-01-01T05:00:00.000Z", 1_357_016_400_000),
            ("2100-03-01T00:00:00.000Z", 4_107_542_400_000),
        ] {
            assert_eq!(UnixMillis(millis).to_rfc3339(), text);
            assert_eq!(UnixMillis::parse_rfc3339(text), Some(UnixMillis(millis)));
        }
    }

    #[test]
    fn other_forms() {
        assert!(UnixMillis::is_rfc3339("0001-01-01T00:00:00Z"));
        let at = UnixMillis(1_357_016_400_000);
        for text in
            ["2013-01-01T05:00:00Z", "2013-01-01 00:00:00-05:00", "2013-01-01t06:00:00.0001+01:00"]
        {
            assert_eq!(UnixMillis::parse_rfc3339(text), Some(at), "{text}");
        }
        for text in [
            "", "2013-01-01", "2013-02-30T00:00:00Z", "2013-13-01T00:00:00Z",
            "2013-01-01T24:00:00Z", "2013-01-01T05:00:00", "2013-01-01T05:00:00.Z",
            "2013-01-01T05:00:00Zx", "1969-12-31T00:00:00Z", "2013-01-01T05:00:00+0100",
            "+013-01-01T05:00:00Z",
        ] {
            assert_eq!(UnixMillis::parse_rfc3339(text), None, "{text}");
        }
    }
}
