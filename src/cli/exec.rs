use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use clap::Args;
use glob::Pattern;
use serde_json::json;

use super::context::Context;
use super::remote_line;
use super::several::{self, Failures};
use crate::error::{Failure, Kind};
use crate::inventory::{Inventory, NodeRecord};
use crate::node::Output;
use crate::ui::Ui;

/// Run a command on several nodes
///
/// One word is a line for the node's shell; several are a program and its arguments, which arrive as they are. Every line of output begins
/// with the node's name. It runs as the user that logs in. The exit code is 0 when it was 0 on all nodes.
#[derive(Debug, Args)]
pub(super) struct Exec {
    /// The nodes: a glob of names, or @LABEL (see label-node); may be said again
    #[arg(long, required = true, value_name = "GLOB|@LABEL")]
    on: Vec<String>,
    /// How many nodes at a time
    #[arg(long, value_name = "N", default_value_t = several::LIMIT)]
    limit: NonZeroUsize,
    /// The command
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(context: &Context, args: Exec) -> Result<(), Failure> {
    let line = remote_line::of(&args.command)?;
    let nodes = choose(&context.inventory()?, &args.on)?;
    let width = nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or(0);
    let run = |node: &NodeRecord| -> Result<i32, Failure> {
        let mut session = context.session(node)?;
        let mut printer = Printer { ui: &context.ui, node: &node.name, width, held: [Vec::new(), Vec::new()] };
        let status = session.run(&line, b"", &mut |output, piece| {
            printer.take(output, piece);
            ControlFlow::Continue(())
        });
        printer.end();
        // It is never broken off.
        Ok(status?.unwrap_or(0))
    };
    let mut failures = Failures::default();
    several::each(&nodes, args.limit, run, |node, outcome| {
        let name = &node.name;
        let failure = match outcome {
            Ok(status) => {
                context.ui.event(&json!({"event": "done", "node": name, "status": status}));
                if status == 0 {
                    return;
                }
                Failure::new(Kind::Failed, format!("{name}: the command ended with status {status}"))
            }
            Err(failure) if failure.message.contains(name.as_str()) => failure,
            Err(failure) => Failure { message: format!("{name}: {}", failure.message), ..failure },
        };
        failures.add(&context.ui, nodes.len(), failure);
    });
    failures.outcome(nodes.len())
}

/// The nodes of the inventory that are meant, each once.
pub(super) fn choose(inventory: &Inventory, wanted: &[String]) -> Result<Vec<NodeRecord>, Failure> {
    let all = inventory.nodes()?;
    let mut chosen: Vec<NodeRecord> = Vec::new();
    for word in wanted {
        let found = match word.strip_prefix('@') {
            Some(label) => inventory.labelled(label)?,
            None => {
                let glob = Pattern::new(word)
                    .map_err(|error| Failure::new(Kind::Usage, format!("{word:?} is no glob: {}", error.msg)))?;
                all.iter().filter(|node| glob.matches(&node.name)).cloned().collect()
            }
        };
        if found.is_empty() {
            return Err(Failure::new(Kind::Usage, format!("no known node is meant by {word:?}"))
                .hint("cloudtool list-nodes --cached shows those that are known, cloudtool refresh learns others"));
        }
        for node in found {
            if !chosen.iter().any(|known| known.provider == node.provider && known.id == node.id) {
                chosen.push(node);
            }
        }
    }
    Ok(chosen)
}

/// Prints output line by line.
struct Printer<'a> {
    ui: &'a Ui,
    node: &'a str,
    width: usize,
    /// The beginning of a line of standard output, and of standard error.
    held: [Vec<u8>; 2],
}

impl Printer<'_> {
    fn take(&mut self, output: Output, piece: &[u8]) {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.held[output as usize].extend_from_slice(&rest[..end]);
            self.print(output);
            rest = &rest[end + 1..];
        }
        self.held[output as usize].extend_from_slice(rest);
    }

    fn end(&mut self) {
        for output in [Output::Stdout, Output::Stderr] {
            if !self.held[output as usize].is_empty() {
                self.print(output);
            }
        }
    }

    fn print(&mut self, output: Output) {
        let bytes = std::mem::take(&mut self.held[output as usize]);
        let line = String::from_utf8_lossy(&bytes);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        let stream = if output == Output::Stdout { "stdout" } else { "stderr" };
        self.ui.event(&json!({"event": "line", "node": self.node, "stream": stream, "line": line}));
        let shown = format!("{:<width$} | {line}", self.node, width = self.width);
        match output {
            Output::Stdout => self.ui.line(shown),
            Output::Stderr => self.ui.line_of_errors(shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_meant_once() {
        let dir = tempfile::tempdir().unwrap();
        let (inventory, _) = Inventory::open_in(dir.path()).unwrap();
        for name in ["web1", "web2", "db"] {
            let node = NodeRecord { provider: "p".into(), id: name.into(), name: name.into(), ..NodeRecord::default() };
            inventory.upsert_node(&node).unwrap();
        }
        inventory.add_label("p", "web2", "blue").unwrap();
        let names = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|word| (*word).to_owned()).collect();
            let chosen = choose(&inventory, &wanted).map_err(|failure| failure.message)?;
            Ok::<_, String>(chosen.into_iter().map(|node| node.name).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names(&["web*"]).unwrap(), "web1 web2");
        assert_eq!(names(&["@blue", "web*", "db"]).unwrap(), "web2 web1 db");
        assert_eq!(names(&["@red"]).unwrap_err(), "no known node is meant by \"@red\"");
        assert!(names(&["nobody"]).is_err() && names(&["a["]).is_err());
    }
}
