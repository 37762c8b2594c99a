use std::path::Path;

use clap::Args;
use serde_json::json;

use super::context::Context;
use crate::config::user::{is_literal, is_secret};
use crate::config::{edit, ini_file, user};
use crate::error::{Failure, Kind};
use crate::providers;
use crate::ui::Ui;

/// Write a section [provider:NAME] of the configuration
///
/// Asks for what the cloud needs, tries it with one call, and writes it to the configuration file, which only you can read then. Everything
/// else in the file stays as it is. With KEY=VALUE nothing is asked.
#[derive(Debug, Args)]
pub(super) struct Configure {
    /// What the section is called
    name: Option<String>,
    /// A setting: provider=hetzner secret=env:HCLOUD_TOKEN region=fsn1
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Write it without trying it
    #[arg(long)]
    no_test: bool,
}

/// What is asked of a cloud: the key, and what it is.
type Questions = &'static [(&'static str, &'static str)];

const TOKEN: (&str, &str) =
    ("secret", "The API token (or env:VARIABLE, file:PATH, command:WORDS, or TBD to be asked each time)");
const REGION: (&str, &str) = ("region", "The region nodes are made in (may be empty)");
const USERNAME: (&str, &str) = ("username", "The user's name");
const PASSWORD: (&str, &str) =
    ("secret", "The password (or env:VARIABLE, file:PATH, command:WORDS, or TBD to be asked each time)");

/// What is asked for each driver; of others nothing but the common.
const QUESTIONS: &[(&str, Questions)] = &[
    ("digitalocean", &[TOKEN, REGION]),
    ("hetzner", &[TOKEN, REGION]),
    ("linode", &[TOKEN, REGION]),
    ("vultr", &[TOKEN, REGION]),
    ("ec2", &[("username", "The access key's id"), ("secret", "The secret access key"), REGION]),
    (
        "eucalyptus",
        &[
            ("username", "The access key's id"),
            ("secret", "The secret key"),
            ("host", "The cloud controller's address"),
        ],
    ),
    ("gce", &[("credentials_file", "The service account's JSON file"), ("zone", "The zone nodes are made in")]),
    (
        "openstack",
        &[
            ("endpoint", "Keystone's address (https://.../v3)"),
            USERNAME,
            PASSWORD,
            ("project", "The project"),
            ("domain", "The domain (may be empty: default)"),
            REGION,
        ],
    ),
    ("rackspace", &[USERNAME, ("secret", "The API key"), ("region", "The region: DFW, ORD, IAD, LON, SYD, HKG")]),
];

pub(super) fn run(context: &Context, args: Configure) -> Result<(), Failure> {
    let ui = &context.ui;
    let file = context.config_file()?;
    let text = if file.exists() { ini_file::read(&file)? } else { String::new() };
    let name = match args.name {
        Some(name) => name,
        None => ui.ask_text("What is the section called?", HOW)?.ok_or_else(|| missing("a name"))?,
    };
    let settings = if args.settings.is_empty() { ask(ui)? } else { parse(&args.settings)? };
    let section = format!("provider:{name}");
    let new = edit::set(&file, &text, &section, &settings)?;
    let config = user::parse(&file, &new)?;
    let provider = config.provider(Some(&name)).ok_or_else(|| missing("a provider"))?;
    if !providers::driver_names().contains(&provider.provider.as_str()) {
        return Err(providers::Error::NoSuchProvider { name: provider.provider.clone() }.into());
    }
    let nodes = if args.no_test { None } else { Some(test(context, provider)?) };
    edit::write(&file, &new)?;
    let answer =
        json!({"section": name, "file": file.display().to_string(), "tested": nodes.is_some(), "nodes": nodes});
    ui.answer(&answer, |ui| {
        show(ui, &section, &settings);
        if let Some(nodes) = nodes {
            ui.line(format!("{name} answers; it has {nodes} nodes"));
        }
        ui.line(format!("written to {}", file.display()));
        ui.say(format!("Next: cloudtool list-sizes --provider {name}"));
    });
    Ok(())
}

const HOW: &str = "say it on the command line: cloudtool configure NAME provider=CLOUD secret=env:VARIABLE ...";

fn missing(what: &str) -> Failure {
    Failure::new(Kind::Usage, format!("{what} is missing")).hint(HOW)
}

fn parse(words: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| {
            // It is not quoted: it may be a secret that lost its key.
            Failure::new(Kind::Usage, "a setting is KEY=VALUE").hint(HOW)
        })?;
        if settings.iter().any(|(known, _)| known == key) {
            return Err(Failure::new(Kind::Usage, format!("{key} is set twice")));
        }
        settings.push((key.to_owned(), value.to_owned()));
    }
    Ok(settings)
}

fn ask(ui: &Ui) -> Result<Vec<(String, String)>, Failure> {
    let question = format!("Which cloud? ({})", providers::driver_names().join(", "));
    let provider = ui.ask_text(&question, HOW)?.ok_or_else(|| missing("a provider"))?.to_lowercase();
    if !providers::driver_names().contains(&provider.as_str()) {
        return Err(providers::Error::NoSuchProvider { name: provider }.into());
    }
    let questions = QUESTIONS.iter().find(|(name, _)| *name == provider).map_or(&[][..], |(_, questions)| questions);
    let mut settings = vec![("provider".to_owned(), provider)];
    for (key, question) in questions {
        let answer = if is_secret(key) {
            Some(ui.ask_secret(question)?.expose().trim().to_owned()).filter(|answer| !answer.is_empty())
        } else {
            ui.ask_text(question, HOW)?
        };
        settings.extend(answer.map(|answer| ((*key).to_owned(), answer)));
    }
    Ok(settings)
}

/// Asks the cloud for its nodes: the lists of some are open to everybody, this one never is. How many there are.
fn test(context: &Context, section: &crate::config::ProviderConfig) -> Result<usize, Failure> {
    let tried = context.driver(section).and_then(|cloud| Ok(cloud.nodes()?.len()));
    tried.map_err(|failure| {
        let details = failure.details.into_iter().chain(failure.hint).collect();
        Failure { details, hint: Some("nothing was written; --no-test writes it without trying".into()), ..failure }
    })
}

/// What was set, without what nobody may see.
fn show(ui: &Ui, section: &str, settings: &[(String, String)]) {
    ui.line(format!("[{section}]"));
    for (key, value) in settings {
        ui.line(format!("{key} = {}", shown(key, value)));
    }
}

pub(super) fn shown<'v>(key: &str, value: &'v str) -> &'v str {
    let has_password = value.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    if (is_secret(key) && is_literal(value)) || has_password { "********" } else { value }
}

/// Whether there is a section of that name in a file.
pub(super) fn has_section(file: &Path, text: &str, section: &str) -> bool {
    ini_file::parse(file, text, &ini_file::Dialect { literal: |_| true, bare: |_| false }).0.section(section).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_is_asked_about() {
        for name in providers::driver_names().into_iter().filter(|name| !["local", "ssh"].contains(name)) {
            assert!(QUESTIONS.iter().any(|(known, _)| *known == name), "{name}");
        }
    }

    #[test]
    fn what_is_asked_can_be_set() {
        for (name, questions) in QUESTIONS {
            let settings: Vec<(String, String)> = std::iter::once(("provider".to_owned(), (*name).to_owned()))
                .chain(questions.iter().map(|(key, _)| ((*key).to_owned(), "x".to_owned())))
                .collect();
            let text = edit::set(Path::new("x"), "", "provider:a", &settings).unwrap();
            assert!(user::parse(Path::new("x"), &text).is_ok(), "{text}");
        }
    }

    #[test]
    fn secrets_are_masked() {
        assert_eq!(shown("secret", "hunter2"), "********");
        assert_eq!(shown("session_token", "hunter2"), "********");
        assert_eq!(shown("endpoint", "https://me:hunter2@x"), "********");
        assert_eq!(shown("secret", "env:TOKEN"), "env:TOKEN");
        assert_eq!(shown("region", "fsn1"), "fsn1");
    }
}
