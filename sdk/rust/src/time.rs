//! Points in time and days as events write them: RFC 3339 text. A rule has no clock; the time of
//! an event is a field, or the host column `@received_at`.

use std::fmt;

/// A day of the Gregorian calendar, of the years 0 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A point in time in milliseconds since 1970 UTC; before that, negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

const MILLIS_A_DAY: i64 = 86_400_000;

impl Date {
    /// Reads `2026-11-21`. `None` where it is no such text, or no day of the calendar.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month, day) = (digits(text, 0, 4)?, digits(text, 5, 2)?, digits(text, 8, 2)?);
        let punctuated = text.len() == 10 && byte(text, 4)? == b'-' && byte(text, 7)? == b'-';
        let exists = (1..=days_in_month(year, month)).contains(&day);
        let (year, month, day) =
            (u16::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?);
        (punctuated && exists).then_some(Self { year, month, day })
    }

    /// Days since 1970-01-01: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
    /// `days_from_civil`.
    fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
            - 719_468
    }

    /// The inverse, from the same source. `None` outside of the years 0 to 9999.
    fn from_days(days: i64) -> Option<Self> {
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = u16::try_from(year_of_era + era * 400 + i64::from(month <= 2)).ok()?;
        let (month, day) = (u8::try_from(month).ok()?, day_of_year - (153 * shifted + 2) / 5 + 1);
        (year <= 9999).then_some(Self { year, month, day: u8::try_from(day).ok()? })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Timestamp {
    /// Reads a date-time of RFC 3339, section 5.6, with any offset; fractions are cut to
    /// milliseconds, and second 60 is read as 59. `None` where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date = Date::parse(text.get(..10)?)?;
        let punctuated = matches!(byte(text, 10)?, b'T' | b't' | b' ')
            && byte(text, 13)? == b':'
            && byte(text, 16)? == b':';
        let (hour, minute, second) =
            (digits(text, 11, 2)?, digits(text, 14, 2)?, digits(text, 17, 2)?);
        if !punctuated || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (millis, offset) = fraction(text.get(19..)?)?;
        let seconds = i64::from(hour * 3600 + minute * 60 + second.min(59));
        Some(Self(
            date.days() * MILLIS_A_DAY + seconds * 1000 + millis - offset_minutes(offset)? * 60_000,
        ))
    }

    /// The day in UTC. `None` outside of the years 0 to 9999.
    #[must_use]
    pub fn date(self) -> Option<Date> {
        Date::from_days(self.0.div_euclid(MILLIS_A_DAY))
    }
}

/// The milliseconds of a fraction of a second, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(digits) = text.strip_prefix('.') else { return Some((0, text)) };
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = digits.get(..digits.len() - rest.len()).filter(|digits| !digits.is_empty())?;
    let three = digits.bytes().chain([b'0', b'0']).take(3);
    Some((three.fold(0, |millis, digit| millis * 10 + i64::from(digit - b'0')), rest))
}

fn offset_minutes(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let (hours, minutes) = (digits(text, 1, 2)?, digits(text, 4, 2)?);
    let valid = text.len() == 6 && byte(text, 3)? == b':' && hours < 24 && minutes < 60;
    let minutes = valid.then_some(i64::from(hours * 60 + minutes))?;
    match byte(text, 0)? {
        b'+' => Some(minutes),
        b'-' => Some(-minutes),
        _ => None,
    }
}

fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

/// The number in `len` digits; `None` where there is anything else.
fn digits(text: &str, from: usize, len: usize) -> Option<u32> {
    let digits = text.as_bytes().get(from..from + len)?;
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

fn days_in_month(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_and_their_days() {
        for (text, millis, day) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01"),
            ("1969-12-31T23:59:59.999Z", -1, "1969-12-31"),
            ("2000-02-29T23:59:59.9999z", 951_868_799_999, "2000-02-29"),
            ("2013-01-01 00:00:00-05:00", 1_357_016_400_000, "2013-01-01"),
            ("2013-01-01t00:30:00.5+01:00", 1_356_996_600_500, "2012-12-31"),
            ("2026-11-21T23:30:00-05:00", 1_795_321_800_000, "2026-11-22"),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000, "2016-12-31"),
            ("0000-03-01T00:00:00Z", -62_162_035_200_000, "0000-03-01"),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000, "9999-12-31"),
        ] {
            let at = Timestamp::parse(text).expect(text);
            assert_eq!(at, Timestamp(millis), "{text}");
            assert_eq!(at.date().expect(text).to_string(), day, "{text}");
        }
        for outside in ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:00-00:01"] {
            assert_eq!(Timestamp::parse(outside).expect(outside).date(), None, "{outside}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "", "2013-01-01", "2013-02-29T00:00:00Z", "2013-00-01T00:00:00Z",
            "2013-13-01T00:00:00Z", "2013-04-31T00:00:00Z", "2013-01-01T24:00:00Z",
            "2013-01-01T00:60:00Z", "2013-01-01T00:00:61Z", "2013-01-01T00:00:00",
            "2013-01-01T00:00:00.Z", "2013-01-01T00:00:00Zx", "2013-01-01T00:00:00+0100",
            "2013-01-01T00:00:00+24:00", "2013-01-01T00:00:00*01:00", "+013-01-01T00:00:00Z",
            "2013-01-01_00:00:00Z", "２013-01-01T00:00:00Z", "2013-01-01T00:00:0é",
            "2013-01-01é00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        for text in ["2013-1-01", "2013-01-01 ", "2013/01/01", "1900-02-29", "2013-01-0é"] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_goes_both_ways() {
        let first = Date::parse("0000-01-01").expect("a day").days();
        let last = Date::parse("9999-12-31").expect("a day").days();
        assert_eq!(last - first, 3_652_424);
        for days in first..=last {
            let date = Date::from_days(days).expect("within the years");
            assert_eq!((date.days(), Date::parse(&date.to_string())), (days, Some(date)));
        }
        assert_eq!((Date::from_days(first - 1), Date::from_days(last + 1)), (None, None));
    }
}
