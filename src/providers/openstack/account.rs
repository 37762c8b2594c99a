//! Who asks for what: from the section of the configuration, a cloud of `clouds.yaml`, or the variables `OS_*`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::credentials::{Found, Settings};
use super::super::error::{Error, Result};
use super::clouds_yaml::Cloud;
use crate::names::Secret;

/// Everything a login needs.
#[derive(Debug)]
pub struct Account {
    /// The address of Keystone, with its `/v3`.
    pub auth_url: String,
    /// Where that is from.
    pub auth_url_from: String,
    login: Login,
    pub secret: Secret,
    /// Where the secret is from.
    pub from: String,
    pub region: Option<Found>,
    /// `public`, `internal` or `admin`.
    pub interface: String,
}

#[derive(Debug)]
enum Login {
    Password { user: Value, project: Value },
    Application { credential: Value },
}

/// Where settings are looked for. The section goes before everything; beside it there is the chosen cloud of `clouds.yaml`, or the
/// environment, or (when the section has an address of its own) nothing: settings of two clouds are never mixed.
struct Sources<'a> {
    settings: &'a Settings<'a>,
    beside: Beside<'a>,
}

enum Beside<'a> {
    Cloud(Cloud),
    Environment(&'a dyn Fn(&str) -> Option<String>),
    Nothing,
}

impl Account {
    /// `variable` reads the environment.
    ///
    /// Errors: [`Error::Credentials`] with the setting that is missing or cannot be right.
    pub fn read(settings: &Settings<'_>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let sources = Sources { settings, beside: beside(settings, variable)? };
        let auth_url = sources.require(&["endpoint"], "auth_url")?;
        let application = sources.get(&["application_credential"], "application_credential_id")?;
        let application_name = sources.get(&[], "application_credential_name")?;
        let (login, secret) = if application.is_some() || application_name.is_some() {
            let credential = match (application, application_name) {
                (None, Some(name)) => json!({"name": name.value.expose(), "user": sources.user()?}),
                (id, _) => json!({"id": id.map(|id| id.value.expose().to_owned())}),
            };
            (Login::Application { credential }, sources.require(&["secret"], "application_credential_secret")?)
        } else {
            let secret = sources.require(&["secret", "password"], "password")?;
            (Login::Password { user: sources.user()?, project: sources.project()? }, secret)
        };
        let interface = sources.get(&["interface"], "interface")?;
        let interface = interface.map_or_else(|| "public".to_owned(), |found| found.value.expose().to_lowercase());
        Ok(Account {
            auth_url: v3(auth_url.value.expose()),
            auth_url_from: auth_url.from,
            login,
            secret: secret.value,
            from: secret.from,
            region: sources.get(&["region"], "region_name")?,
            interface: interface.trim_end_matches("url").to_owned(),
        })
    }

    /// The body of the request for a token.
    pub fn body(&self) -> Value {
        let mut identity = match &self.login {
            Login::Password { user, .. } => json!({"methods": ["password"], "password": {"user": user}}),
            Login::Application { credential } => {
                json!({"methods": ["application_credential"], "application_credential": credential})
            }
        };
        match &self.login {
            Login::Password { project, .. } => {
                identity["password"]["user"]["password"] = self.secret.expose().into();
                json!({"auth": {"identity": identity, "scope": {"project": project}}})
            }
            // It belongs to one project, and no other may be named.
            Login::Application { .. } => {
                identity["application_credential"]["secret"] = self.secret.expose().into();
                json!({"auth": {"identity": identity}})
            }
        }
    }
}

impl Sources<'_> {
    /// The setting in the first of these keys of the section, or else beside it. `field` is its name in `clouds.yaml`, which is that of
    /// its variable too.
    fn get(&self, keys: &[&str], field: &str) -> Result<Option<Found>> {
        if let Some(found) = self.settings.find(keys, &[])? {
            return Ok(Some(found));
        }
        Ok(match &self.beside {
            Beside::Cloud(cloud) => cloud.field(field).map(|value| Found {
                value: Secret::new(value),
                from: format!("`{field}` of the cloud {} in {}", cloud.name, cloud.file.display()),
            }),
            Beside::Environment(variable) => variables(field).iter().find_map(|name| {
                let value = variable(name).filter(|value| !value.is_empty())?;
                Some(Found { value: Secret::new(value), from: format!("the variable {name}") })
            }),
            Beside::Nothing => None,
        })
    }

    fn require(&self, keys: &[&str], field: &str) -> Result<Found> {
        self.get(keys, field)?.ok_or_else(|| self.missing(keys, field))
    }

    fn missing(&self, keys: &[&str], field: &str) -> Error {
        let section = self.settings.name();
        let keys = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" or ");
        let beside = match &self.beside {
            Beside::Cloud(cloud) => format!(", and the cloud {} in {} no `{field}`", cloud.name, cloud.file.display()),
            Beside::Environment(_) => {
                format!(" and no `profile`, and neither OS_CLOUD nor {} is set", variables(field)[0])
            }
            Beside::Nothing => String::new(),
        };
        Error::Credentials { message: format!("{section} cannot log in: [provider:{section}] has no {keys}{beside}") }
    }

    fn user(&self) -> Result<Value> {
        if let Some(id) = self.get(&[], "user_id")? {
            return Ok(json!({"id": id.value.expose()}));
        }
        let name = self.require(&["username"], "username")?;
        Ok(json!({"name": name.value.expose(), "domain": self.domain("user")?}))
    }

    fn project(&self) -> Result<Value> {
        let named = self.settings.text(&["project", "tenant"], &[])?;
        if named.is_none()
            && let Some(id) = self.get(&["project_id"], "project_id")?
        {
            return Ok(json!({"id": id.value.expose()}));
        }
        let name = self.require(&["project", "tenant"], "project_name")?;
        Ok(json!({"name": name.value.expose(), "domain": self.domain("project")?}))
    }

    /// The domain of a `user` or a `project`.
    fn domain(&self, of: &str) -> Result<Value> {
        if let Some(id) = self.get(&[], &format!("{of}_domain_id"))? {
            return Ok(json!({"id": id.value.expose()}));
        }
        let name = self.get(&["domain"], &format!("{of}_domain_name"))?;
        Ok(match name.as_ref().map(|name| name.value.expose()) {
            // The one every Keystone begins with; its name is `Default`, and its id is what people write.
            None | Some("default") => json!({"id": "default"}),
            Some(name) => json!({"name": name}),
        })
    }
}

fn beside<'a>(settings: &Settings<'_>, variable: &'a dyn Fn(&str) -> Option<String>) -> Result<Beside<'a>> {
    let own_address = settings.text(&["endpoint"], &[])?.is_some();
    let profile = match settings.text(&["profile"], &[])? {
        None if !own_address => variable("OS_CLOUD").filter(|name| !name.is_empty()),
        profile => profile,
    };
    if let Some(profile) = profile {
        let file = settings.text(&["credentials_file"], &[])?.map(PathBuf::from);
        return Cloud::find(&profile, file, variable).map(Beside::Cloud);
    }
    Ok(if own_address { Beside::Nothing } else { Beside::Environment(variable) })
}

/// The variables of a field, today's first.
fn variables(field: &str) -> Vec<String> {
    let today = format!("OS_{}", field.to_uppercase());
    let older = match field {
        "project_name" => Some("OS_TENANT_NAME"),
        "project_id" => Some("OS_TENANT_ID"),
        "interface" => Some("OS_ENDPOINT_TYPE"),
        _ => None,
    };
    std::iter::once(today).chain(older.map(str::to_owned)).collect()
}

/// The address of Identity v3: people write it with and without the version, or with the one before.
fn v3(address: &str) -> String {
    let address = address.trim_end_matches('/');
    let bare = ["/v3", "/v2.0"].iter().find_map(|version| address.strip_suffix(version)).unwrap_or(address);
    format!("{bare}/v3")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderConfig;

    fn read(section: ProviderConfig, environment: &[(&str, &str)]) -> std::result::Result<Account, String> {
        let section = ProviderConfig { name: "os".into(), provider: "openstack".into(), ..section };
        let settings = Settings { section: &section, ask: &|_| None };
        let variable =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        Account::read(&settings, &variable).map_err(|error| error.to_string())
    }

    fn with_rest(rest: &[(&str, &str)]) -> ProviderConfig {
        let rest = rest.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        ProviderConfig {
            username: Some("me".into()),
            secret: Some(Secret::new("hunter2")),
            endpoint: Some("http://a:5000/v3/".into()),
            rest,
            ..ProviderConfig::default()
        }
    }

    const ENVIRONMENT: [(&str, &str); 6] = [
        ("OS_AUTH_URL", "http://a:5000"),
        ("OS_USERNAME", "me"),
        ("OS_PASSWORD", "hunter2"),
        ("OS_TENANT_NAME", "p"),
        ("OS_USER_DOMAIN_NAME", "Users"),
        ("OS_REGION_NAME", "A"),
    ];

    #[test]
    fn a_password_is_scoped_to_a_project() {
        let account = read(with_rest(&[("project", "p"), ("domain", "Mine")]), &[]).unwrap();
        assert_eq!(account.auth_url, "http://a:5000/v3");
        assert_eq!(account.from, "`secret` in [provider:os]");
        let expected = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": "me", "domain": {"name": "Mine"}, "password": "hunter2",
            }}},
            "scope": {"project": {"name": "p", "domain": {"name": "Mine"}}},
        }});
        assert_eq!(account.body(), expected);
    }

    #[test]
    fn a_project_may_be_named_by_its_id() {
        let scope = |rest: &[(&str, &str)]| read(with_rest(rest), &[]).unwrap().body()["auth"]["scope"].clone();
        assert_eq!(scope(&[("project_id", "a1")]), json!({"project": {"id": "a1"}}));
        assert_eq!(scope(&[("project_id", "a1"), ("project", "p")])["project"]["name"], "p");
    }

    #[test]
    fn an_application_credential_has_no_scope() {
        let account = read(with_rest(&[("application_credential", "c1")]), &[]).unwrap();
        let expected = json!({"auth": {"identity": {
            "methods": ["application_credential"], "application_credential": {"id": "c1", "secret": "hunter2"},
        }}});
        assert_eq!(account.body(), expected);
    }

    #[test]
    fn the_environment_is_read_when_the_section_has_no_address() {
        let account = read(ProviderConfig::default(), &ENVIRONMENT).unwrap();
        assert_eq!(account.from, "the variable OS_PASSWORD");
        assert_eq!(account.region.as_ref().map(|found| found.value.expose()), Some("A"));
        let body = account.body();
        assert_eq!(body["auth"]["identity"]["password"]["user"]["domain"], json!({"name": "Users"}));
        assert_eq!(body["auth"]["scope"]["project"], json!({"name": "p", "domain": {"id": "default"}}));
        // Another cloud's project is no project of this one.
        let error = read(with_rest(&[]), &ENVIRONMENT).unwrap_err();
        assert_eq!(error, "os cannot log in: [provider:os] has no `project` or `tenant`");
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(
            read(ProviderConfig::default(), &[]).unwrap_err(),
            "os cannot log in: [provider:os] has no `endpoint` and no `profile`, and neither OS_CLOUD nor OS_AUTH_URL is set"
        );
        assert_eq!(
            read(ProviderConfig::default(), &ENVIRONMENT[..1]).unwrap_err(),
            "os cannot log in: [provider:os] has no `secret` or `password` and no `profile`, and neither OS_CLOUD nor OS_PASSWORD is set"
        );
    }

    #[test]
    fn a_profile_is_a_cloud_of_clouds_yaml() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clouds.yaml").display().to_string();
        let text = "clouds: {lab: {interface: internalURL, auth: {auth_url: http://a/identity, application_credential_id: c, application_credential_secret: hunter2}}}";
        std::fs::write(&file, text).unwrap();
        let rest = [("profile".to_owned(), "lab".to_owned()), ("credentials_file".to_owned(), file.clone())];
        let account = read(ProviderConfig { rest: rest.into(), ..ProviderConfig::default() }, &ENVIRONMENT).unwrap();
        assert_eq!((account.auth_url.as_str(), account.interface.as_str()), ("http://a/identity/v3", "internal"));
        assert_eq!(account.from, format!("`application_credential_secret` of the cloud lab in {file}"));
        let chosen = [("OS_CLOUD", "lab"), ("OS_CLIENT_CONFIG_FILE", file.as_str())];
        assert_eq!(read(ProviderConfig::default(), &chosen).unwrap().auth_url, "http://a/identity/v3");
    }

    #[test]
    fn the_version_of_the_address_is_put_right() {
        for address in ["http://a", "http://a/", "http://a/v3", "http://a/v3/", "http://a/v2.0"] {
            assert_eq!(v3(address), "http://a/v3", "{address}");
        }
    }
}
