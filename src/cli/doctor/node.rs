//! A node and its apps.

use std::net::IpAddr;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use super::finding::{Check, Finding, REACHABLE, Subject};
use super::names::{self, Home};
use crate::cli::context::Context;
use crate::deploy::Remote;
use crate::error::Failure;
use crate::inventory::NodeRecord;
use crate::node::{Error, Program};
use crate::providers::local;

/// A clock that is off by more makes certificates, signatures of requests and logs wrong.
const DRIFT_SECONDS: f64 = 5.0;

/// What the verb `doctor` answers.
#[derive(Debug, Deserialize)]
struct Answer {
    program: String,
    /// When it was sent, seconds of the epoch by the node's clock.
    time: f64,
    apps: Vec<AppAnswer>,
    node: NodeAnswer,
}

#[derive(Debug, Deserialize)]
struct AppAnswer {
    app: String,
    hosts: Vec<String>,
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct NodeAnswer {
    addresses: Vec<String>,
    checks: Vec<Check>,
}

/// The node, then those of its apps that match the filter. Nobody is asked anything: an unknown host key is a finding.
pub(super) fn examine(context: &Context, node: &NodeRecord, filter: &[String]) -> Vec<Subject> {
    let context = context.for_one_of_several(&node.name);
    let unreached = |failure: Failure| {
        vec![Subject::node(&node.name, vec![Check::new(REACHABLE, None, vec![Finding::of(failure)])])]
    };
    let mut remote = match context.connect(node) {
        Ok(remote) => remote,
        Err(failure) => return unreached(failure),
    };
    let answer = match remote.call(json!({"verb": "doctor", "filter": filter}), &mut |_| {}) {
        Ok(answer) => answer,
        Err(error) => {
            let other = other_program(&mut remote, &error);
            return unreached(other.unwrap_or_else(|| error.into_failure()));
        }
    };
    subjects(&context, node, &answer).unwrap_or_else(unreached)
}

/// What has just come as an answer of `doctor`, or in that of `report`: the node, then its apps.
pub(in crate::cli) fn subjects(context: &Context, node: &NodeRecord, answer: &Value) -> Result<Vec<Subject>, Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    let answer = Answer::deserialize(answer)
        .map_err(|error| Error::Protocol { node: node.name.clone(), reason: error.to_string() })?;
    Ok(told(context, node, answer, now))
}

/// A program of another version may not know what we ask.
fn other_program(remote: &mut Remote, error: &Error) -> Option<Failure> {
    let Error::Refused(_) = error else { return None };
    let answer: Value = remote.call(json!({"verb": "version"}), &mut |_| {}).ok()?;
    let finding = program(remote.node(), answer["program"].as_str()?)?;
    Some(Failure::new(crate::error::Kind::Failed, finding.message).hint(finding.hint))
}

fn told(context: &Context, node: &NodeRecord, answer: Answer, now: f64) -> Vec<Subject> {
    let home = home(context, node, &answer.node.addresses);
    let mut checks = vec![
        Check::new(REACHABLE, home.addresses.first().map(ToString::to_string), Vec::new()),
        Check::new("program", Some(answer.program.clone()), program(&node.name, &answer.program).into_iter().collect()),
        Check::new(
            "clock against ours",
            Some(format!("{:+.1} s", answer.time - now)),
            drift(&node.name, answer.time - now).into_iter().collect(),
        ),
    ];
    checks.extend(answer.node.checks);
    let mut subjects = vec![Subject::node(&node.name, checks)];
    for app in answer.apps {
        let mut checks = app.checks;
        let text = (!app.hosts.is_empty()).then(|| app.hosts.join(", "));
        checks.push(Check::new("names", text, names::astray(&app.hosts, &home)));
        subjects.push(Subject::app(&app.app, &node.name, checks));
    }
    subjects
}

fn program(node: &str, installed: &str) -> Option<Finding> {
    (installed != Program::version()).then(|| {
        Finding::new(
            format!(
                "{node} has version {installed} of the node program, and this cloudtool brings {}.",
                Program::version()
            ),
            format!("cloudtool setup-node {node}"),
        )
    })
}

/// `ahead`: by how many seconds the node's clock is ahead of ours; a little of that is the way of the answer.
fn drift(node: &str, ahead: f64) -> Option<Finding> {
    (ahead.abs() > DRIFT_SECONDS).then(|| {
        let way = if ahead > 0.0 { "ahead of" } else { "behind" };
        Finding::new(
            format!("The clock of {node} is {:.0} s {way} that of this machine.", ahead.abs()),
            format!("timedatectl here, and cloudtool exec --on {node} timedatectl, say which of them is wrong"),
        )
    })
}

/// What the inventory, the way we came and the node itself know of its addresses.
fn home(context: &Context, node: &NodeRecord, own: &[String]) -> Home {
    let reached = names::resolve(&context.destination(node).host);
    let own = own.iter().filter_map(|address| address.parse::<IpAddr>().ok());
    let known = node.public_ips.iter().copied().chain(reached).chain(node.private_ips.iter().copied());
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in known.chain(own) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Home { node: node.name.clone(), addresses, is_local: node.provider == local::NAME }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_and_programs_are_compared() {
        assert_eq!(drift("web", 4.9), None);
        assert!(drift("web", 3600.4).unwrap().message.contains("3600 s ahead of"));
        assert!(drift("web", -7.0).unwrap().message.contains("7 s behind"));
        assert_eq!(program("web", Program::version()), None);
        assert_eq!(program("web", "old").unwrap().hint, "cloudtool setup-node web");
    }
}
