//! Who asks Amazon: the section of the configuration, Amazon's own variables, or a profile of its own files.

use std::path::PathBuf;

use ini::{Ini, ParseOption};

use crate::names::Secret;
use crate::providers::{Error, Result, Settings};

/// What proves who asks.
#[derive(Debug, Clone)]
pub struct Keys {
    pub access_key: String,
    pub secret: Secret,
    /// Temporary credentials have one.
    pub token: Option<Secret>,
    /// Where they are from, for the message when they are refused.
    pub from: String,
}

impl Keys {
    /// What must not be shown.
    pub fn secrets(&self) -> Vec<Secret> {
        self.token.iter().chain([&self.secret]).cloned().collect()
    }
}

/// The region, and where it is from.
pub type Place = (String, String);

/// The credentials, and the region if one is said: `username` and `secret` (and `session_token`) of the section, else its `profile`,
/// else `AWS_ACCESS_KEY_ID` and its like, else the profile that `AWS_PROFILE` names, or `default`.
///
/// Errors: [`Error::Credentials`] when there are none, or only a part of them.
pub fn find(settings: &Settings<'_>) -> Result<(Keys, Option<Place>)> {
    let region = |more: Option<Place>| -> Result<Option<Place>> {
        let said = settings.find(&["region"], &["AWS_REGION", "AWS_DEFAULT_REGION"])?;
        Ok(said.map(|found| (found.value.expose().to_owned(), found.from)).or(more))
    };
    if let Some(keys) = of_section(settings)? {
        return Ok((keys, region(None)?));
    }
    let named = settings.text(&["profile"], &[])?;
    if named.is_none()
        && let Some(keys) = of_environment(settings)?
    {
        return Ok((keys, region(None)?));
    }
    let section = settings.name();
    let name = match named {
        Some(name) => name,
        None => settings.text(&[], &["AWS_PROFILE"])?.unwrap_or_else(|| "default".into()),
    };
    let files = Files::read(settings)?;
    let Some(profile) = files.profile(&name)? else {
        let message = format!(
            "{section} has no credentials: [provider:{section}] has no `username` and `secret`, AWS_ACCESS_KEY_ID is not set, \
             and there is no profile {name:?} in {}",
            files.names()
        );
        return Err(Error::Credentials { message });
    };
    let of_profile = profile.region.map(|region| (region, profile.keys.from.clone()));
    let region = region(of_profile)?;
    Ok((profile.keys, region))
}

/// `username` (or `access_key`) and `secret` of the section. None when it has neither.
pub fn of_section(settings: &Settings<'_>) -> Result<Option<Keys>> {
    let access_key = settings.find(&["username", "access_key"], &[])?;
    let secret = settings.find(&["secret"], &[])?;
    match (access_key, secret) {
        (None, None) => Ok(None),
        (Some(access_key), Some(secret)) => Ok(Some(Keys {
            access_key: access_key.value.expose().to_owned(),
            secret: secret.value,
            token: settings.find(&["session_token"], &[])?.map(|found| found.value),
            from: secret.from,
        })),
        (access_key, _) => {
            let missing = if access_key.is_some() { "secret" } else { "username" };
            let section = settings.name();
            let message = format!(
                "[provider:{section}] has no `{missing}`: `username` is the access key's id and `secret` the secret access key"
            );
            Err(Error::Credentials { message })
        }
    }
}

fn of_environment(settings: &Settings<'_>) -> Result<Option<Keys>> {
    let Some(access_key) = settings.find(&[], &["AWS_ACCESS_KEY_ID"])? else { return Ok(None) };
    let Some(secret) = settings.find(&[], &["AWS_SECRET_ACCESS_KEY"])? else {
        return Err(Error::Credentials {
            message: "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not".into(),
        });
    };
    Ok(Some(Keys {
        access_key: access_key.value.expose().to_owned(),
        secret: secret.value,
        token: settings.find(&[], &["AWS_SESSION_TOKEN"])?.map(|found| found.value),
        from: secret.from,
    }))
}

/// The two files of Amazon's own tools.
struct Files {
    credentials: (PathBuf, Ini),
    config: (PathBuf, Ini),
}

struct Profile {
    keys: Keys,
    region: Option<String>,
}

impl Files {
    fn read(settings: &Settings<'_>) -> Result<Self> {
        let own = |name: &str| dirs::home_dir().unwrap_or_default().join(".aws").join(name);
        let credentials = settings.text(&["credentials_file"], &["AWS_SHARED_CREDENTIALS_FILE"])?;
        let config = settings.text(&[], &["AWS_CONFIG_FILE"])?;
        Ok(Files {
            credentials: read_file(credentials.map_or_else(|| own("credentials"), PathBuf::from))?,
            config: read_file(config.map_or_else(|| own("config"), PathBuf::from))?,
        })
    }

    fn names(&self) -> String {
        format!("{} or {}", self.credentials.0.display(), self.config.0.display())
    }

    /// None when neither file has one of that name.
    fn profile(&self, name: &str) -> Result<Option<Profile>> {
        let titles = [name.to_owned(), format!("profile {name}")];
        // A section of the second file that is not called `profile ...` is something else, but for `default`.
        let in_config = titles.iter().rev().take(if name == "default" { 2 } else { 1 });
        let sections: Vec<_> = (self.credentials.1.section(Some(name)).into_iter())
            .chain(in_config.filter_map(|title| self.config.1.section(Some(title))))
            .collect();
        if sections.is_empty() {
            return Ok(None);
        }
        let get = |key: &str| sections.iter().find_map(|section| section.get(key)).filter(|value| !value.is_empty());
        let (Some(access_key), Some(secret)) = (get("aws_access_key_id"), get("aws_secret_access_key")) else {
            let other = ["sso_session", "sso_start_url", "role_arn", "credential_process", "login_session"]
                .into_iter()
                .find(|key| get(key).is_some());
            let why = other.map_or_else(String::new, |key| {
                format!(" (its {key} is not followed: `eval \"$(aws configure export-credentials --profile {name} --format env)\"` sets variables that are)")
            });
            let message = format!(
                "the profile {name:?} in {} has no aws_access_key_id and aws_secret_access_key{why}",
                self.names()
            );
            return Err(Error::Credentials { message });
        };
        Ok(Some(Profile {
            keys: Keys {
                access_key: access_key.to_owned(),
                secret: Secret::new(secret),
                token: get("aws_session_token").map(Secret::new),
                from: format!("the profile {name:?} in {}", self.names()),
            },
            region: get("region").map(str::to_owned),
        }))
    }
}

/// What is in a file; nothing when it is not there.
fn read_file(path: PathBuf) -> Result<(PathBuf, Ini)> {
    let failed =
        |reason: String| Error::Credentials { message: format!("{} cannot be read: {reason}", path.display()) };
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| failed(error.to_string()))?,
    };
    let option = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    // Its errors tell the line, not what is in it.
    let parsed =
        Ini::load_from_str_opt(&text, option).map_err(|error| failed(format!("line {}: {}", error.line, error.msg)))?;
    Ok((path, parsed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderConfig;

    /// Access key, secret, token, region.
    type Found = (String, String, Option<String>, Option<String>);

    fn profile(credentials: &str, config: &str, name: &str) -> Result<Option<Found>> {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            read_file(path)
        };
        let files = Files { credentials: file("credentials", credentials)?, config: file("config", config)? };
        Ok(files.profile(name)?.map(|Profile { keys, region }| {
            let token = keys.token.as_ref().map(|token| token.expose().to_owned());
            (keys.access_key, keys.secret.expose().to_owned(), token, region)
        }))
    }

    #[test]
    fn profiles_are_read_as_amazons_tools_read_them() {
        let credentials = "[default]\naws_access_key_id = A\naws_secret_access_key = a/b+c\\d=\n\n# c\n[work]\naws_access_key_id=B\naws_secret_access_key=b\naws_session_token=t\n";
        let config = "[default]\nregion = eu-west-1\ns3 =\n    max_concurrent_requests = 20\n[profile work]\nregion=us-east-1\n[profile all]\naws_access_key_id=C\naws_secret_access_key=c\n[other]\naws_access_key_id=D\naws_secret_access_key=d\n";
        let of = |name| profile(credentials, config, name).unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of("default"), Some(("A".into(), "a/b+c\\d=".into(), None, text("eu-west-1"))));
        assert_eq!(of("work"), Some(("B".into(), "b".into(), text("t"), text("us-east-1"))));
        assert_eq!(of("all"), Some(("C".into(), "c".into(), None, None)));
        assert_eq!((of("other"), of("missing")), (None, None));
    }

    #[test]
    fn what_a_profile_lacks_is_said() {
        let error = profile("", "[profile x]\nsso_session = y\n", "x").unwrap_err().to_string();
        assert!(
            error.contains("sso_session is not followed") && error.contains("export-credentials --profile x"),
            "{error}"
        );
        let error = profile("[x]\naws_access_key_id = hunter2\nhunter2\n", "", "x").unwrap_err().to_string();
        assert!(error.contains("credentials cannot be read: line ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn half_of_the_credentials_are_none() {
        let of = |username: Option<&str>, secret: Option<&str>| {
            let section = ProviderConfig {
                name: "e".into(),
                provider: "ec2".into(),
                username: username.map(str::to_owned),
                secret: secret.map(Secret::new),
                ..ProviderConfig::default()
            };
            of_section(&Settings { section: &section, ask: &|_| None })
                .map(|keys| keys.map(|keys| format!("{} from {}", keys.access_key, keys.from)))
                .map_err(|error| error.to_string())
        };
        assert_eq!(of(Some("A"), Some("s")).unwrap().unwrap(), "A from `secret` in [provider:e]");
        assert_eq!(of(None, None).unwrap(), None);
        assert!(of(Some("A"), None).unwrap_err().starts_with("[provider:e] has no `secret`"));
        assert!(of(None, Some("s")).unwrap_err().starts_with("[provider:e] has no `username`"));
    }
}
