//! The Apache configuration of a slot, rendered from `server-files/apache/slot.conf.hbs`.
//!
//! Everything that comes from app.ini was checked when it was parsed (`config::paths`): no quote, dollar, percent or control character reaches the
//! template. What only the node knows stays in the text as `${CLOUDTOOL_...}`, which Apache takes from the environment.

use handlebars::Handlebars;
use serde_json::json;

use super::Error;
use crate::config::{AppConfig, Platform, Runner};
use crate::node::Program;

const TEMPLATE: &str = "apache/slot.conf.hbs";

/// The text of the configuration.
pub fn render(config: &AppConfig) -> Result<String, Error> {
    let text = Program::template(TEMPLATE).ok_or_else(|| Error::Template(format!("{TEMPLATE} is missing")))?;
    let mut handlebars = Handlebars::new();
    handlebars.set_strict_mode(false);
    handlebars.register_escape_fn(handlebars::no_escape);
    let settings = &config.settings;
    let command = matches!(settings.runner, Some(Runner::Command { .. }));
    let data = json!({
        "serves": {
            "python": !command && settings.platform == Platform::Python,
            "php": !command && settings.platform == Platform::Php,
            "static": settings.platform == Platform::Static,
            "command": command,
        },
        "php_root": settings.php_root,
        "runner": settings.runner.as_ref().and_then(Runner::file),
        "processes": settings.processes,
        "threads": settings.threads,
        "request_timeout": settings.request_timeout,
        "drain_timeout": settings.drain_timeout,
    });
    handlebars.render_template(text, &data).map_err(|error| Error::Template(error.to_string()))
}
