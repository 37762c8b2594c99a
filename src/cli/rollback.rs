use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::data::Patience;
use super::query::words;
use crate::error::{Failure, Kind};
use crate::names::{AppName, ReleaseId};

/// Go back to the previous release of an app, or to any that is kept
///
/// The same way as an update: the release is started, checked, and switched to. Data stays as it is, unless --with-data is given.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The app's name
    app: AppName,
    /// The release to go to (or forward to)
    #[arg(long, value_name = "RELEASE")]
    to: Option<ReleaseId>,
    /// Put back the data, too, as they were before the update: from the snapshot it took. What was written since is lost
    #[arg(long)]
    with_data: bool,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: Rollback) -> Result<(), Failure> {
    let start = Instant::now();
    let node = context.node(&args.node, Some(&args.app), &[])?;
    let mut remote = context.connect(&node)?;
    let mut request =
        json!({"verb": "rollback", "app": args.app, "to": args.to, "lock_timeout": args.patience.lock_timeout});
    if args.with_data {
        let answer = context.call(&mut remote, json!({"verb": "releases", "app": args.app}))?;
        let snapshot = snapshot(&args.app, args.to.as_ref(), &answer)?;
        context.ui.confirm_by_name(&what_is_lost(&args.app, &node.name, &snapshot), args.app.as_str())?;
        request["to"] = snapshot["release"].clone();
        request["snapshot"] = snapshot["id"].clone();
    }
    let answer = context.call_recorded(&mut remote, "rollback", Some(&args.app), request)?;
    context.ui.event(&answer);
    let (release, seconds) = (words(&answer["release"]), start.elapsed().as_secs_f64());
    let data = answer["backup"].as_str().map(|id| format!(" with the data of {id}")).unwrap_or_default();
    context.ui.line(format!("{} {release} serves{data} ({seconds:.2} s)", args.app));
    Ok(())
}

/// The snapshot to go back to: the newest that was taken of the release `to`, or else the one of before the live release.
fn snapshot(app: &AppName, to: Option<&ReleaseId>, answer: &Value) -> Result<Value, Failure> {
    let mut releases = answer["releases"].as_array().into_iter().flatten();
    let live = || words(&answer["live"]);
    let found = match to {
        Some(to) => releases.find(|release| release["snapshot"]["release"] == json!(to)),
        None => releases.find(|release| release["release"] == answer["live"] && release["snapshot"].is_object()),
    };
    found.map(|release| release["snapshot"].clone()).ok_or_else(|| {
        let message = match to {
            Some(to) => format!("there is no snapshot of the data of {app} {to}"),
            None => format!("there is no snapshot of the data from before {app} {}", live()),
        };
        Failure::new(Kind::Usage, message).hint(format!("cloudtool releases {app} shows which there are"))
    })
}

fn what_is_lost(app: &AppName, node: &str, snapshot: &Value) -> String {
    let minutes = snapshot["age"].as_u64().unwrap_or_default().div_ceil(60);
    format!(
        "{app} on {node} goes back to {} and to its data of {}: what was written in the last {minutes} min is lost.",
        words(&snapshot["release"]),
        words(&snapshot["id"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_found_by_the_release_it_was_taken_of() {
        let app: AppName = "shop".parse().unwrap();
        let of = |id: &str, release: &str| json!({"id": id, "release": release, "age": 61});
        let answer = json!({"live": "v4", "releases": [
            {"release": "v6", "result": "failed", "snapshot": of("e", "v4")},
            {"release": "v5", "result": "failed", "snapshot": of("d", "v4")},
            {"release": "v4", "result": "live", "snapshot": of("c", "v3")},
            {"release": "v3", "result": "previous", "snapshot": null},
        ]});
        let find = |to: Option<&str>| {
            let to: Option<ReleaseId> = to.map(|to| to.parse().unwrap());
            snapshot(&app, to.as_ref(), &answer).ok().map(|found| words(&found["id"]))
        };
        assert_eq!(find(None).as_deref(), Some("c"));
        assert_eq!(find(Some("v3")).as_deref(), Some("c"));
        assert_eq!(find(Some("v4")).as_deref(), Some("e"));
        assert_eq!(find(Some("v2")), None);
        assert!(what_is_lost(&app, "n1", &of("c", "v3")).contains("the last 2 min is lost"));
    }
}
