//! Times as texts: UTC, to the second.

use std::time::SystemTime;

/// `20150830T123600Z`
pub fn short(time: SystemTime) -> String {
    long(time).replace(['-', ':'], "")
}

/// `2015-08-30T12:36:00Z`
pub fn long(time: SystemTime) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    // `Sun, 30 Aug 2015 12:36:00 GMT`: each part has its place.
    let date = httpdate::fmt_http_date(time);
    let month = MONTHS.find(&date[8..11]).map_or(0, |at| at / 3 + 1);
    format!("{}-{month:02}-{}T{}Z", &date[12..16], &date[5..7], &date[17..25])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        let time = httpdate::parse_http_date("Sun, 30 Aug 2015 12:36:07 GMT").unwrap();
        assert_eq!((short(time).as_str(), long(time).as_str()), ("20150830T123607Z", "2015-08-30T12:36:07Z"));
        let day = httpdate::parse_http_date("Tue, 01 Jan 2030 00:00:00 GMT").unwrap();
        assert_eq!(long(day), "2030-01-01T00:00:00Z");
    }
}
