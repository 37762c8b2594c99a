//! What a doctor finds.

use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Finding {
    pub(in crate::cli) message: String,
    /// What mends it.
    pub(in crate::cli) hint: String,
}

impl Finding {
    pub(in crate::cli) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Finding { message: message.into(), hint: hint.into() }
    }

    /// A failure on the way is one.
    pub(in crate::cli) fn of(failure: Failure) -> Self {
        Finding { hint: failure.hint.unwrap_or_else(|| "cloudtool -vv says more".to_owned()), message: failure.message }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Check {
    pub(in crate::cli) check: String,
    /// What was seen.
    pub(in crate::cli) text: Option<String>,
    pub(in crate::cli) findings: Vec<Finding>,
}

impl Check {
    pub(in crate::cli) fn new(check: &str, text: Option<String>, findings: Vec<Finding>) -> Self {
        Check { check: check.to_owned(), text, findings }
    }
}

/// Whom it is about: this machine, a node, an app on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Subject {
    pub(in crate::cli) node: Option<String>,
    pub(in crate::cli) app: Option<String>,
    pub(in crate::cli) checks: Vec<Check>,
}

/// The check of a node that comes before all others.
pub(in crate::cli) const REACHABLE: &str = "reachable";

impl Subject {
    pub(in crate::cli) fn machine(checks: Vec<Check>) -> Self {
        Subject { node: None, app: None, checks }
    }

    pub(in crate::cli) fn node(node: &str, checks: Vec<Check>) -> Self {
        Subject { node: Some(node.to_owned()), app: None, checks }
    }

    pub(in crate::cli) fn app(app: &str, node: &str, checks: Vec<Check>) -> Self {
        Subject { node: Some(node.to_owned()), app: Some(app.to_owned()), checks }
    }

    pub(in crate::cli) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.checks.iter().flat_map(|check| &check.findings)
    }

    /// Whether it could be looked at at all.
    pub(in crate::cli) fn was_reached(&self) -> bool {
        !self.checks.iter().any(|check| check.check == REACHABLE && !check.findings.is_empty())
    }

    /// A line for each finding, and where `all` is wanted for each check without one.
    pub(in crate::cli) fn lines(&self, all: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for check in &self.checks {
            if check.findings.is_empty() && all {
                lines.push(format!("{}: {}", check.check, check.text.as_deref().unwrap_or("nothing to say")));
            }
            let findings = check.findings.iter();
            lines.extend(findings.map(|finding| format!("{}: {} -> {}", check.check, finding.message, finding.hint)));
        }
        lines
    }

    /// `node web: 14 checks, 1 finding`.
    pub(in crate::cli) fn summary(&self) -> String {
        let title = match (&self.app, &self.node) {
            (Some(app), Some(node)) => format!("{app} on {node}"),
            (_, Some(node)) => format!("node {node}"),
            _ => "this machine".to_owned(),
        };
        let found = match self.findings().count() {
            0 => "all well".to_owned(),
            1 => "1 finding".to_owned(),
            several => format!("{several} findings"),
        };
        format!("{title}: {} checks, {found}", self.checks.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts() {
        let check = |name: &str, findings: usize| {
            Check::new(name, None, vec![Finding::new("The disk is full.", "cloudtool clean-node x"); findings])
        };
        assert_eq!(Subject::machine(vec![check("a", 0)]).summary(), "this machine: 1 checks, all well");
        let node = Subject::node("web", vec![check("a", 1), check(REACHABLE, 0)]);
        assert_eq!((node.summary().as_str(), node.was_reached()), ("node web: 2 checks, 1 finding", true));
        let app = Subject::app("shop", "web", vec![check(REACHABLE, 2)]);
        assert_eq!((app.summary().as_str(), app.was_reached()), ("shop on web: 1 checks, 2 findings", false));
    }
}
