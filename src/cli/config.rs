use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::{self, Found, Patience, Target};
use super::query::words;
use crate::config::source::Source;
use crate::config::{pairs, values};
use crate::error::{Failure, Kind};
use crate::names::ReleaseId;
use crate::ui::Table;

/// Settings and secrets of an app, kept on its node
///
/// Each is an environment variable of the app. A change is a release of its own: started, checked and switched to without a failed request, listed by
/// `releases`, and undone by `rollback`. An app can have settings before its first update.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = false)]
pub(super) struct Config {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set variables; several at once are one release
    ///
    /// The value comes from env:VARIABLE, file:PATH, command:WORDS or - (standard input), never from the command line, where others can read it.
    /// One newline at the end is not a part of it.
    Set {
        #[arg(required = true, num_args = 2.., value_names = ["NAME", "SOURCE"])]
        pairs: Vec<String>,
        #[command(flatten)]
        at: At,
    },
    /// Take variables away
    Unset {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        at: At,
    },
    /// Change all in your editor ($VISUAL or $EDITOR)
    Edit {
        #[command(flatten)]
        at: At,
    },
    /// Show the names, each with a digest that is the same for the same value
    List {
        /// Show the values too
        #[arg(long)]
        reveal: bool,
        #[command(flatten)]
        node: NodeChoice,
    },
    /// Show who changed what, and when
    History {
        #[command(flatten)]
        node: NodeChoice,
    },
    /// Set everything as it was before the last change
    Rollback {
        /// As it was with this release
        #[arg(long, value_name = "RELEASE")]
        to: Option<ReleaseId>,
        #[command(flatten)]
        at: At,
    },
}

/// Where, and how long to wait for others.
#[derive(Debug, Args)]
struct At {
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: Config) -> Result<(), Failure> {
    let target = &args.target;
    match args.action {
        None => list(context, target, &NodeChoice { node: None }, false),
        Some(Action::List { reveal, node }) => list(context, target, &node, reveal),
        Some(Action::History { node }) => history(context, target, &node),
        Some(Action::Set { pairs, at }) => {
            let set = read(&pairs)?;
            change(context, target, &at, json!({"set": set}))
        }
        Some(Action::Unset { names, at }) => change(context, target, &at, json!({"unset": names})),
        Some(Action::Rollback { to, at }) => change(context, target, &at, json!({"back": true, "to": to})),
        Some(Action::Edit { at }) => edit(context, target, &at),
    }
}

/// What is to be set, read before anything is done.
fn read(words: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let usage = |message: String| Failure::new(Kind::Usage, message);
    let (pairs, rest) = words.as_chunks::<2>();
    if let [name] = rest {
        return Err(usage(format!(
            "{name} has no source: env:VARIABLE, file:PATH, command:WORDS or - (standard input)"
        )));
    }
    let mut set = BTreeMap::new();
    let mut from_stdin = 0;
    for [name, source] in pairs {
        values::variable(name).map_err(|message| usage(format!("{name}: {message}")))?;
        let source: Source = source.parse().map_err(|message| usage(format!("{name}: {message}")))?;
        from_stdin += usize::from(source == Source::Stdin);
        if from_stdin > 1 {
            return Err(usage("there is one standard input: only one value can come from it".to_owned()));
        }
        let value = source.read().map_err(|message| usage(format!("{name}: {message}")))?;
        if set.insert(name.clone(), value.expose().to_owned()).is_some() {
            return Err(usage(format!("{name} is there twice")));
        }
    }
    Ok(set)
}

fn change(context: &Context, target: &Target, at: &At, request: Value) -> Result<(), Failure> {
    let start = Instant::now();
    let mut found = data::find(context, target, &at.node)?;
    send(context, &mut found, at, request, start)
}

fn send(context: &Context, found: &mut Found, at: &At, mut request: Value, start: Instant) -> Result<(), Failure> {
    request["verb"] = json!("config");
    request["app"] = json!(found.app);
    request["keep"] = json!(context.keep()?);
    request["lock_timeout"] = json!(at.patience.lock_timeout);
    let answer = context.call_recorded(&mut found.remote, "config", Some(&found.app), request)?;
    context.ui.event(&answer);
    let (app, seconds) = (&found.app, start.elapsed().as_secs_f64());
    let release = answer["release"].as_str();
    context.ui.line(match release {
        _ if answer["unchanged"] == true => format!("{app}: nothing changed ({seconds:.2} s)"),
        Some(release) => format!("{app} {release} serves: {} ({seconds:.2} s)", changes(&answer)),
        None => format!("{app}: {}; its first update will find it ({seconds:.2} s)", changes(&answer)),
    });
    Ok(())
}

/// `set A, B; unset C`.
fn changes(told: &Value) -> String {
    let parts = ["set", "unset"].map(|key| (key, words(&told[key])));
    let parts = parts.iter().filter(|(_, names)| !names.is_empty()).map(|(key, names)| format!("{key} {names}"));
    parts.collect::<Vec<_>>().join("; ")
}

fn list(context: &Context, target: &Target, node: &NodeChoice, reveal: bool) -> Result<(), Failure> {
    let mut found = data::find(context, target, node)?;
    let answer = look(context, &mut found, reveal)?;
    context.ui.answer(&answer, |ui| {
        let mut table = Table::new(&["NAME", "DIGEST"]);
        for setting in answer["values"].as_array().into_iter().flatten() {
            let name = words(&setting["name"]);
            match setting["value"].as_str() {
                Some(value) => ui.line(pairs::line(&name, value)),
                None => table.row([name, words(&setting["digest"])]),
            }
        }
        if answer["values"].as_array().is_none_or(Vec::is_empty) {
            ui.say(format!("nothing is set for {}", found.app));
        } else if !reveal {
            table.print(ui);
        }
    });
    Ok(())
}

fn history(context: &Context, target: &Target, node: &NodeChoice) -> Result<(), Failure> {
    let mut found = data::find(context, target, node)?;
    let answer = look(context, &mut found, false)?;
    context.ui.answer(&answer["history"], |ui| {
        let mut table = Table::new(&["RELEASE", "AT", "BY", "CHANGE"]);
        for entry in answer["history"].as_array().into_iter().flatten() {
            let cell = |key: &str| words(&entry[key]);
            table.row([cell("release"), cell("at"), cell("by"), changes(entry)]);
        }
        table.print(ui);
    });
    Ok(())
}

fn look(context: &Context, found: &mut Found, reveal: bool) -> Result<Value, Failure> {
    context.call(&mut found.remote, json!({"verb": "configured", "app": found.app, "reveal": reveal}))
}

/// All values in a file that only its owner can read, while the editor has it.
fn edit(context: &Context, target: &Target, at: &At) -> Result<(), Failure> {
    let mut found = data::find(context, target, &at.node)?;
    let answer = look(context, &mut found, true)?;
    let text = to_edit(found.app.as_str(), &answer);
    let edited = pairs::parse(&in_editor(&text)?).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(|(line, message)| format!("line {line}: {message}")).collect();
        Failure::new(Kind::Usage, told.join("\n")).hint("nothing was changed: edit again")
    })?;
    let settings = answer["values"].as_array().into_iter().flatten();
    let before: BTreeMap<&str, &str> =
        settings.filter_map(|setting| Some((setting["name"].as_str()?, setting["value"].as_str()?))).collect();
    let unset: Vec<&&str> = before.keys().filter(|name| !edited.contains_key(**name)).collect();
    let set: BTreeMap<_, _> =
        edited.iter().filter(|(name, value)| before.get(name.as_str()) != Some(&value.as_str())).collect();
    let request = json!({"set": set, "unset": unset, "expect": {"live": answer["release"]}});
    send(context, &mut found, at, request, Instant::now())
}

fn to_edit(app: &str, answer: &Value) -> String {
    let mut text =
        format!("# Settings of {app}, a line NAME=value each. A value with line ends stands in quotes, as in JSON.\n");
    for setting in answer["values"].as_array().into_iter().flatten() {
        let (name, value) = (words(&setting["name"]), setting["value"].as_str().unwrap_or_default());
        let _ = writeln!(text, "{}", pairs::line(&name, value));
    }
    for name in answer["missing"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "# {}=", words(name));
    }
    text
}

fn in_editor(text: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::new(Kind::Failed, format!("there is no file to edit: {error}"));
    let mut file = tempfile::Builder::new().prefix("cloudtool-").suffix(".env").tempfile().map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok()).filter(|line| !line.is_empty());
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let words = shlex::split(&editor).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| Failure::new(Kind::Usage, format!("{editor:?} is no editor: set EDITOR")))?;
    let status = Command::new(&words[0]).args(&words[1..]).arg(file.path()).status();
    let status = status.map_err(|error| {
        Failure::new(Kind::Usage, format!("{} cannot be run: {error}", words[0])).hint("set EDITOR")
    })?;
    if !status.success() {
        return Err(Failure::new(Kind::Cancelled, "the editor failed: nothing was changed"));
    }
    std::fs::read_to_string(file.path()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_set_comes_in_pairs_from_elsewhere() {
        let read = |words: &[&str]| read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let set = read(&["A", "command:printf one", "B", "command:printf 'two\\n'"]).unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"{"A":"one","B":"two"}"#);
        for (words, refused) in [
            (&["A", "command:true", "B"][..], "B has no source"),
            (&["A", "hunter2"], "A: a value is not said on the command line"),
            (&["A-B", "env:HOME"], "A-B: a variable's name has"),
            (&["PATH", "env:HOME"], "PATH: this variable is set by the node"),
            (&["A", "env:HOME", "A", "env:HOME"], "A is there twice"),
        ] {
            let said = read(words).unwrap_err().message;
            assert!(said.starts_with(refused), "{said}");
        }
    }

    #[test]
    fn what_is_edited_says_what_is_missing() {
        let answer =
            json!({"values": [{"name": "A", "value": "two\nlines"}, {"name": "B", "value": "b"}], "missing": ["C"]});
        insta::assert_snapshot!(to_edit("shop", &answer), @r#"
        # Settings of shop, a line NAME=value each. A value with line ends stands in quotes, as in JSON.
        A="two\nlines"
        B=b
        # C=
        "#);
    }
}
