use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::NodeChoice;
use super::clone_app::{self, place_for_copies};
use super::context::{Context, show};
use super::data::{self, Found, Patience, Target};
use super::lent;
use super::query::words;
use super::update::url;
use crate::backup::Directory;
use crate::config::{BackupPlan, When};
use crate::deploy::Remote;
use crate::error::{Failure, Kind};
use crate::inventory::NodeRecord;
use crate::node::{Event, Program, Store};

/// What stopping the app and the two switches take, in seconds, beside what is measured.
const AROUND: f64 = 1.0;

/// Move an app with its data and locations to another node
///
/// The app is built on the new node, with a copy of its data, while it serves on the old one; data on other servers stay there. Then
/// requests are answered with 503 (and Retry-After) for as long as it takes to bring the newest data. After that the old node sends
/// requests on to the new one, until `deactivate`: so names may be pointed there at leisure. An interrupted move leaves the app where it
/// was; run it again.
#[derive(Debug, Args)]
pub(super) struct MoveApp {
    /// The app, or a location it serves
    #[arg(value_name = "APP|LOCATION")]
    target: Target,
    /// The node to move it to
    #[arg(long, value_name = "NODE")]
    node: String,
    /// The node the app is on, when that is not known
    #[arg(long, value_name = "NODE")]
    from_node: Option<String>,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: MoveApp) -> Result<(), Failure> {
    let start = Instant::now();
    let mut old = data::find(context, &args.target, &NodeChoice { node: args.from_node.clone() })?;
    let to = context.named(&args.node)?;
    if old.node.name == to.name {
        return Err(Failure::new(Kind::Usage, format!("{} is on {} already", old.app, to.name)));
    }
    let address = to.address.clone().unwrap_or_else(|| to.name.clone());
    let (new, _) = context.connect_installing(&to)?;
    let new = RefCell::new(new);
    let described = describe(context, &mut old)?;
    let locations = &described["locations"];
    let window = if described["moved_to"] == json!(address) {
        // A move that was interrupted after the only step that counts.
        None
    } else {
        let place = place_for_copies()?;
        let (given, estimate) = first_copy(context, &args, &mut old, &new, locations, place.path())?;
        let drain = &given["exported"]["settings"]["drain_timeout"];
        context.ui.line(format!(
            "{} will answer 503 for about {estimate:.1} s, and {drain} s more at most when a request still runs",
            old.app
        ));
        let request = json!({
            "verb": "hand_over", "app": old.app, "to": address, "release": given["exported"]["release"], "staying": given["staying"],
            "patience": 600 + 10 * estimate as u64, "lock_timeout": args.patience.lock_timeout,
        });
        let moving = Moving::new(context, &args, &old, &new, place.path(), &described);
        let answer = hand_over(context, &mut old, moving, request);
        context.record_answer(&old.node.name, "move-app", Some(&old.app), &answer);
        answer?["window"].as_f64()
    };
    let answer = context.call(&mut new.borrow_mut(), json!({"verb": "arrived", "app": old.app, "lock_timeout": 60}))?;
    let services = clone_app::services(context, &old.app, &mut new.borrow_mut())?;
    lent::leave_to(context, &old.app, &services, &mut new.borrow_mut());
    move_schedule(context, &mut old, &mut new.borrow_mut(), &described["backup"])?;
    context.refresh_locations(&to, &mut new.borrow_mut())?;
    context.refresh_locations(&old.node, &mut old.remote)?;
    report(context, &old, &to, &answer, window, start);
    Ok(())
}

/// The new node backs the app up by itself as the old one did, where this configuration has the destination: its secrets are not
/// asked back from a node.
fn move_schedule(context: &Context, old: &mut Found, new: &mut Remote, backup: &Value) -> Result<(), Failure> {
    let text = |key: &str| backup[key].as_str().map(str::to_owned);
    let every = backup["every"].as_u64().and_then(|minutes| u32::try_from(minutes).ok()).map(When::Every);
    let Some(when) = every.or_else(|| text("at").map(When::At)) else { return Ok(()) };
    let plan = BackupPlan { when: Some(when), to: text("to"), keep: text("keep"), check: None };
    let request = |plan: Option<Value>| json!({"verb": "schedule", "app": old.app, "plan": plan, "lock_timeout": 60});
    match data::schedule(context, Some(&plan)) {
        Ok(plan) => {
            context.call(new, request(plan))?;
        }
        Err(failure) => context.ui.warn(&format!(
            "{} is no longer backed up by itself, before whoever has its destination updates it: {}",
            old.app, failure.message
        )),
    }
    let nothing = request(None);
    context.call(&mut old.remote, nothing)?;
    Ok(())
}

/// What the old node says of the app.
fn describe(context: &Context, old: &mut Found) -> Result<Value, Failure> {
    let answer = context.call(&mut old.remote, json!({"verb": "query", "filter": [old.app]}))?;
    let mut apps = answer["apps"].as_array().into_iter().flatten();
    apps.find(|app| app["app"] == json!(old.app)).cloned().ok_or_else(|| {
        Failure::new(Kind::Usage, format!("{} has no app {}", old.node.name, old.app))
            .hint("cloudtool query lists the apps")
    })
}

/// Everything that can be done while the app serves. Gives what the old node said of it, and how long the rest will take, in seconds.
fn first_copy(
    context: &Context,
    args: &MoveApp,
    old: &mut Found,
    new: &RefCell<Remote>,
    locations: &Value,
    place: &Path,
) -> Result<(Value, f64), Failure> {
    let mut took = BTreeMap::new();
    let services = clone_app::services(context, &old.app, &mut old.remote)?;
    let places = lent::arrange_arrival(context, &old.app, &services, &mut old.remote, &mut new.borrow_mut())?;
    let export = json!({"verb": "export", "app": old.app, "moving": true, "lock_timeout": args.patience.lock_timeout});
    let given =
        new.borrow_mut().meanwhile(|| call(context, &mut old.remote, &mut Directory::new(place), export, &mut took))?;
    let mut request = json!({
        "verb": "clone", "program": Program::version(), "app": old.app, "of": old.app, "arriving": true, "locations": locations,
        "elsewhere": places, "keep": context.keep()?, "lock_timeout": args.patience.lock_timeout,
    });
    clone_app::bring(context, &given, &mut request)?;
    old.remote.meanwhile(|| call(context, &mut new.borrow_mut(), &mut Directory::new(place), request, &mut took))?;
    let directories: Vec<&str> =
        given["directories"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let again: f64 = took.iter().filter(|(step, _)| comes_again(step, &directories)).map(|(_, seconds)| seconds).sum();
    Ok((given, again + AROUND))
}

/// Sends a request with a store, and notes how many seconds each step took.
fn call(
    context: &Context,
    remote: &mut Remote,
    store: &mut dyn Store,
    mut request: Value,
    took: &mut BTreeMap<String, f64>,
) -> Result<Value, Failure> {
    request["store"] = json!({"kind": "client", "name": "move"});
    let mut steps = context.ui.steps();
    let answer = remote.call_with_store(request, store, &mut |event| {
        if let Event::Step { step, state, seconds, .. } = &event
            && state == "done"
        {
            *took.entry(step.clone()).or_default() += seconds;
        }
        show(&mut steps, event);
    });
    answer.map_err(crate::node::Error::into_failure)
}

/// Whether a step of the first copy takes as long when the rest follows. Of directories, only what changed does, and services
/// are installed by then.
fn comes_again(step: &str, directories: &[&str]) -> bool {
    match step.split_once(' ') {
        Some(("copy" | "restore", what)) => what != "release" && !directories.contains(&what),
        _ => ["start", "health"].contains(&step),
    }
}

fn hand_over(context: &Context, old: &mut Found, mut moving: Moving<'_>, request: Value) -> Result<Value, Failure> {
    let answer = call(context, &mut old.remote, &mut moving, request, &mut BTreeMap::new());
    // What went wrong on the new node is the reason; that the old one gave up its consequence.
    match moving.failure {
        Some(failure) => Err(failure),
        None => answer,
    }
}

/// The store of a move: when all is in it, the new node takes it.
struct Moving<'m> {
    context: &'m Context,
    directory: Directory,
    place: PathBuf,
    new: &'m RefCell<Remote>,
    request: Value,
    failure: Option<Failure>,
}

impl<'m> Moving<'m> {
    fn new(
        context: &'m Context,
        args: &MoveApp,
        old: &Found,
        new: &'m RefCell<Remote>,
        place: &Path,
        described: &Value,
    ) -> Self {
        let request = json!({
            "app": old.app, "locations": described["locations"], "disabled": described["disabled"], "scale": described["scale"],
            "lock_timeout": args.patience.lock_timeout,
        });
        Moving { context, directory: Directory::new(place), place: place.to_owned(), new, request, failure: None }
    }

    /// New data when there are some, and the locations.
    fn arrive(&self, backup: Option<&str>) -> Result<(), Failure> {
        let mut request = self.request.clone();
        request["verb"] = json!("arrive");
        request["backup"] = json!(backup);
        call(self.context, &mut self.new.borrow_mut(), &mut Directory::new(&self.place), request, &mut BTreeMap::new())
            .map(|_| ())
    }
}

impl Store for Moving<'_> {
    fn list(&mut self, app: &str) -> io::Result<BTreeMap<String, u64>> {
        self.directory.list(app)
    }

    fn read(&mut self, app: &str, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.directory.read(app, name, offset, length)
    }

    fn write(&mut self, app: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.directory.write(app, name, bytes)
    }

    fn commit(&mut self, app: &str, name: &str) -> io::Result<()> {
        self.directory.commit(app, name)
    }

    fn delete(&mut self, app: &str, name: &str) -> io::Result<()> {
        self.directory.delete(app, name)
    }

    fn handed(&mut self, backup: Option<&str>) -> io::Result<()> {
        self.arrive(backup).map_err(|failure| {
            let error = io::Error::other(failure.message.clone());
            self.failure = Some(failure);
            error
        })
    }
}

fn report(context: &Context, old: &Found, to: &NodeRecord, answer: &Value, window: Option<f64>, start: Instant) {
    let ui = &context.ui;
    let mut event = answer.clone();
    event["window"] = json!(window);
    ui.event(&event);
    let seconds = start.elapsed().as_secs_f64();
    ui.line(format!("{} {} serves on {} ({seconds:.2} s)", old.app, words(&answer["release"]), to.name));
    if let Some(window) = window {
        ui.line(format!("  it answered 503 for {window:.2} s"));
    }
    for location in answer["locations"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        ui.line(format!("  {}", url(location, to)));
    }
    let (app, node) = (&old.app, &old.node.name);
    ui.line(format!("  {node} sends requests on to {}: point the names there, then", to.name));
    ui.line(format!("  cloudtool remove {app} --with-data --node {node}"));
}

#[cfg(test)]
mod tests {
    use super::comes_again;

    #[test]
    fn only_what_is_done_again_counts() {
        let again = |step| comes_again(step, &["files"]);
        assert!(again("copy postgresql") && again("restore postgresql") && again("start"));
        assert!(
            !again("copy files")
                && !again("restore files")
                && !again("copy release")
                && !again("packages")
                && !again("services")
        );
    }
}
