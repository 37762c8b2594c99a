use clap::{Args, ValueEnum};
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use crate::error::Failure;
use crate::names::AppName;
use crate::node::Event;

/// Show what an app wrote: errors, requests, hooks
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// The app's name
    app: AppName,
    /// Go on as lines come, until Ctrl-C
    #[arg(short, long)]
    pub(super) follow: bool,
    /// How many lines at the end
    #[arg(short = 'n', long = "lines", default_value_t = 50, value_name = "LINES")]
    lines: u32,
    /// Only lines since then: 30s, 10m, 2h, 3d ago, or a time in UTC like 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "PATTERN")]
    grep: Option<String>,
    /// Which log; may be given several times; without it errors and hooks
    #[arg(long = "stream", value_name = "STREAM")]
    streams: Vec<Stream>,
    #[command(flatten)]
    node: NodeChoice,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stream {
    Error,
    Access,
    Hooks,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Error => "error",
            Stream::Access => "access",
            Stream::Hooks => "hooks",
        }
    }
}

pub(super) fn run(context: &Context, args: Logs) -> Result<(), Failure> {
    let node = context.node(&args.node, Some(&args.app), &[])?;
    let mut remote = context.connect(&node)?;
    let streams = if args.streams.is_empty() { vec![Stream::Error, Stream::Hooks] } else { args.streams };
    let several = streams.len() > 1;
    let names: Vec<&str> = streams.into_iter().map(Stream::name).collect();
    let request = json!({
        "verb": "logs", "app": args.app, "streams": names, "lines": args.lines, "follow": args.follow, "since": args.since, "grep": args.grep,
    });
    let ui = &context.ui;
    let answer = remote.call(request, &mut |event| {
        if let Event::Line { stream, at, line } = event {
            ui.event(&json!({"event": "line", "stream": stream, "at": at, "line": line}));
            ui.line(if several { format!("{stream:<6} {line}") } else { line });
        }
    });
    answer.map(|_| ()).map_err(crate::node::Error::into_failure)
}
