use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::context::Context;
use super::query::words;
use crate::error::{Failure, Kind};
use crate::names::AppName;
use crate::ui::{Table, Ui};

/// Show the cron jobs of an app, or do one of them now
///
/// With JOB: starts it as its timer would, in the release that serves and by its policy of concurrency, waits for its end, and shows what it
/// printed. Ctrl-C ends the waiting, and not the job. The exit code is 0 when it went well.
#[derive(Debug, Args)]
pub(super) struct Cron {
    /// The app's name
    app: AppName,
    /// The NAME of a [cron:NAME]
    job: Option<String>,
    #[command(flatten)]
    node: NodeChoice,
}

pub(super) fn run(context: &Context, args: Cron) -> Result<(), Failure> {
    let node = context.node(&args.node, Some(&args.app), &[])?;
    let mut remote = context.connect(&node)?;
    let Some(job) = &args.job else {
        let answer = context.call(&mut remote, json!({"verb": "cron_jobs", "app": args.app}))?;
        context.ui.answer(&answer, |ui| show(ui, &answer));
        return Ok(());
    };
    let request = json!({"verb": "cron", "app": args.app, "cron": job});
    let answer = context.call_recorded(&mut remote, "cron", Some(&args.app), request)?;
    let run = &answer["run"];
    context.ui.answer(&answer, |ui| {
        answer["printed"].as_array().into_iter().flatten().for_each(|line| ui.line(words(line)));
        match run["seconds"].as_f64() {
            Some(seconds) => ui.line(format!("{} {job}: {} ({seconds:.2} s)", args.app, words(&run["result"]))),
            None => ui.line(format!("{} {job}: it has ended, and runs again already", args.app)),
        }
    });
    match run["result"].as_str() {
        Some("ok") | None => Ok(()),
        Some(_) => {
            let message = format!("{job} of {} did not do its work: {}", args.app, words(&run["message"]));
            Err(Failure::new(Kind::Failed, message).hint(format!("cloudtool logs {} --stream process", args.app)))
        }
    }
}

fn show(ui: &Ui, answer: &Value) {
    let mut table = Table::new(&["JOB", "NEXT", "LAST", "RESULT", "SECONDS", "NOTE"]);
    for cron in answer["crons"].as_array().into_iter().flatten() {
        let last = |key: &str| words(&cron["last"][key]);
        let note = match cron["skipped"]["count"].as_u64() {
            Some(count) => format!("{count} left out; {}", last("message")),
            None => last("message"),
        };
        let note = note.trim_end_matches("; ").to_owned();
        table.row([words(&cron["cron"]), words(&cron["next"]), last("at"), last("result"), last("seconds"), note]);
    }
    table.print(ui);
}
