//! Plans of updates: as people read them, and as files that somebody has looked at.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::app::Manifest;
use crate::deploy::{Action, Besides, FORMAT, Names, Plan, Probe};
use crate::error::{Failure, Kind};
use crate::ui::Ui;

/// A plan names each file that changes: this is one of a million.
const LARGEST: u64 = 128 << 20;

/// How many files of a kind `update --plan` names to people.
const SHOWN: usize = 20;

/// Reads what `update --plan --json` has printed; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Plan, Failure> {
    let wrong = |reason: String| {
        Failure::new(Kind::Usage, format!("{} is no plan: {reason}", path.display()))
            .hint("cloudtool update DIR --plan --json prints one")
    };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LARGEST).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text))
    };
    read.map_err(|error| wrong(error.to_string()))?;
    let document: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let format = &document["format"];
    if *format != FORMAT {
        return Err(wrong(format!("its format is {format}, this version of cloudtool knows {FORMAT}")));
    }
    serde_json::from_value(document).map_err(|error| wrong(error.to_string()))
}

/// Refuses when the plan that somebody has looked at is not what an update would do now.
pub(super) fn require(
    expected: &Plan,
    now: &Plan,
    probe: &Probe,
    file: &Path,
    app: (&Path, &Manifest),
) -> Result<(), Failure> {
    let mut reasons = expected.outdated_by(now);
    if reasons.is_empty() {
        return Ok(());
    }
    if let Some((by, since)) = probe.app.as_ref().and_then(|app| Some((app.by.as_ref()?, app.since.as_ref()?)))
        && expected.live != now.live
    {
        reasons.push(format!("it serves since {since}, by {by}"));
    }
    let message =
        format!("the plan for {} on {} does not hold any more: {}", expected.app, expected.node, reasons.join("; "));
    let hint = match within(file, app.0).filter(|path| app.1.has(path)) {
        Some(path) => {
            format!("{path} is a part of the app itself: keep plans elsewhere, or name it in .cloudtoolignore")
        }
        None => format!("nothing was changed; see what it would do now: cloudtool update {} --plan", app.0.display()),
    };
    Err(Failure::new(Kind::PlanOutdated, message).hint(hint))
}

/// The path of a file relative to a directory that it is in.
fn within(file: &Path, dir: &Path) -> Option<String> {
    let (file, dir) = (file.canonicalize().ok()?, dir.canonicalize().ok()?);
    Some(file.strip_prefix(dir).ok()?.to_str()?.to_owned())
}

/// All of it, as `update --plan` shows it.
pub(super) fn print(ui: &Ui, plan: &Plan) {
    ui.line(headline(plan));
    if plan.action == Action::Nothing {
        return;
    }
    for (title, names) in besides_files(plan) {
        ui.line(format!("  {title}: {names}"));
    }
    let many = |title: &str, sign: &str, files: &[String]| {
        for file in files.iter().take(SHOWN) {
            ui.line(format!("  {sign} {file}"));
        }
        if files.len() > SHOWN {
            ui.line(format!("  {sign} ... and {} more {title}", files.len() - SHOWN));
        }
    };
    many("added", "+", &plan.files.added);
    many("changed", "~", &plan.files.changed);
    many("removed", "-", &plan.files.removed);
    ui.line(format!("  upload: {} files, {:.1} MB", plan.upload.files, plan.upload.bytes as f64 / 1e6));
    if !plan.hooks.is_empty() {
        ui.line(format!("  hooks: {}", plan.hooks.join(", ")));
    }
}

fn headline(plan: &Plan) -> String {
    let live = plan.live.as_ref().map(ToString::to_string).unwrap_or_default();
    let (app, node) = (&plan.app, &plan.node);
    match plan.action {
        Action::Nothing => format!("{app}: nothing to do, {live} on {node} is the same"),
        Action::AddLocations => format!("{app}: {live} on {node} gets new locations"),
        Action::Release => format!("{app}: a new release on {node} follows {live}"),
        Action::Create => format!("{app}: the first release on {node}"),
    }
}

/// What an update would change beside files: a title and names each.
pub(super) fn besides_files(plan: &Plan) -> Vec<(&'static str, String)> {
    let locations: Vec<String> = plan.new_locations.iter().map(|location| format!("+ {location}")).collect();
    let besides = plan.besides.map(|reason| match reason {
        Besides::NotRunning => "the live release is the same, and does not run",
        Besides::MadeDifferently => {
            "what cloudtool makes of app.ini differs: it is another version, or a folder of a service has changed"
        }
    });
    let lines = [
        ("locations", locations.join("  ")),
        ("packages", signed(&plan.packages)),
        ("services", signed(&plan.services)),
        ("settings that change", plan.settings.join(", ")),
        ("besides", besides.unwrap_or_default().to_owned()),
    ];
    lines.into_iter().filter(|(_, names)| !names.is_empty()).collect()
}

fn signed(names: &Names) -> String {
    let added = names.added.iter().map(|name| format!("+ {name}"));
    added.chain(names.removed.iter().map(|name| format!("- {name}"))).collect::<Vec<_>>().join("  ")
}
