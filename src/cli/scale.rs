use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::NodeChoice;
use super::context::Context;
use super::data::Patience;
use super::ps;
use crate::error::Failure;
use crate::names::AppName;

/// Say how many of a process run on a node, instead of the count of app.ini
///
/// It stays so through updates. Those that become too many finish what they are at (stop_timeout).
#[derive(Debug, Args)]
pub(super) struct Scale {
    /// The app's name
    app: AppName,
    /// How many: worker=3; 0 for none
    #[arg(required = true, value_name = "PROCESS=NUMBER", value_parser = count)]
    counts: Vec<(String, u32)>,
    #[command(flatten)]
    node: NodeChoice,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: Scale) -> Result<(), Failure> {
    let node = context.node(&args.node, Some(&args.app), &[])?;
    let mut remote = context.connect(&node)?;
    let counts: BTreeMap<String, u32> = args.counts.into_iter().collect();
    let request =
        json!({"verb": "scale", "app": args.app, "counts": counts, "lock_timeout": args.patience.lock_timeout});
    let answer = context.call_recorded(&mut remote, "scale", Some(&args.app), request)?;
    context.ui.answer(&answer, |ui| ps::show(ui, &answer));
    Ok(())
}

fn count(text: &str) -> Result<(String, u32), String> {
    let parsed = text.split_once('=').and_then(|(name, number)| Some((name, number.parse::<u32>().ok()?)));
    match parsed {
        Some((name, number)) if number <= 100 && !name.is_empty() => Ok((name.to_owned(), number)),
        _ => Err("write PROCESS=NUMBER, with a number up to 100: worker=3".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(count("worker=3"), Ok(("worker".to_owned(), 3)));
        assert_eq!(count("worker=0"), Ok(("worker".to_owned(), 0)));
        for bad in ["worker", "worker=", "worker=-1", "worker=101", "=1", "worker=1.5"] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }
}
