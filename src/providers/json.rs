//! Reading the JSON of APIs: leniently, because they add and drop fields.

use std::net::IpAddr;

use serde_json::Value;

/// The text of a field; `None` when it is missing, null, empty or something else.
pub fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A number, or a text that is one (Hetzner's prices).
pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number: &f64| number.is_finite())
}

/// The IP addresses among texts, in their order; a prefix length (`2001:db8::1/64`) is left off, `0.0.0.0` and `::` are none.
pub fn address_list<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<IpAddr> {
    let address = |value: &Value| value.as_str()?.split('/').next()?.parse::<IpAddr>().ok();
    values.into_iter().filter_map(address).filter(|ip| !ip.is_unspecified()).collect()
}

/// The seconds since 1970 of a date of ISO 8601 (`2026-11-21T12:00:00.5Z`, or with an offset: `-06:00`, `-0600`); one without an
/// offset is UTC. `None` for anything else, and for what was before 1970.
pub fn seconds_since_1970(date: &str) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = date.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let parts = [number(0, 4)?, number(5, 7)?, number(8, 10)?, number(11, 13)?, number(14, 16)?, number(17, 19)?];
    let separators = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    let is_date = separators.iter().all(|(at, separator)| date.get(*at..at + 1) == Some(*separator));
    let [year, month, day, hour, minute, second] = parts;
    if !is_date || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let zone = date[19..].trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone.as_bytes() {
        [] | [b'Z'] => 0,
        [sign @ (b'+' | b'-'), digits @ ..] => {
            let digits: String = digits.iter().map(|byte| char::from(*byte)).filter(|c| *c != ':').collect();
            let all: i64 = digits.parse().ok().filter(|_| digits.len() == 4)?;
            (all / 100 * 3600 + all % 100 * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second - offset).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_leniently() {
        let value = json!({"a": "x", "b": null, "c": "", "d": 1});
        assert_eq!(text(&value, "a").as_deref(), Some("x"));
        for field in ["b", "c", "d", "e"] {
            assert_eq!(text(&value, field), None);
        }
        assert_eq!((number(&json!("3.5")), number(&json!(2)), number(&json!("x"))), (Some(3.5), Some(2.0), None));
        let ips = [json!("192.0.2.1"), json!("0.0.0.0"), json!("2001:db8::1/64"), json!(null), json!("x")];
        assert_eq!(address_list(&ips), ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
    }

    #[test]
    fn dates_are_counted() {
        for (date, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:34:56.000000Z", Some(951_827_696)),
            ("2026-11-21T12:00:00", Some(1_795_262_400)),
            ("2026-11-21T06:00:00.123-06:00", Some(1_795_262_400)),
            ("2026-11-21T13:30:00+0130", Some(1_795_262_400)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-21 12:00:00Z", None),
            ("2026-13-21T12:00:00Z", None),
            ("2026-11-21T12:00:00 CET", None),
            ("2026-11-21T12:00", None),
            ("soon", None),
        ] {
            assert_eq!(seconds_since_1970(date), seconds, "{date}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_date_is_read(date in ".{0,30}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}.{0,8}") {
            let _ = seconds_since_1970(&date);
        }
    }
}
