//! What the processes of an app see on a developer's machine: the variables of a node (docs/architecture.md), but for `HOME`, which
//! stays the developer's.

use std::collections::BTreeMap;
use std::path::Path;

use super::place::Place;
use crate::config::AppConfig;
use crate::error::{Failure, Kind};

/// `CLOUDTOOL_RELEASE` here.
pub const RELEASE: &str = "devel";

/// All of them. `given` is what the user's configuration says, which goes over what the app's says.
pub fn variables(
    place: &Place,
    config: &AppConfig,
    services: &BTreeMap<String, String>,
    given: &BTreeMap<String, String>,
    venv: Option<&str>,
) -> Result<BTreeMap<String, String>, Failure> {
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Failure::new(Kind::Usage, format!("{} is not UTF-8, and variables are", path.display())))
    };
    let settings = &config.settings;
    let dir = text(&place.dir)?;
    let runner = settings.runner.as_ref().map(|runner| serde_json::to_value(runner).unwrap_or_default());
    let of_runner = |key: &str| runner.as_ref().and_then(|runner| runner[key].as_str()).unwrap_or_default().to_owned();
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let mut own = BTreeMap::from([
        ("CLOUDTOOL_APP_NAME", config.name.to_string()),
        ("CLOUDTOOL_RELEASE", RELEASE.to_owned()),
        ("CLOUDTOOL_NODE", host_name()),
        ("CLOUDTOOL_CANONICAL_HOSTNAME", "localhost".to_owned()),
        ("CLOUDTOOL_LOGS", text(&place.logs())?),
        ("CLOUDTOOL_SECRET_FILE", text(&place.secret())?),
        ("CLOUDTOOL_RUNNER", of_runner("file")),
        ("CLOUDTOOL_RUNNER_OBJECT", of_runner("object")),
        ("CLOUDTOOL_RUNNER_KIND", of_runner("kind")),
        ("CLOUDTOOL_RELEASE_DIR", dir.clone()),
        ("CLOUDTOOL_VENV", venv.unwrap_or_default().to_owned()),
        ("TEMP", std::env::temp_dir().to_string_lossy().into_owned()),
        ("PATH", venv.map_or_else(|| path.clone(), |venv| format!("{venv}/bin:{path}"))),
        ("PYTHONPATH", format!("{dir}/lib/python:{dir}")),
    ]);
    if let Some(venv) = venv {
        own.insert("VIRTUAL_ENV", venv.to_owned());
    }
    let mut all = BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]);
    let default = settings.config.iter().flat_map(|config| &config.default);
    for (name, value) in services.iter().chain(default).chain(&settings.env).chain(given) {
        all.insert(name.clone(), value.clone());
    }
    all.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Ok(all)
}

/// What `config.required` names and nobody has set.
pub fn missing(config: &AppConfig, variables: &BTreeMap<String, String>) -> Vec<String> {
    let required = config.settings.config.iter().flat_map(|config| &config.required);
    required.filter(|name| !variables.contains_key(*name) && std::env::var_os(name).is_none()).cloned().collect()
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
