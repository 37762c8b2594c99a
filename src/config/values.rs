//! What a single value may look like: numbers, times, sizes, URL paths, package names. Every function takes the text behind the
//! key and gives the value, or a sentence that says what is allowed.

use std::ops::RangeInclusive;

use super::settings::{Concurrency, Snapshot};

/// A whole number within `range`.
pub fn number(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| format!("{} is not a number from {} to {}", quoted(text), range.start(), range.end()))
}

/// A time in seconds within `range`: `30`, `30s`, `2m`, `1h`.
pub fn seconds(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => (&text[..at], text[at..].trim()),
        None => (text, "s"),
    };
    let factor = match unit.to_ascii_lowercase().as_str() {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let seconds = factor.and_then(|factor| digits.parse::<u32>().ok()?.checked_mul(factor));
    seconds.filter(|n| range.contains(n)).ok_or_else(|| {
        format!(
            "{} is not a time from {} to {}: write seconds, or a number with s, m or h",
            quoted(text),
            time(*range.start()),
            time(*range.end())
        )
    })
}

/// Which backups stay: `7 daily, 4 weekly`.
pub fn keep(text: &str) -> Result<String, String> {
    const PERIODS: [&str; 6] = ["last", "hourly", "daily", "weekly", "monthly", "yearly"];
    let rule = |part: &str| match part.split_whitespace().collect::<Vec<_>>()[..] {
        [count, period] => {
            PERIODS.contains(&period) && count.parse().is_ok_and(|count: u32| (1..=9999).contains(&count))
        }
        _ => false,
    };
    if text.split(',').all(rule) {
        return Ok(text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    Err(format!("{} does not say what to keep: it is like '7 daily, 4 weekly' ({})", quoted(text), PERIODS.join(", ")))
}

/// A public key of age.
pub fn age_recipient(text: &str) -> Result<String, String> {
    let valid = text.strip_prefix("age1").is_some_and(|rest| {
        rest.len() == 58 && rest.bytes().all(|byte| b"qpzry9x8gf2tvdw0s3jn54khce6mua7l".contains(&byte))
    });
    if valid {
        return Ok(text.to_owned());
    }
    Err(format!("{} is no public key of age: age-keygen prints them, age1 and 58 letters and digits", quoted(text)))
}

/// Seconds as a person writes them.
fn time(seconds: u32) -> String {
    match seconds {
        0 => "0".to_owned(),
        n if n % 3600 == 0 => format!("{}h", n / 3600),
        n if n % 60 == 0 => format!("{}m", n / 60),
        n => format!("{n}s"),
    }
}

/// When an update takes a snapshot.
pub fn snapshot(text: &str) -> Result<Snapshot, String> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(Snapshot::Auto),
        "always" => Ok(Snapshot::Always),
        "never" => Ok(Snapshot::Never),
        _ => Err(format!("{} is not auto, always or never", quoted(text))),
    }
}

/// What happens when a job's time comes while it still runs.
pub fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text.to_ascii_lowercase().as_str() {
        "forbid" => Ok(Concurrency::Forbid),
        "allow" => Ok(Concurrency::Allow),
        "replace" => Ok(Concurrency::Replace),
        _ => Err(format!("{} is not forbid, allow or replace", quoted(text))),
    }
}

const MEBIBYTE: u64 = 1 << 20;
const MEMORY_MIN: u64 = 16 * MEBIBYTE;
const MEMORY_MAX: u64 = 1 << 40;

/// An amount of memory in bytes: `256M`, `1G`.
pub fn memory(text: &str) -> Result<u64, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit.trim().to_ascii_uppercase().as_str() {
        "M" | "MB" | "MIB" => Some(MEBIBYTE),
        "G" | "GB" | "GIB" => Some(1024 * MEBIBYTE),
        _ => None,
    };
    let bytes = factor.and_then(|factor| digits.parse::<u64>().ok()?.checked_mul(factor));
    bytes
        .filter(|bytes| (MEMORY_MIN..=MEMORY_MAX).contains(bytes))
        .ok_or_else(|| format!("{} is not an amount of memory from 16M to 1024G: write 256M or 1G", quoted(text)))
}

/// A path of a URL, with a query perhaps: what follows the host.
pub fn url_path(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%/?".contains(c);
    if !text.starts_with('/') || text.starts_with("//") {
        return Err(format!("{} is not a URL path: it starts with one '/', without scheme and host", quoted(text)));
    }
    if text.len() > 2000 {
        return Err("a URL path has at most 2000 characters".to_owned());
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(format!("{c:?} is not allowed in a URL path: write it percent-encoded")),
        None => Ok(text.to_owned()),
    }
}

/// A path that others begin with: `/health`.
pub fn path_prefix(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._~-/".contains(c);
    if path.len() > 200 || !path.starts_with('/') || path.contains("//") || !path.chars().all(allowed) {
        return Err(format!("{} is not a path like /health, of letters, digits and . _ ~ -", quoted(text)));
    }
    Ok(path.to_owned())
}

/// The name of an apt package.
pub fn package(text: &str) -> Result<String, String> {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let rest = |c: char| first(c) || "+-.".contains(c);
    if (2..=100).contains(&text.len()) && text.starts_with(first) && text.chars().all(rest) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{} is not the name of a package: names have lower-case letters, digits, '+', '-' and '.', separated by blanks or lines",
        quoted(text)
    ))
}

/// The name of an environment variable.
pub fn variable(text: &str) -> Result<(), String> {
    const SET_BY_US: [&str; 4] = ["HOME", "PATH", "PYTHONPATH", "TEMP"];
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !text.starts_with(first) || !text.chars().all(|c| first(c) || c.is_ascii_digit()) || text.len() > 200 {
        return Err("a variable's name has letters, digits and '_', and does not start with a digit".to_owned());
    }
    if text.starts_with("CLOUDTOOL_") || text.starts_with("CONFIG_") {
        return Err("names that start with CLOUDTOOL_ or CONFIG_ are given by the node".to_owned());
    }
    if SET_BY_US.contains(&text) {
        return Err("this variable is set by the node".to_owned());
    }
    Ok(())
}

/// The kernel hands a program no text of its environment that is longer than 128 KiB.
pub const VARIABLE_MAX: usize = 64 << 10;

/// What an environment variable can hold.
pub fn variable_value(text: &str) -> Result<(), String> {
    if let Some(c) = text.chars().find(|c| c.is_ascii_control() && !"\t\n".contains(*c)) {
        return Err(format!("the value has the control character U+{:04X}, which systemd would drop", u32::from(c)));
    }
    if text.len() > VARIABLE_MAX { Err(too_large()) } else { Ok(()) }
}

pub fn too_large() -> String {
    format!("the value is too large, a variable has at most {} KiB: put it into a file", VARIABLE_MAX >> 10)
}

/// True or false as ConfigParser and the originals write it.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "t" | "true" | "y" | "yes" => Ok(true),
        "0" | "f" | "false" | "n" | "no" | "off" => Ok(false),
        _ => Err(format!("{} is not yes or no", quoted(text))),
    }
}

/// A value in quotes, shortened: a message is one line whatever the value was.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{:?}...", &text[..at]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_sizes() {
        assert_eq!(number("8", 1..=64), Ok(8));
        for bad in ["", "0", "65", "-1", "1.5", "x", "99999999999999999999"] {
            assert!(number(bad, 1..=64).is_err(), "{bad}");
        }
        for (text, good) in [("30", 30), ("30s", 30), ("2m", 120), ("1H", 3600), ("2 m", 120), ("0", 0)] {
            assert_eq!(seconds(text, 0..=3600), Ok(good), "{text}");
        }
        for bad in ["", "s", "2h", "1d", "-1", "4294967295h", "3 0", "٣"] {
            assert!(seconds(bad, 0..=3600).is_err(), "{bad}");
        }
        for (text, good) in [("256M", 256 << 20), ("1G", 1 << 30), ("1 gb", 1 << 30), ("64MiB", 64 << 20)] {
            assert_eq!(memory(text), Ok(good), "{text}");
        }
        for bad in ["", "256", "1M", "2000G", "99999999999999999999G", "G", "1T", "١G"] {
            assert!(memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn messages_say_what_is_allowed() {
        insta::assert_snapshot!(number("0", 1..=64).unwrap_err(), @r#""0" is not a number from 1 to 64"#);
        insta::assert_snapshot!(seconds("soon", 1..=600).unwrap_err(), @r#""soon" is not a time from 1s to 10m: write seconds, or a number with s, m or h"#);
        insta::assert_snapshot!(memory("256").unwrap_err(), @r#""256" is not an amount of memory from 16M to 1024G: write 256M or 1G"#);
    }

    #[test]
    fn url_paths_packages_and_variables() {
        for good in ["/", "/sync?a=b", "/a%20b", "/~x/y.z"] {
            assert!(url_path(good).is_ok(), "{good}");
        }
        for bad in ["", "x", "http://x/", "//x", "/a b", "/a\nb", "/\"", "/ä", "/#x", "/{}", "/\\"] {
            assert!(url_path(bad).is_err(), "{bad}");
        }
        for good in ["python3-lxml", "g++", "libc6", "php8.2-xml"] {
            assert!(package(good).is_ok(), "{good}");
        }
        for bad in ["", "-y", "a", "A-b", "a;b", "a=1", "a,", "../x", "a\nb", "--yes"] {
            assert!(package(bad).is_err(), "{bad}");
        }
        for good in ["A", "_a1", "DJANGO_SETTINGS_MODULE", "CONFIGURED"] {
            assert!(variable(good).is_ok(), "{good}");
        }
        for bad in ["", "1A", "A-B", "A B", "CONFIG_X", "CLOUDTOOL_X", "PATH", "Ä"] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }
}
