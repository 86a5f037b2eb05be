//! Numbers as written: reading a JSON number's lexeme without losing what it says.

/// The lexeme as a 64-bit integer: `1e3` and `2.0` are integers, `2.5` and 2^63 are not.
#[must_use]
pub fn to_i64(lexeme: &str) -> Option<i64> {
    if let Ok(value) = lexeme.parse::<i64>() {
        return Some(value);
    }
    let (negative, digits) = match lexeme.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, lexeme),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = whole.bytes().chain(fraction.bytes());
    let significant: Vec<u8> = all.skip_while(|b| *b == b'0').collect();
    let trailing = significant.iter().rev().take_while(|b| **b == b'0').count();
    let kept = significant.get(..significant.len() - trailing)?;
    if kept.is_empty() {
        return Some(0);
    }
    let scale = exponent
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(i64::try_from(trailing).ok()?)?;
    if !(0..=18).contains(&scale) || kept.len() > 19 {
        return None;
    }
    let mut value: i128 = 0;
    for digit in kept {
        value = value * 10 + i128::from(digit - b'0');
    }
    value *= 10i128.pow(u32::try_from(scale).ok()?);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// The lexeme as a double, correctly rounded. `None` where it is beyond the range of doubles.
#[must_use]
pub fn to_f64(lexeme: &str) -> Option<f64> {
    lexeme.parse::<f64>().ok().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (lexeme, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.0e5", Some(0)),
            ("42", Some(42)),
            ("-7", Some(-7)),
            ("1e3", Some(1000)),
            ("1E+3", Some(1000)),
            ("2.0", Some(2)),
            ("2.50e1", Some(25)),
            ("1200e-2", Some(12)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9.223372036854775807e18", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("2.5", None),
            ("1e-1", None),
            ("1e19", None),
            ("1e999999999999999999", None),
            ("1e99999999999999999999", None),
            ("0e99", Some(0)),
            ("0.00", Some(0)),
            ("100000000000000000000e-2", Some(1_000_000_000_000_000_000)),
        ] {
            assert_eq!(to_i64(lexeme), expected, "{lexeme}");
        }
    }

    #[test]
    fn doubles() {
        assert_eq!(to_f64("2.5e-1"), Some(0.25));
        assert_eq!(to_f64("1e400"), None);
        assert_eq!(to_f64("1e-400"), Some(0.0));
    }
}
