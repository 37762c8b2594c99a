//! The words of the product as types, parsed once at the edge: a value of one of these is known to be safe in a path, a unit
//! name, a route map or a message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Explain, Kind};

/// A text that is not a name of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {rule}")]
pub struct BadName {
    pub text: String,
    pub what: &'static str,
    pub rule: &'static str,
}

impl Explain for BadName {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok($name(text.to_owned()))
                } else {
                    Err(BadName { text: text.to_owned(), what: $what, rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// The name of an app: also its system user (`ct-NAME`), database and directories.
    AppName,
    "an app name",
    "it has 1 to 28 lower-case letters, digits, '-' and '_', and starts with a letter",
    |text| {
        text.len() <= 28
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
    }
);

name_type!(
    /// The name of a node: a host name.
    NodeName,
    "a node name",
    "it has 1 to 253 lower-case letters, digits, '-' and '.', each part starts and ends with a letter or digit",
    is_host
);

name_type!(
    /// A release of an app: `v1`, `v2`, ...
    ReleaseId,
    "a release",
    "releases are v1, v2, ...",
    |text| text.strip_prefix('v').is_some_and(|n| {
        !n.is_empty() && n.len() <= 9 && !n.starts_with('0') && n.chars().all(|c| c.is_ascii_digit())
    })
);

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        })
}

/// Where an app is reached: `HOST`, `HOST/PATH` or `*.DOMAIN`, in lower case (the path keeps its case), without scheme, port and final slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location {
    host: String,
    path: String,
}

impl Location {
    /// The host, `*.DOMAIN` for a wildcard.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The mount: empty, or `/PATH` without a final slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn is_wildcard(&self) -> bool {
        self.host.starts_with("*.")
    }
}

const LOCATION_RULE: &str = "write HOST, HOST/PATH or *.DOMAIN, without port, query and blanks";

impl FromStr for Location {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName { text: text.to_owned(), what: "a location", rule: LOCATION_RULE };
        let bare = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
        let (host, path) = match bare.find('/') {
            Some(slash) => bare.split_at(slash),
            None => (bare, ""),
        };
        let host = host.to_ascii_lowercase();
        let domain = host.strip_prefix("*.").unwrap_or(&host);
        if !is_host(domain)
            || domain.split('.').all(|label| label.chars().all(|c| c.is_ascii_digit()))
                && domain.parse::<std::net::Ipv4Addr>().is_err()
        {
            return Err(bad());
        }
        let path = path.trim_end_matches('/');
        let path_ok = path.len() <= 200
            && !path.contains("//")
            && path.chars().all(|c| c.is_ascii_alphanumeric() || "/-._~".contains(c))
            && path.split('/').all(|segment| segment != "." && segment != "..");
        if !path_ok {
            return Err(bad());
        }
        Ok(Location { host, path: path.to_owned() })
    }
}

impl TryFrom<String> for Location {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Location> for String {
    fn from(location: Location) -> String {
        location.to_string()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, self.path)
    }
}

/// A text that must never be shown: printing it, in any way, prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself. Whoever calls this must not log, print or put it into a command line.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names() {
        for good in ["a", "guestbook", "my-app_2", &"a".repeat(28)] {
            assert!(good.parse::<AppName>().is_ok(), "{good}");
        }
        for bad in ["", "A", "1a", "-a", "a.b", "a/b", "..", "a b", "a\n", "ä", &"a".repeat(29)] {
            assert!(bad.parse::<AppName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn locations_are_normalised() {
        let location = |text: &str| text.parse::<Location>().map(|l| l.to_string()).ok();
        assert_eq!(location("MyApp.com"), Some("myapp.com".into()));
        assert_eq!(location("https://myapp.com/Blog/"), Some("myapp.com/Blog".into()));
        assert_eq!(location("*.myapp.com"), Some("*.myapp.com".into()));
        assert_eq!(location("127.0.0.1/x"), Some("127.0.0.1/x".into()));
        for bad in [
            "",
            "a b",
            "a;b",
            "a.com/..",
            "a.com/a//b",
            "a.com/x?y",
            "a.com:80",
            "-a.com",
            "a..b",
            "*",
            "1.2",
            "a.com/x\ny",
            "a.com/$(id)",
        ] {
            assert_eq!(location(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn releases() {
        assert!("v12".parse::<ReleaseId>().is_ok());
        for bad in ["", "v", "v0", "v01", "12", "v1/..", "v1234567890"] {
            assert!(bad.parse::<ReleaseId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }
}
