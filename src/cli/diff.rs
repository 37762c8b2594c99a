use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::context::Context;
use super::data::Target;
use super::{NodeChoice, cron_node, plan, update};
use crate::app::diff::{Change, Content, Difference, LARGEST, LARGEST_TOGETHER, Line, LineKind, Thing};
use crate::app::{FileEntry, Manifest, diff, payload};
use crate::deploy::{Action, Plan, Probe, Remote, Source, contents};
use crate::error::{Failure, Kind};
use crate::node::Error;
use crate::ui::Ui;

/// Show what an update would change
///
/// Compares an app's directory with the release that serves: files line by line, and which settings, packages, services and locations would change.
/// Values of settings are never shown. Ends with 0 when an update would change nothing, with 1 when it would change something, and with 2 when that cannot be told.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The app's directory
    dir: PathBuf,
    /// The app, or a location where it is reached; without it what app.ini says
    #[arg(value_name = "APP|LOCATION")]
    target: Option<Target>,
    #[command(flatten)]
    node: NodeChoice,
    /// Only say how many lines of each file would change
    #[arg(long)]
    stat: bool,
    /// Only say which files would change
    #[arg(long, conflicts_with = "stat")]
    name_only: bool,
}

pub(super) fn run(context: &Context, args: Diff) -> Result<(), Failure> {
    match compare(context, &args) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Failure::told_already(Kind::Failed)),
        Err(failure) => Err(Failure { kind: Kind::Trouble, ..failure }),
    }
}

/// Shows what differs; whether something does.
fn compare(context: &Context, args: &Diff) -> Result<bool, Failure> {
    let services = context.services()?;
    let (name, location) = match &args.target {
        Some(Target::App(name)) => (Some(name), None),
        Some(Target::Location(location)) => (None, Some(location)),
        None => (None, None),
    };
    let mut config = Source::config(&args.dir, name, &services)?;
    let locations = location.map_or_else(|| config.locations.clone(), |location| vec![location.clone()]);
    let node = context.node(&args.node, Some(&config.name), &locations)?;
    cron_node::leave_to_one(context, &mut config, &node, &locations)?;
    let mut steps = context.ui.for_a_question().steps();
    let (source, mut remote) = update::prepare(context, &args.dir, config, &services, &node, &mut steps)?;
    let probe = update::look(context, &mut remote, &source, &locations, true, &mut steps)?;
    drop(steps);
    let locations = update::or_default(locations, &probe, &node, &source.config.name)?;
    let plan = Plan::new(&source, &locations, &probe, &node.name, false)?;
    let differences = differences(&plan, &source, &probe);
    let mut shown = Shown::begin(&context.ui, args, &plan);
    let mut old = if args.name_only { BTreeMap::new() } else { fetch(&mut remote, &plan, &source, &differences)? };
    for difference in &differences {
        let old = old.remove(&difference.path);
        shown.file(&source, difference, old)?;
    }
    shown.end();
    Ok(plan.action != Action::Nothing)
}

fn differences(plan: &Plan, source: &Source, probe: &Probe) -> Vec<Difference> {
    match plan.action {
        Action::Nothing | Action::AddLocations => Vec::new(),
        Action::Create | Action::Release => {
            let live = probe.app.as_ref().and_then(|app| app.manifest.as_ref());
            Difference::between(live.unwrap_or(&Manifest::default()), &source.manifest)
        }
    }
}

/// The old contents of the files that can be shown, all in one request.
fn fetch(
    remote: &mut Remote,
    plan: &Plan,
    source: &Source,
    differences: &[Difference],
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let Some(live) = &plan.live else { return Ok(BTreeMap::new()) };
    let (mut wanted, mut together) = (Vec::new(), 0);
    for difference in differences.iter().filter(|difference| difference.has_contents()) {
        let Some(old) = difference.old_file().filter(|old| diff::is_readable(old)) else { continue };
        let new = difference.new_file().map(|new| read(source, new)).transpose()?;
        if matches!(new, None | Some(Content::Text(_))) && together + old.size <= LARGEST_TOGETHER {
            together += old.size;
            wanted.push(old);
        }
    }
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answer = remote.call(contents::request(&plan.app, live, &wanted), &mut |_| {}).map_err(Error::into_failure)?;
    Ok(contents::parse(remote.node(), &wanted, &answer)?)
}

/// A file of the app's directory.
fn read(source: &Source, file: &FileEntry) -> Result<Content, Failure> {
    if file.size > LARGEST {
        return Ok(Content::TooLarge);
    }
    if !diff::is_readable(file) {
        return Ok(Content::Binary);
    }
    Ok(Content::of(payload::read(&source.dir, file)?))
}

/// A path that differs, as `--json` has it.
#[derive(Debug, Serialize)]
struct Told {
    path: String,
    change: Change,
    /// What it was and is, where that is not said by its lines.
    note: Option<String>,
    /// Why there are no lines: `binary` or `too-large`.
    left_out: Option<&'static str>,
    added: usize,
    removed: usize,
    diff: Option<String>,
}

/// The answer, as it is shown: line by line to people, as one document with `--json`.
struct Shown<'a> {
    ui: &'a Ui,
    args: &'a Diff,
    plan: &'a Plan,
    told: Vec<Told>,
}

const BOLD: &str = "1";

impl<'a> Shown<'a> {
    fn begin(ui: &'a Ui, args: &'a Diff, plan: &'a Plan) -> Self {
        if !args.name_only {
            for (title, names) in plan::besides_files(plan) {
                ui.line(format!("{title}: {names}"));
            }
        }
        Shown { ui, args, plan, told: Vec::new() }
    }

    fn file(&mut self, source: &Source, difference: &Difference, old: Option<Vec<u8>>) -> Result<(), Failure> {
        let (mut left_out, mut lines) = (None, Vec::new());
        if difference.has_contents() && !self.args.name_only {
            match (was(difference, old), is(source, difference)?) {
                (Content::Text(old), Content::Text(new)) => lines = diff::lines(&old, &new),
                (Content::Binary, _) | (_, Content::Binary) => left_out = Some("binary"),
                _ => left_out = Some("too-large"),
            }
        }
        let count = |kind: LineKind| lines.iter().filter(|line| line.kind == kind).count();
        let told = Told {
            path: difference.path.clone(),
            change: difference.change(),
            note: note(difference),
            left_out,
            added: count(LineKind::Added),
            removed: count(LineKind::Removed),
            diff: None,
        };
        if self.ui.is_json() {
            let text = || lines.iter().map(|line| format!("{}\n", line.text)).collect();
            let diff = (!self.args.stat && !lines.is_empty()).then(text);
            self.told.push(Told { diff, ..told });
        } else if self.args.name_only {
            self.ui.line_of_file("", &name(&told.path));
        } else if self.args.stat {
            self.ui.line_of_file("", &counted(&told));
        } else {
            self.print(difference, &told, &lines);
        }
        Ok(())
    }

    fn print(&self, difference: &Difference, told: &Told, lines: &[Line]) {
        let path = name(&told.path);
        if let Some(note) = &told.note {
            self.ui.line_of_file(BOLD, &format!("{path}: {note}"));
        }
        if !difference.has_contents() {
            return;
        }
        let live = self.plan.live.as_ref().map(ToString::to_string).unwrap_or_default();
        let or_none = |there: bool, path: String| if there { name(&path) } else { "/dev/null".to_owned() };
        let old = or_none(difference.old_file().is_some(), format!("{live}/{}", told.path));
        let new = or_none(difference.new_file().is_some(), format!("./{}", told.path));
        match told.left_out {
            Some("binary") => return self.ui.line_of_file(BOLD, &format!("Binary files {old} and {new} differ")),
            Some(_) => {
                return self.ui.line_of_file(BOLD, &format!("Files {old} and {new} differ, and are too large to show"));
            }
            None => {}
        }
        self.ui.line_of_file(BOLD, &format!("--- {}", before_a_tab(old)));
        self.ui.line_of_file(BOLD, &format!("+++ {}", before_a_tab(new)));
        for line in lines {
            self.ui.line_of_file(style(line.kind), &line.text);
        }
    }

    fn end(self) {
        if self.ui.is_json() {
            self.ui.answer(&json!({"plan": self.plan, "files": self.told}), |_| {});
        }
    }
}

fn style(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Hunk => "36",
        LineKind::Added => "32",
        LineKind::Removed => "31",
        LineKind::Context => "",
    }
}

/// The content before. What did not come was too large, or one too much, or would be shown beside what is binary now.
fn was(difference: &Difference, old: Option<Vec<u8>>) -> Content {
    match (difference.old_file(), old) {
        (None, _) => Content::Text(String::new()),
        (Some(_), Some(bytes)) => Content::of(bytes),
        (Some(file), None) if file.size <= LARGEST && !diff::is_readable(file) => Content::Binary,
        (Some(_), None) => Content::TooLarge,
    }
}

fn is(source: &Source, difference: &Difference) -> Result<Content, Failure> {
    difference.new_file().map_or(Ok(Content::Text(String::new())), |file| read(source, file))
}

/// What is not said by lines: modes, and what is no file.
fn note(difference: &Difference) -> Option<String> {
    if let (Some(old), Some(new)) = (difference.old_file(), difference.new_file()) {
        return (old.mode != new.mode).then(|| format!("mode {} -> {}", old.mode.name(), new.mode.name()));
    }
    let is_file = |thing: &Option<Thing>| matches!(thing, None | Some(Thing::File(_)));
    if is_file(&difference.old) && is_file(&difference.new) {
        return None;
    }
    let describe = |thing: &Option<Thing>| match thing {
        None => "nothing".to_owned(),
        Some(Thing::File(_)) => "a file".to_owned(),
        Some(Thing::Link(target)) => format!("a link to {}", name(target)),
        Some(Thing::EmptyDirectory) => "an empty directory".to_owned(),
    };
    Some(format!("{} -> {}", describe(&difference.old), describe(&difference.new)))
}

/// A line of `--stat`.
fn counted(told: &Told) -> String {
    let sign = match told.change {
        Change::Added => "+",
        Change::Changed => "~",
        Change::Removed => "-",
    };
    let mut parts = vec![format!("{sign} {}", name(&told.path))];
    parts.extend(told.note.clone());
    match told.left_out {
        Some(why) => parts.push(why.replace('-', " ")),
        None if told.added + told.removed > 0 => parts.push(format!("+{} -{}", told.added, told.removed)),
        None => {}
    }
    parts.join("  ")
}

/// A path on one line, whatever is in it: as git and patch quote it.
fn name(path: &str) -> String {
    if !path.contains(char::is_control) {
        return path.to_owned();
    }
    let quoted = path.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => c.to_string().bytes().map(|byte| format!("\\{byte:03o}")).collect(),
        c => c.to_string(),
    });
    format!("\"{}\"", quoted.collect::<String>())
}

/// Where there is a blank in a name, a tab says where it ends: patch would take what is before the blank for all of it.
fn before_a_tab(name: String) -> String {
    if name.contains(' ') { format!("{name}\t") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_on_their_line() {
        assert_eq!(before_a_tab(name("v1/a.py")), "v1/a.py");
        assert_eq!(before_a_tab(name("v1/ü \"x\"")), "v1/ü \"x\"\t");
        assert_eq!(name("./a\n\"b\"\\\u{9b}"), r#""./a\012\"b\"\\\302\233""#);
    }
}
