use std::path::Path;
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::context::{Context, show};
use super::data::Patience;
use super::query::words;
use super::update::{service_settings, url};
use super::{NodeChoice, lent};
use crate::backup::Directory;
use crate::config::ServiceUse;
use crate::deploy::{Probe, Remote};
use crate::error::{Failure, Kind};
use crate::inventory::{Inventory, NodeRecord};
use crate::names::{AppName, Location};
use crate::node::Program;

/// Copy an app with its data, under another name
///
/// The copy is of the release that serves now, with a user, a secret, databases, files and locations of its own. Its data can be
/// scrubbed before anybody can reach them, and it can have an end.
#[derive(Debug, Args)]
pub(super) struct CloneApp {
    /// The app to copy
    from: AppName,
    /// What the copy is called
    to: AppName,
    /// The node the copy is made on; without it that of the app
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// The node the app is on, when that is not known
    #[arg(long, value_name = "NODE")]
    from_node: Option<String>,
    /// Where the copy is reached: HOST, HOST/PATH or *.DOMAIN; may be given several times
    #[arg(short = 'H', long = "host", value_name = "LOCATION")]
    hosts: Vec<Location>,
    /// What makes its data harmless: a file of SQL (FILE.sql, of this machine), or a script of the release with its arguments
    #[arg(long, value_name = "FILE.sql|SCRIPT")]
    scrub: Option<String>,
    /// Remove the copy with all its data after this time: 90m, 8h, 3d
    #[arg(long, value_name = "TIME", value_parser = time_to_live)]
    ttl: Option<u32>,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: CloneApp) -> Result<(), Failure> {
    let start = Instant::now();
    let scrub = args.scrub.as_deref().map(scrub).transpose()?;
    let from = context.node(&NodeChoice { node: args.from_node.clone() }, Some(&args.from), &[])?;
    let to = args.node.as_deref().map_or_else(|| Ok(from.clone()), |name| context.named(name))?;
    let locations = locations(&args, &to)?;
    let mut request = json!({
        "verb": "clone", "program": Program::version(), "app": args.to, "of": args.from, "locations": locations,
        "scrub": scrub, "ttl": args.ttl, "keep": context.keep()?, "lock_timeout": args.patience.lock_timeout,
    });
    let (mut source, _) = context.connect_installing(&from)?;
    let services = services(context, &args.from, &mut source)?;
    let answer = if from.name == to.name {
        request["elsewhere"] = lent::arrange_copy(context, &args.to, &services, &mut source)?;
        context.call(&mut source, request.clone())
    } else {
        let (mut target, _) = context.connect_installing(&to)?;
        request["elsewhere"] = source.meanwhile(|| lent::arrange_copy(context, &args.to, &services, &mut target))?;
        through_this_machine(context, &args, &mut source, &mut target, &mut request)
    };
    if answer.is_err() {
        lent::give_back_places(context, &args.to, &request["elsewhere"]);
    }
    context.record_answer(&to.name, "clone-app", Some(&args.to), &answer);
    let answer = answer?;
    context.remember_locations(&to, &args.to, &answer)?;
    report(context, &args, &to, &answer, start);
    Ok(())
}

/// What the live release of the app asks for.
pub(super) fn services(context: &Context, app: &AppName, source: &mut Remote) -> Result<Vec<ServiceUse>, Failure> {
    let probe = context.probe(source, Probe::request(Some(app), None, &[], true))?;
    Ok(probe.app.and_then(|facts| facts.settings).map(|settings| settings.services).unwrap_or_default())
}

/// What the app is made of comes here, and goes on to the other node.
fn through_this_machine(
    context: &Context,
    args: &CloneApp,
    source: &mut Remote,
    target: &mut Remote,
    request: &mut Value,
) -> Result<Value, Failure> {
    let place = place_for_copies()?;
    let export = json!({"verb": "export", "app": args.from, "lock_timeout": args.patience.lock_timeout});
    let given = target.meanwhile(|| with_store(context, source, place.path(), export))?;
    bring(context, &given, request)?;
    with_store(context, target, place.path(), request.clone())
}

/// A directory that is gone when it is dropped.
pub(super) fn place_for_copies() -> Result<tempfile::TempDir, Failure> {
    let data_dir = Inventory::default_dir()?;
    tempfile::tempdir_in(&data_dir).map_err(|error| {
        Failure::new(Kind::Failed, format!("nothing can be written to {}: {error}", data_dir.display()))
    })
}

/// Completes a `clone` with what an `export` has given.
pub(super) fn bring(context: &Context, given: &Value, request: &mut Value) -> Result<(), Failure> {
    let services = given["exported"]["settings"]["services"].as_array().into_iter().flatten();
    let names: Vec<String> = services.filter_map(|service| service["name"].as_str().map(str::to_owned)).collect();
    request["service_settings"] = service_settings(context, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
    let services = context.services()?;
    request["own_services"] = Value::Object(services.own_folders(&services.with_required(&names)));
    request["exported"] = given["exported"].clone();
    request["backup"] = given["backup"].clone();
    Ok(())
}

fn with_store(context: &Context, remote: &mut Remote, dir: &Path, mut request: Value) -> Result<Value, Failure> {
    request["store"] = json!({"kind": "client", "name": "copy"});
    let mut steps = context.ui.steps();
    let answer = remote.call_with_store(request, &mut Directory::new(dir), &mut |event| show(&mut steps, event));
    answer.map_err(crate::node::Error::into_failure)
}

/// On a local node APP.localhost; elsewhere nobody but the user knows which names lead there.
fn locations(args: &CloneApp, to: &NodeRecord) -> Result<Vec<Location>, Failure> {
    if !args.hosts.is_empty() {
        return Ok(args.hosts.clone());
    }
    if to.provider != "local" {
        return Err(Failure::new(Kind::Usage, format!("where is {} to be reached?", args.to)).hint("say --host HOST"));
    }
    Ok(vec![format!("{}.localhost", args.to).replace('_', "-").parse()?])
}

/// What the node is asked to do: SQL travels, a script is there already.
fn scrub(text: &str) -> Result<Value, Failure> {
    if text.ends_with(".sql") {
        let sql = std::fs::read_to_string(text)
            .map_err(|error| Failure::new(Kind::Usage, format!("{text} cannot be read: {error}")))?;
        return Ok(json!({"sql": sql}));
    }
    match shlex::split(text) {
        Some(words) if !words.is_empty() => Ok(json!({"script": words})),
        _ => Err(Failure::new(Kind::Usage, format!("{text:?} is neither a file FILE.sql nor a script of the release"))),
    }
}

/// Seconds; at least a minute, at most a year.
fn time_to_live(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is not a time from 1m to 366d: write 90m, 8h or 3d");
    let (digits, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let factor = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(wrong()),
    };
    let seconds = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(factor));
    seconds.filter(|seconds| (60..=366 * 86400).contains(seconds)).ok_or_else(wrong)
}

fn report(context: &Context, args: &CloneApp, to: &NodeRecord, answer: &Value, start: Instant) {
    context.ui.event(answer);
    let seconds = start.elapsed().as_secs_f64();
    context.ui.line(format!("{} is a copy of {} on {} ({seconds:.2} s)", args.to, args.from, to.name));
    for location in answer["locations"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        context.ui.line(format!("  {}", url(location, to)));
    }
    if let Some(expires) = answer["expires"].as_str() {
        context.ui.line(format!("  it is removed with all its data at {expires}"));
    }
    let left_out = words(&answer["left_out"]);
    if !left_out.is_empty() {
        context.ui.line(format!("  without the data of: {left_out}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_number_with_a_unit() {
        assert_eq!(time_to_live("90m"), Ok(5400));
        assert_eq!(time_to_live("3d"), Ok(259_200));
        for wrong in ["", "3", "d", "0d", "-1d", "400d", "99999999999d", "1w", "3ü"] {
            assert!(time_to_live(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_script_is_words_and_no_shell_line() {
        assert_eq!(
            scrub("bin/scrub.py --all 'a b; c'").unwrap(),
            json!({"script": ["bin/scrub.py", "--all", "a b; c"]})
        );
        assert!(scrub("").is_err() && scrub("'").is_err() && scrub("/nowhere/x.sql").is_err());
    }
}
