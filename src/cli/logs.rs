use std::sync::mpsc::{self, Receiver};
use std::thread;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::context::Context;
use super::data::Target;
use super::several::Failures;
use super::where_from::Nodes;
use crate::error::Failure;
use crate::inventory::NodeRecord;
use crate::node::{Error, Event};

/// Show what an app wrote: errors, requests, processes, deploys
///
/// From all nodes that serve it, in the order of time. A traceback is one entry, also for --grep and -n.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// Go on as lines come, until Ctrl-C
    #[arg(short, long)]
    pub(super) follow: bool,
    /// How many entries at the end
    #[arg(short = 'n', long = "lines", default_value_t = 50, value_name = "LINES")]
    lines: u32,
    /// Only what was written since then: 30s, 10m, 2h, 3d ago, or a time in UTC like 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only entries that match this regular expression
    #[arg(long, value_name = "PATTERN")]
    grep: Option<String>,
    /// Which log; may be given several times; without it all but app and access
    #[arg(long = "stream", value_name = "STREAM")]
    streams: Vec<Stream>,
    #[command(flatten)]
    nodes: Nodes,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stream {
    /// What the app itself wrote into the error log
    App,
    /// The whole error log: of the app, and of the server it runs in
    Error,
    /// Requests
    Access,
    /// What the app's processes and cron jobs printed
    Process,
    /// What update_fetch printed, and who changed what
    Deploy,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::App => "app",
            Stream::Error => "error",
            Stream::Access => "access",
            Stream::Process => "process",
            Stream::Deploy => "deploy",
        }
    }
}

pub(super) fn run(context: &Context, args: Logs) -> Result<(), Failure> {
    let nodes = args.nodes.serving(context, &args.target)?;
    let streams: Vec<&str> = args.streams.iter().map(|stream| stream.name()).collect();
    let mut request = json!({
        "verb": "logs", "streams": streams, "lines": args.lines, "follow": args.follow, "since": args.since, "grep": args.grep,
    });
    match &args.target {
        Target::App(app) => request["app"] = json!(app),
        Target::Location(location) => request["location"] = json!(location),
    }
    let width = if nodes.len() > 1 { nodes.iter().map(|node| node.name.chars().count()).max() } else { None };
    let shown = Shown { context, width, streams: streams.len() != 1 };
    let (send, receive) = mpsc::channel();
    let mut failures = Failures::default();
    thread::scope(|scope| {
        for (number, node) in nodes.iter().enumerate() {
            let (send, request) = (send.clone(), request.clone());
            scope.spawn(move || {
                // Nobody listens any more only when showing panicked.
                let tell = |said| drop(send.send((number, said)));
                let ended = ask(context, node, request, &tell);
                tell(Said::Ended(ended));
            });
        }
        drop(send);
        show(&shown, &nodes, args.lines as usize, receive, &mut failures);
    });
    failures.outcome(nodes.len())
}

/// What a node says.
enum Said {
    Line(Entry),
    /// From now on it is new.
    Following,
    Ended(Result<(), Failure>),
}

struct Entry {
    node: String,
    stream: String,
    at: Option<String>,
    text: String,
}

fn ask(context: &Context, node: &NodeRecord, request: Value, tell: &dyn Fn(Said)) -> Result<(), Failure> {
    let mut remote = context.connect(node)?;
    let answer = remote.call(request, &mut |event| match event {
        Event::Line { stream, at, line } => {
            tell(Said::Line(Entry { node: node.name.clone(), stream, at, text: line }));
        }
        Event::Following => tell(Said::Following),
        _ => {}
    });
    answer.map(|_| ()).map_err(Error::into_failure)
}

/// First what there is on all nodes, in the order of time; then what comes, as it comes.
fn show(shown: &Shown<'_>, nodes: &[NodeRecord], lines: usize, said: Receiver<(usize, Said)>, failures: &mut Failures) {
    let mut behind = vec![true; nodes.len()];
    let mut before = Vec::new();
    for (number, said) in said {
        let mut caught_up = false;
        match said {
            Said::Line(entry) if behind.contains(&true) => before.push(entry),
            Said::Line(entry) => shown.print(&entry),
            Said::Following => caught_up = true,
            Said::Ended(ended) => {
                caught_up = true;
                if let Err(failure) = ended {
                    failures.add(&shown.context.ui, nodes.len(), failure);
                }
            }
        }
        if caught_up && std::mem::take(&mut behind[number]) && !behind.contains(&true) {
            for entry in newest(std::mem::take(&mut before), lines) {
                shown.print(&entry);
            }
        }
    }
}

/// The last of the entries, in the order of time; of one node they are in order, also those without a time.
fn newest(mut entries: Vec<Entry>, count: usize) -> Vec<Entry> {
    entries.sort_by(|one, other| one.at.cmp(&other.at));
    let surplus = entries.len().saturating_sub(count);
    entries.split_off(surplus)
}

/// How entries are shown.
struct Shown<'a> {
    context: &'a Context,
    /// Of the nodes' names, where there are several.
    width: Option<usize>,
    /// With the stream's name.
    streams: bool,
}

impl Shown<'_> {
    fn print(&self, entry: &Entry) {
        let Entry { node, stream, at, text } = entry;
        let ui = &self.context.ui;
        ui.event(&json!({"event": "line", "node": node, "stream": stream, "at": at, "line": text}));
        let mut head = String::new();
        if let Some(width) = self.width {
            head.push_str(&format!("{node:<width$} "));
        }
        if self.streams {
            head.push_str(&format!("{stream:<7} "));
        }
        for line in text.split('\n') {
            ui.line(format!("{head}{line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_several_nodes_are_merged_by_time() {
        let entry = |node: &str, at: &str, text: &str| Entry {
            node: node.into(),
            stream: "error".into(),
            at: (!at.is_empty()).then(|| at.to_owned()),
            text: text.into(),
        };
        let entries = vec![
            entry("a", "2026-01-01T10:00:01Z", "1"),
            entry("a", "2026-01-01T10:00:03.5Z", "3"),
            entry("b", "", "0"),
            entry("b", "2026-01-01T10:00:02Z", "2"),
        ];
        let texts: Vec<String> = newest(entries, 3).into_iter().map(|entry| entry.text).collect();
        assert_eq!(texts, ["1", "2", "3"]);
    }
}
