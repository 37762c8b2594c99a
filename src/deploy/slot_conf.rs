//! The Apache configuration of a slot, rendered from `server-files/apache/slot.conf.hbs`.
//!
//! Everything that comes from app.ini was checked when it was parsed (`config::paths`): no quote, dollar, percent or control character reaches the
//! template. What only the node knows stays in the text as `${CLOUDTOOL_...}`, which Apache takes from the environment.

use handlebars::Handlebars;
use serde_json::json;

use super::Error;
use crate::config::{AppConfig, Platform, Settings};
use crate::node::Program;

const TEMPLATE: &str = "apache/slot.conf.hbs";

/// Variables every app has, beside those of its services and its `[env]` (docs/architecture.md).
const ALWAYS: [&str; 16] = [
    "CLOUDTOOL_APP_NAME",
    "CLOUDTOOL_CANONICAL_HOSTNAME",
    "CLOUDTOOL_LOGS",
    "CLOUDTOOL_NODE",
    "CLOUDTOOL_RELEASE",
    "CLOUDTOOL_RELEASE_DIR",
    "CLOUDTOOL_RUNNER",
    "CLOUDTOOL_RUNNER_KIND",
    "CLOUDTOOL_RUNNER_OBJECT",
    "CLOUDTOOL_SECRET_FILE",
    "CLOUDTOOL_SLOT",
    "HOME",
    "LANG",
    "PATH",
    "PYTHONPATH",
    "TEMP",
];

/// The text of the configuration.
pub fn render(config: &AppConfig) -> Result<String, Error> {
    let text = Program::template(TEMPLATE).ok_or_else(|| Error::Template(format!("{TEMPLATE} is missing")))?;
    let mut handlebars = Handlebars::new();
    handlebars.set_strict_mode(false);
    handlebars.register_escape_fn(handlebars::no_escape);
    let settings = &config.settings;
    let data = json!({
        "app": config.name,
        "platform": {
            "python": settings.platform == Platform::Python,
            "php": settings.platform == Platform::Php,
            "static": settings.platform == Platform::Static,
        },
        "php_root": settings.php_root,
        "runner": settings.runner.as_ref().map(|runner| &runner.file),
        "processes": settings.processes,
        "threads": settings.threads,
        "request_timeout": settings.request_timeout,
        "drain_timeout": settings.drain_timeout,
        "env_names": variables(settings),
    });
    handlebars.render_template(text, &data).map_err(|error| Error::Template(error.to_string()))
}

/// The names of all variables an app with these settings sees, sorted.
pub fn variables(settings: &Settings) -> Vec<String> {
    let mut names: Vec<String> = ALWAYS.iter().map(|name| (*name).to_owned()).collect();
    names.extend(settings.env.keys().cloned());
    let mut services: Vec<String> = settings.services.iter().map(|service| service.name.clone()).collect();
    let mut seen = 0;
    while let Some(service) = services.get(seen).cloned() {
        seen += 1;
        let Some(description) =
            Program::service_description(&service).and_then(|text| ini::Ini::load_from_str(text).ok())
        else {
            continue;
        };
        if let Some(variables) = description.section(Some("variables")) {
            names.extend(variables.iter().map(|(name, _)| name.to_owned()));
        }
        let required = description.get_from(Some("service"), "requires").unwrap_or_default();
        for required in required.split([',', ' ']).map(|name| name.split(';').next().unwrap_or_default().trim()) {
            if !required.is_empty() && !services.iter().any(|known| known == required) {
                services.push(required.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    names
}
