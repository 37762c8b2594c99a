//! `clouds.yaml`, where OpenStack's own tools have their clouds, and `secure.yaml` beside it, where they may have the passwords.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::error::{Error, Result};

/// One cloud of the file.
#[derive(Debug)]
pub struct Cloud {
    pub file: PathBuf,
    pub name: String,
    fields: Value,
}

impl Cloud {
    /// The cloud called `name`, of `file` or else of the first `clouds.yaml` in the places OpenStack's tools look in. `variable` reads
    /// the environment.
    ///
    /// Errors: [`Error::Credentials`] when there is no such file or cloud, or the file cannot be understood.
    pub fn find(name: &str, file: Option<PathBuf>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let named = file.or_else(|| variable("OS_CLIENT_CONFIG_FILE").map(PathBuf::from));
        let places = match named {
            Some(file) => vec![file],
            None => places(),
        };
        let Some(file) = places.iter().find(|file| file.exists()) else {
            let places = places.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
            return Err(refuse(format!("the cloud {name} is not found: there is no {places}")));
        };
        let secure =
            variable("OS_CLIENT_SECURE_FILE").map_or_else(|| file.with_file_name("secure.yaml"), PathBuf::from);
        let mut all = read(file)?;
        if secure.exists() {
            merge(&mut all, read(&secure)?);
        }
        let clouds = all.get_mut("clouds").and_then(Value::as_object_mut);
        let clouds = clouds.ok_or_else(|| refuse(format!("{} has no `clouds`", file.display())))?;
        match clouds.get_mut(name).map(Value::take) {
            Some(fields) => Ok(Cloud { file: file.clone(), name: name.to_owned(), fields }),
            None => {
                let names = clouds.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                Err(refuse(format!("{} has no cloud {name:?}; it has {names}", file.display())))
            }
        }
    }

    /// A field of the cloud, or of its `auth`: text, or a number that somebody did not quote.
    pub fn field(&self, name: &str) -> Option<String> {
        match self.fields["auth"].get(name).or_else(|| self.fields.get(name))? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

fn places() -> Vec<PathBuf> {
    let dirs =
        [Some(PathBuf::from(".")), dirs::config_dir().map(|dir| dir.join("openstack")), Some("/etc/openstack".into())];
    dirs.into_iter().flatten().flat_map(|dir| [dir.join("clouds.yaml"), dir.join("clouds.yml")]).collect()
}

fn read(file: &Path) -> Result<Value> {
    let text =
        std::fs::read_to_string(file).map_err(|error| refuse(format!("{} cannot be read: {error}", file.display())))?;
    serde_yaml_ng::from_str(&text).map_err(|error| {
        // The parser's own words may quote a password.
        let line = error.location().map(|place| format!(" in line {}", place.line())).unwrap_or_default();
        refuse(format!("{} is no valid YAML{line}", file.display()))
    })
}

/// Lays `over` over `base`, field by field.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

fn refuse(message: String) -> Error {
    Error::Credentials { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOUDS: &str = "
clouds:
  lab:
    auth: {auth_url: 'http://a/v3', username: me, project_id: 4711}
    region_name: A
  bare: {}
";
    const SECURE: &str = "clouds: {lab: {auth: {password: hunter2}}}";

    fn find(name: &str, clouds: &str, secure: Option<&str>) -> std::result::Result<Cloud, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clouds.yaml");
        std::fs::write(&file, clouds).unwrap();
        if let Some(secure) = secure {
            std::fs::write(dir.path().join("secure.yaml"), secure).unwrap();
        }
        Cloud::find(name, Some(file), &|_| None)
            .map_err(|error| error.to_string().replace(&dir.path().display().to_string(), ""))
    }

    #[test]
    fn the_secret_file_is_laid_over_the_other() {
        let cloud = find("lab", CLOUDS, Some(SECURE)).unwrap();
        for (field, value) in
            [("auth_url", "http://a/v3"), ("project_id", "4711"), ("region_name", "A"), ("password", "hunter2")]
        {
            assert_eq!(cloud.field(field).as_deref(), Some(value), "{field}");
        }
        assert_eq!(cloud.field("verify"), None);
        assert_eq!(find("bare", CLOUDS, None).unwrap().field("username"), None);
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said() {
        assert_eq!(find("x", CLOUDS, None).unwrap_err(), r#"/clouds.yaml has no cloud "x"; it has lab, bare"#);
        assert_eq!(find("x", "{}", None).unwrap_err(), "/clouds.yaml has no `clouds`");
        let broken = find("x", "clouds:\n  lab: {password: hunter2\n", None).unwrap_err();
        assert!(broken.starts_with("/clouds.yaml is no valid YAML") && !broken.contains("hunter2"), "{broken}");
        let missing =
            Cloud::find("x", None, &|name| (name == "OS_CLIENT_CONFIG_FILE").then(|| "/no/clouds.yaml".into()));
        assert_eq!(missing.unwrap_err().to_string(), "the cloud x is not found: there is no /no/clouds.yaml");
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_read_or_refused(text in "(?s)(clouds:\n  )?.{0,60}") {
            let _ = find("lab", &text, Some(&text));
        }
    }
}
