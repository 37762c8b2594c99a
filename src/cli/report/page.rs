//! The text of a report. Pure.

use serde_json::Value;

use crate::cli::doctor::Subject;
use crate::cli::query::words;
use crate::error::Failure;
use crate::inventory::{Event, NodeRecord};
use crate::node::{NodeError, Program};
use crate::ui::plain;

/// What came of asking the node.
pub(super) enum Asked {
    /// Its answer, and the node and the app as a doctor sees them.
    Answered {
        answer: Value,
        subjects: Vec<Subject>,
    },
    Unanswered(Failure),
}

pub(super) struct Page<'a> {
    /// As it was asked for.
    pub(super) target: String,
    pub(super) at: String,
    pub(super) node: &'a NodeRecord,
    pub(super) asked: Asked,
    pub(super) machine: Subject,
    /// Of this machine, the newest first.
    pub(super) events: Vec<Event>,
}

impl Page<'_> {
    /// Of the app where it is known, as part of a file's name.
    pub(super) fn name(&self) -> String {
        let name = match &self.asked {
            Asked::Answered { answer, .. } => words(&answer["app"]),
            Asked::Unanswered(_) => self.target.clone(),
        };
        name.replace(['/', '*'], "-")
    }

    pub(super) fn text(&self) -> String {
        let mut text = Text::default();
        text.line(&format!("# {} on {}, {}", self.target, self.node.name, self.at));
        match &self.asked {
            Asked::Answered { answer, subjects } => self.answered(&mut text, answer, subjects),
            Asked::Unanswered(failure) => self.unanswered(&mut text, failure),
        }
        text.title("This machine");
        text.line(&format!("cloudtool {}, node program {}", env!("CARGO_PKG_VERSION"), Program::version()));
        text.subject(&self.machine);
        text.title("What was done from this machine");
        text.block(self.events.iter().map(|event| {
            let app = event.app.as_deref().unwrap_or("-");
            let detail = event.detail.as_deref().unwrap_or_default();
            format!("{} {} {} {app} by {}: {detail}", event.at, event.result, event.verb, event.by)
        }));
        text.0
    }

    fn answered(&self, text: &mut Text, answer: &Value, subjects: &[Subject]) {
        let facts = &answer["node"];
        text.line(&format!(
            "{}, {}, Python {}, {} MB memory, {}, node program {}",
            words(&facts["os"]),
            words(&facts["arch"]),
            words(&facts["python"]),
            facts["memory_mb"],
            words(&facts["virtualization"]),
            words(&answer["program"])
        ));
        text.title("What failed");
        failure(text, &answer["failure"]);
        changed(text, &answer["changed"]);
        text.title("How it is now");
        subjects.iter().for_each(|subject| text.subject(subject));
        text.title("Processes");
        text.block(list(&answer["processes"]).map(|process| row(process, &["process", "state", "note"])));
        text.title("Releases");
        text.block(
            list(&answer["releases"])
                .map(|release| row(release, &["release", "result", "at", "by", "note", "message"])),
        );
        text.title("Who did what on the node");
        text.block(list(&answer["history"]).map(|entry| row(entry, &["at", "verb", "release", "by", "result"])));
        text.title("The end of the log");
        let records = list(&answer["log"]).map(|record| (words(&record["stream"]), words(&record["line"])));
        text.block(
            records.flat_map(|(stream, record)| {
                record.lines().map(|line| format!("{stream:<7} {line}")).collect::<Vec<_>>()
            }),
        );
    }

    fn unanswered(&self, text: &mut Text, failure: &Failure) {
        text.title("The node did not answer");
        text.line(&failure.message);
        failure.hint.iter().for_each(|hint| text.line(hint));
        if !failure.details.is_empty() {
            text.block(failure.details.iter().cloned());
        }
        text.title("What is known of it");
        let node = self.node;
        text.block([
            format!("provider {}, id {}, {} when it was last seen", node.provider, node.id, node.state),
            format!("address {}, port {}", node.address.as_deref().unwrap_or("unknown"), node.port),
            format!("image {}, size {}", or_unknown(&node.image), or_unknown(&node.size)),
        ]);
    }
}

/// What there is of these, with blanks between.
fn row(value: &Value, keys: &[&str]) -> String {
    let cells = keys.iter().map(|key| words(&value[*key])).filter(|cell| !cell.is_empty());
    cells.collect::<Vec<_>>().join(" ")
}

fn or_unknown(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or("unknown")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn failure(text: &mut Text, failure: &Value) {
    let Ok(error) = serde_json::from_value::<NodeError>(failure["error"].clone()) else {
        text.line("Nothing that the node remembers.");
        return;
    };
    let cell = |key: &str| words(&failure[key]);
    let step = error.step.as_deref().map(|step| format!(" at the step {step}")).unwrap_or_default();
    text.line(&format!("{} by {}, at {}, failed{step} ({}):", cell("verb"), cell("by"), cell("at"), error.code));
    text.line(&error.message);
    error.hint.iter().for_each(|hint| text.line(hint));
    text.line(&format!("{} served after it.", error.serving.as_deref().unwrap_or("Nothing")));
    text.block(error.detail_lines());
}

fn changed(text: &mut Text, changed: &Value) {
    let Some(fields) = changed.as_object() else { return };
    let from = fields.get("from").and_then(Value::as_str).unwrap_or("nothing");
    let to = fields.get("to").and_then(Value::as_str).map(|to| format!(", with {to}")).unwrap_or_default();
    text.title(&format!("What changed since {from}{to}"));
    let lists = fields.iter().filter_map(|(kind, names)| Some((kind, names.as_array()?)));
    text.block(lists.flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind} {}", words(name)))));
}

/// Markdown as it comes together. Whatever is not ours is in blocks that are set in, where nothing has a meaning.
#[derive(Default)]
struct Text(String);

impl Text {
    fn title(&mut self, title: &str) {
        self.line(&format!("## {title}"));
    }

    /// A paragraph.
    fn line(&mut self, line: &str) {
        self.0.push_str(plain(line).trim_end());
        self.0.push_str("\n\n");
    }

    fn block(&mut self, lines: impl IntoIterator<Item = String>) {
        let before = self.0.len();
        for line in lines.into_iter().flat_map(|line| line.lines().map(str::to_owned).collect::<Vec<_>>()) {
            self.0.push_str(format!("    {}", plain(&line)).trim_end());
            self.0.push('\n');
        }
        if self.0.len() == before {
            self.0.push_str("    nothing\n");
        }
        self.0.push('\n');
    }

    fn subject(&mut self, subject: &Subject) {
        self.line(&subject.summary());
        self.block(subject.lines(true));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::doctor::{Check, Finding};
    use crate::error::Kind;

    fn page(node: &NodeRecord, asked: Asked) -> Page<'_> {
        let event = Event {
            at: "2026-01-01T10:00:00Z".into(),
            by: "bob@laptop".into(),
            verb: "update".into(),
            node: Some("web".into()),
            app: Some("shop".into()),
            result: "failed".into(),
            detail: Some("v3 of shop does not serve.".into()),
        };
        Page {
            target: "shop.com/a".into(),
            at: "2026-01-01T10:05:00Z".into(),
            node,
            asked,
            machine: Subject::machine(vec![Check::new("keys", Some("~/.ssh/id_ed25519".into()), vec![])]),
            events: vec![event],
        }
    }

    fn without_versions(text: &str) -> String {
        text.replace(Program::version(), "VERSION").replace(env!("CARGO_PKG_VERSION"), "0")
    }

    #[test]
    fn a_failed_update_is_told_from_the_step_to_the_log() {
        let node = NodeRecord { name: "web".into(), ..NodeRecord::default() };
        let answer = json!({
            "app": "shop", "program": "abc",
            "node": {"os": "Debian GNU/Linux 12 (bookworm)", "arch": "x86_64", "python": "3.11", "memory_mb": 2048, "virtualization": "kvm"},
            "failure": {"at": "2026-01-01T10:00:00Z", "by": "bob@laptop", "verb": "deploy", "error": {
                "event": "error", "code": "health-check", "message": "v3 of shop does not serve.", "hint": "Look.", "step": "health",
                "serving": "v2", "details": {"status": 500, "body": "oops", "log": ["boom"]}}},
            "changed": {"from": "v2", "added": [], "changed": ["app.py"], "removed": [], "settings": ["env.MODE"]},
            "processes": [{"process": "web", "state": "running", "restarts": 0}],
            "releases": [{"release": "v3", "result": "failed", "at": "2026-01-01T10:00:00Z", "by": "bob@laptop", "message": "no"}],
            "history": [{"at": "2026-01-01T10:00:00Z", "by": "bob@laptop", "verb": "deploy", "result": "health-check", "seconds": 1.5}],
            "log": [{"stream": "error", "line": "Traceback\n\x1b[31m# boom"}],
        });
        let ill =
            Check::new("disk", Some("1 of 9 MB free".into()), vec![Finding::new("Full.", "cloudtool clean-node web")]);
        let subjects = vec![Subject::node("web", vec![ill])];
        let page = page(&node, Asked::Answered { answer, subjects });
        assert_eq!(page.name(), "shop");
        insta::assert_snapshot!(without_versions(&page.text()), @r"
        # shop.com/a on web, 2026-01-01T10:05:00Z

        Debian GNU/Linux 12 (bookworm), x86_64, Python 3.11, 2048 MB memory, kvm, node program abc

        ## What failed

        deploy by bob@laptop, at 2026-01-01T10:00:00Z, failed at the step health (health-check):

        v3 of shop does not serve.

        Look.

        v2 served after it.

            status: 500
            the answer begins:
              oops
            the app's log ends:
              boom

        ## What changed since v2

            changed app.py
            settings env.MODE

        ## How it is now

        node web: 1 checks, 1 finding

            disk: Full. -> cloudtool clean-node web

        ## Processes

            web running

        ## Releases

            v3 failed 2026-01-01T10:00:00Z bob@laptop no

        ## Who did what on the node

            2026-01-01T10:00:00Z deploy bob@laptop health-check

        ## The end of the log

            error   Traceback
            error   \u{1b}[31m# boom

        ## This machine

        cloudtool 0, node program VERSION

        this machine: 1 checks, all well

            keys: ~/.ssh/id_ed25519

        ## What was done from this machine

            2026-01-01T10:00:00Z failed update shop by bob@laptop: v3 of shop does not serve.
        ");
    }

    #[test]
    fn a_node_that_does_not_answer_leaves_what_is_known_here() {
        let node = NodeRecord { name: "web".into(), address: Some("192.0.2.1".into()), ..NodeRecord::default() };
        let failure = Failure::new(Kind::Unreachable, "web cannot be reached").hint("check that it runs");
        let page = page(&node, Asked::Unanswered(failure));
        assert_eq!(page.name(), "shop.com-a");
        insta::assert_snapshot!(without_versions(&page.text()), @r"
        # shop.com/a on web, 2026-01-01T10:05:00Z

        ## The node did not answer

        web cannot be reached

        check that it runs

        ## What is known of it

            provider , id , unknown when it was last seen
            address 192.0.2.1, port 22
            image unknown, size unknown

        ## This machine

        cloudtool 0, node program VERSION

        this machine: 1 checks, all well

            keys: ~/.ssh/id_ed25519

        ## What was done from this machine

            2026-01-01T10:00:00Z failed update shop by bob@laptop: v3 of shop does not serve.
        ");
    }
}
