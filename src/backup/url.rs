//! The address of a destination that nodes reach themselves: `s3://BUCKET[/PREFIX]`, `ssh://[USER@]HOST[:PORT]/PATH`.

use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Url {
    /// `prefix` is empty or ends with a slash.
    S3 { bucket: String, prefix: String },
    /// `path` is absolute, or relative to the user's home (`ssh://host/~/backups`).
    Ssh { user: Option<String>, host: String, port: u16, path: String },
}

impl Url {
    /// Whether a text is meant to be one.
    pub fn is_meant(text: &str) -> bool {
        text.contains("://")
    }

    /// Whether the same settings open both: the bucket, or the account, is the same.
    pub fn is_beside(&self, other: &Url) -> bool {
        match (self, other) {
            (Url::S3 { bucket, .. }, Url::S3 { bucket: other, .. }) => bucket == other,
            (Url::Ssh { user, host, port, .. }, Url::Ssh { user: other_user, host: other, port: other_port, .. }) => {
                (user, host, port) == (other_user, other, other_port)
            }
            _ => false,
        }
    }
}

impl FromStr for Url {
    type Err = String;

    /// Errors: a sentence. The text is not repeated in it when it may have a password in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        match scheme {
            "s3" => s3(authority, path),
            "ssh" => ssh(authority, path),
            _ => Err(format!(
                "a destination {scheme}:// is not known: there are s3://BUCKET/PREFIX and ssh://USER@HOST/PATH"
            )),
        }
    }
}

fn s3(bucket: &str, prefix: &str) -> Result<Url, String> {
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b))
        && !bucket.starts_with(['.', '-'])
        && !bucket.ends_with(['.', '-']);
    if !is_bucket {
        return Err("the bucket of s3://BUCKET has 3 to 63 lower-case letters, digits, '-' and '.'".to_owned());
    }
    let segment = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!_.*'()-".contains(&b));
    if !prefix.is_empty() && !prefix.split('/').all(segment) {
        return Err(format!("{prefix:?} cannot be what the names in a bucket begin with"));
    }
    let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    Ok(Url::S3 { bucket: bucket.to_owned(), prefix })
}

fn ssh(authority: &str, path: &str) -> Result<Url, String> {
    let (user, server) = match authority.rsplit_once('@') {
        Some((user, server)) => (Some(user), server),
        None => (None, authority),
    };
    let (host, port) = match server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port))),
    };
    let plain = |text: &str, more: &[u8]| {
        text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b))
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    if user.is_some_and(|user| !plain(user, b"_.-")) {
        return Err("the user of ssh://USER@HOST has letters, digits, '_', '.' and '-'; a password has no place there"
            .to_owned());
    }
    if !plain(host, b".:-") {
        return Err("the host of ssh://HOST/PATH is missing, or is none".to_owned());
    }
    let port = port.map_or(Ok(22), |port| port.parse().map_err(|_| format!("{port:?} is not a port")))?;
    if path.is_empty() {
        return Err(
            "ssh://HOST needs a path: ssh://HOST/srv/backups, or ssh://HOST/~/backups for one at home".to_owned()
        );
    }
    let path = path.strip_prefix("~/").map_or_else(|| format!("/{path}"), str::to_owned);
    Ok(Url::Ssh { user: user.map(str::to_owned), host: host.to_owned(), port, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let s3 = |bucket: &str, prefix: &str| Ok(Url::S3 { bucket: bucket.into(), prefix: prefix.into() });
        assert_eq!("s3://mine".parse(), s3("mine", ""));
        assert_eq!("s3://mine/a/b/".parse(), s3("mine", "a/b/"));
        let ssh = |user: Option<&str>, host: &str, port, path: &str| {
            Ok(Url::Ssh { user: user.map(str::to_owned), host: host.into(), port, path: path.into() })
        };
        assert_eq!("ssh://b.example.com/srv/b".parse(), ssh(None, "b.example.com", 22, "/srv/b"));
        assert_eq!("ssh://me@host:2222/~/b".parse(), ssh(Some("me"), "host", 2222, "b"));
        assert_eq!("ssh://[::1]:22/b".parse(), ssh(None, "::1", 22, "/b"));
        for bad in [
            "s3://",
            "s3://A",
            "s3://a_b_c",
            "s3://mine//x",
            "ssh://host",
            "ssh:///x",
            "ssh://-oProxy=x/y",
            "ssh://-l@h/y",
            "ssh://a:b@h/y",
            "ssh://h:x/y",
            "ftp://h/y",
            "s3://mine/a b",
        ] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }

    #[test]
    fn neighbours() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        assert!(url("s3://mine/a").is_beside(&url("s3://mine")));
        assert!(!url("s3://mine").is_beside(&url("s3://yours")));
        assert!(url("ssh://a@h/x").is_beside(&url("ssh://a@h/y")));
        assert!(!url("ssh://a@h/x").is_beside(&url("ssh://b@h/x")));
    }
}
