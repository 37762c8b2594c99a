//! Where a cloud's settings come from: the section of the configuration, what it refers to, or the cloud's own variables.

use super::error::{Error, Result};
use crate::config::ProviderConfig;
use crate::config::referred;
pub use crate::config::referred::{Ask, Found};
use crate::names::Secret;

/// The settings of one section.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    pub section: &'a ProviderConfig,
    pub ask: Ask<'a>,
}

impl<'a> Settings<'a> {
    /// The name of the section, which is what its provider is called.
    pub fn name(&self) -> &'a str {
        &self.section.name
    }

    /// The first of these keys that is set, else the first of these environment variables.
    ///
    /// Errors: [`Error::Credentials`] when what a key refers to (`env:`, `file:`, `command:`, `TBD`) cannot be had.
    pub fn find(&self, keys: &[&str], variables: &[&str]) -> Result<Option<Found>> {
        for key in keys {
            if let Some(text) = self.raw(key) {
                let from = format!("`{key}` in [provider:{}]", self.section.name);
                return self.resolve(text.expose(), from).map(Some);
            }
        }
        let set = |name: &&&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        Ok(variables.iter().find(set).map(|name| Found {
            value: Secret::new(std::env::var(name).unwrap_or_default()),
            from: format!("the variable {name}"),
        }))
    }

    /// The same, where there must be one.
    pub fn require(&self, keys: &[&str], variables: &[&str]) -> Result<Found> {
        self.find(keys, variables)?.ok_or_else(|| {
            let section = &self.section.name;
            let keys = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" or ");
            let variables = match variables {
                [] => String::new(),
                names => format!(", and {} is not set", names.join(" or ")),
            };
            Error::Credentials {
                message: format!("{section} has no credentials: [provider:{section}] has no {keys}{variables}"),
            }
        })
    }

    /// The same for what is no secret.
    pub fn text(&self, keys: &[&str], variables: &[&str]) -> Result<Option<String>> {
        Ok(self.find(keys, variables)?.map(|found| found.value.expose().to_owned()))
    }

    fn raw(&self, key: &str) -> Option<Secret> {
        let section = self.section;
        let open = |text: &Option<String>| text.clone().map(Secret::new);
        match key {
            "username" => open(&section.username),
            "secret" => section.secret.clone(),
            "region" => open(&section.region),
            "endpoint" => open(&section.endpoint),
            _ => section.secrets.get(key).cloned().or_else(|| section.rest.get(key).cloned().map(Secret::new)),
        }
    }

    fn resolve(&self, text: &str, from: String) -> Result<Found> {
        referred::resolve(text, from, &self.section.provider, self.ask)
            .map_err(|message| Error::Credentials { message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(secret: &str) -> std::result::Result<(String, String), String> {
        let section = ProviderConfig {
            name: "h".into(),
            provider: "hetzner".into(),
            secret: Some(Secret::new(secret)),
            ..ProviderConfig::default()
        };
        let settings =
            Settings { section: &section, ask: &|question| question.contains("hetzner").then(|| Secret::new("typed")) };
        let found = settings.require(&["secret"], &[]).map_err(|error| error.to_string())?;
        Ok((found.value.expose().to_owned(), found.from))
    }

    #[test]
    fn a_secret_is_found_where_it_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, " from-file\n").unwrap();
        assert_eq!(find("plain:text").unwrap().0, "plain:text");
        assert_eq!(find("TBD").unwrap(), ("typed".into(), "what was typed".into()));
        assert_eq!(find(&format!("file:{}", file.display())).unwrap().0, "from-file");
        assert_eq!(find("command:printf '%s' 'a b'").unwrap().0, "a b");
        assert_eq!(find("command:echo $HOME;id").unwrap().0, "$HOME;id");
        assert!(find("env:PATH").unwrap().1.ends_with("which is env:PATH"));
    }

    #[test]
    fn what_cannot_be_had_is_said() {
        insta::assert_snapshot!(find("env:NOT_SET_ANYWHERE").unwrap_err(), @"`secret` in [provider:h]: the variable NOT_SET_ANYWHERE is not set");
        insta::assert_snapshot!(find("file:/nonexistent").unwrap_err(), @"`secret` in [provider:h]: /nonexistent cannot be read: No such file or directory (os error 2)");
        insta::assert_snapshot!(find("command:sh -c 'echo no luck >&2; exit 3'").unwrap_err(), @"`secret` in [provider:h]: sh failed: no luck");
        let empty = ProviderConfig { name: "h".into(), ..ProviderConfig::default() };
        let settings = Settings { section: &empty, ask: &|_| None };
        let missing = settings.require(&["secret", "token"], &["NOT_SET_ANYWHERE"]).unwrap_err().to_string();
        insta::assert_snapshot!(missing, @"h has no credentials: [provider:h] has no `secret` or `token`, and NOT_SET_ANYWHERE is not set");
    }
}
