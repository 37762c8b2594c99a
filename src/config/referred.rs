//! Values that are elsewhere: `env:NAME`, `file:PATH`, `command:WORDS`, and `TBD`, which is asked for.

use std::process::{Command, Stdio};

use super::paths::expand_home;
use crate::names::Secret;

/// Asks a person for a secret, by a question; `None` when there is nobody to ask.
pub type Ask<'a> = &'a dyn Fn(&str) -> Option<Secret>;

/// A setting, and where it is from.
#[derive(Debug, Clone)]
pub struct Found {
    pub value: Secret,
    /// `secret in [provider:x]`, `the variable HCLOUD_TOKEN`.
    pub from: String,
}

/// The value that `text` refers to, or `text` itself. `from` says where `text` is from, `what_for` whose it is.
///
/// # Errors
/// A sentence, without the value, when it cannot be had.
pub fn resolve(text: &str, from: String, what_for: &str, ask: Ask<'_>) -> Result<Found, String> {
    let failed = |reason: String| format!("{from}: {reason}");
    if text == "TBD" {
        let asked = ask(&format!("{from} for {what_for}"));
        let value = asked.ok_or_else(|| failed("it says TBD, and there is no terminal to ask on".into()))?;
        return Ok(Found { value, from: "what was typed".into() });
    }
    let (kind, rest) = text.split_once(':').unwrap_or_default();
    let value = match kind {
        "env" => std::env::var(rest).map_err(|_| failed(format!("the variable {rest} is not set")))?,
        "file" => std::fs::read_to_string(expand_home(rest))
            .map_err(|error| failed(format!("{rest} cannot be read: {error}")))?,
        "command" => output_of(rest).map_err(failed)?,
        _ => return Ok(Found { value: Secret::new(text), from }),
    };
    if value.trim().is_empty() {
        return Err(failed(format!("{kind} gives nothing")));
    }
    Ok(Found { value: Secret::new(value.trim()), from: format!("{from}, which is {kind}:{rest}") })
}

/// What a command (words, no shell) prints.
pub(super) fn output_of(line: &str) -> std::result::Result<String, String> {
    let words = shlex::split(line).filter(|words| !words.is_empty()).ok_or("the command is not understood")?;
    let output = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{} cannot be run: {error}", words[0]))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let last = told.lines().last().unwrap_or("it said nothing");
        return Err(format!("{} failed: {last}", words[0]));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{} printed something that is no text", words[0]))
}
