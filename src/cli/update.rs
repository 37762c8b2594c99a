use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde_json::{Map, Value, json};

use super::context::{Context, show};
use super::data::Patience;
use super::{NodeChoice, cron_node, data, lent, plan, setup_node};
use crate::app::payload;
use crate::config::{AppConfig, referred};
use crate::deploy::{Action, Plan, Probe, Remote, Source};
use crate::error::{Failure, Kind};
use crate::inventory::NodeRecord;
use crate::names::{AppName, Location};
use crate::node::{Error, Payload, Program, Services};
use crate::ui::{Steps, Ui};

/// Deploy an app
///
/// Sends what changed, provisions the services of app.ini, starts the new release beside the old one, and switches when it is healthy. Whatever
/// fails before that leaves the old release serving.
#[derive(Debug, Args)]
pub(super) struct Update {
    /// The app's directory
    dir: PathBuf,
    /// Where the app is reached: HOST, HOST/PATH or *.DOMAIN; may be given several times
    #[arg(short = 'H', long = "host", value_name = "LOCATION")]
    hosts: Vec<Location>,
    #[command(flatten)]
    node: NodeChoice,
    /// Another name than app.ini's app_name
    #[arg(long)]
    name: Option<AppName>,
    /// Only show what would be done
    #[arg(long)]
    plan: bool,
    /// With --plan: exit with 3 when there is something to do
    #[arg(long, requires = "plan")]
    exit_code: bool,
    /// Only do what this plan says (a file that --plan --json printed, or -); nothing, when the app, its node or the directory has changed since
    ///
    /// The plan also says what the command line does not: the node, the locations, --name and --force.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plan", "force"])]
    expect: Option<PathBuf>,
    /// Make a new release even when nothing changed
    #[arg(short, long)]
    force: bool,
    /// The node that had the app is lost: take over what it has on other nodes (`service.NAME = node:NODE`); asks by name
    #[arg(long, conflicts_with = "plan")]
    take_over: bool,
    /// Say how long each step took, and the number of round trips
    #[arg(long)]
    timings: bool,
    /// A word about this release, for `releases`
    #[arg(long, default_value = "", value_name = "TEXT")]
    note: String,
    #[command(flatten)]
    patience: Patience,
}

pub(super) fn run(context: &Context, args: Update) -> Result<(), Failure> {
    let start = Instant::now();
    let expected = args.expect.as_deref().map(plan::read).transpose()?;
    let args = match &expected {
        Some(plan) => as_planned(args, plan),
        None => args,
    };
    let services = context.services()?;
    let mut config = Source::config(&args.dir, args.name.as_ref(), &services)?;
    for warning in &config.warnings {
        context.ui.warn(&warning.to_string());
    }
    let locations = if args.hosts.is_empty() { config.locations.clone() } else { args.hosts.clone() };
    let node = context.node(&args.node, Some(&config.name), &locations)?;
    cron_node::leave_to_one(context, &mut config, &node, &locations)?;
    if args.take_over {
        let what = format!(
            "What {} has on other nodes becomes that of {}. The node that had it until now is let in no more.",
            config.name, node.name
        );
        context.ui.confirm_by_name(&what, config.name.as_str())?;
    }
    // What is wrong with it is said before anything is done.
    let schedule = if args.plan { None } else { data::schedule(context, config.settings.backup.as_ref())? };
    let certificate = if args.plan { None } else { certificate(context, &args.dir, &config)? };
    let mut steps = if args.plan { context.ui.for_a_question().steps() } else { context.ui.steps() };
    let (source, mut remote) = prepare(context, &args.dir, config, &services, &node, &mut steps)?;
    let whole = args.plan || expected.is_some();
    let (plan, scheduled, answer) = loop {
        let probe = look(context, &mut remote, &source, &locations, whole, &mut steps)?;
        let locations = or_default(locations.clone(), &probe, &node, &source.config.name)?;
        let plan = Plan::new(&source, &locations, &probe, &node.name, args.force)?;
        if args.plan {
            return show_plan(context, &plan, args.exit_code);
        }
        if let (Some(expected), Some(file)) = (&expected, &args.expect) {
            plan::require(expected, &plan, &probe, file, (&source.dir, &source.manifest))?;
        }
        let scheduled = probe.app.as_ref().is_some_and(|app| app.scheduled);
        if plan.action == Action::Nothing {
            set_schedule(context, &mut remote, &plan, schedule, scheduled, &mut steps)?;
            bring_certificate(context, &mut remote, &plan, certificate, &mut steps)?;
            drop(steps);
            say_unchanged(&context.ui, &plan, start);
            print_timings(&context.ui, args.timings, start, &remote);
            return Ok(());
        }
        match apply(context, &args, &plan, &source, &probe, &mut remote, &mut steps).transpose() {
            Some(answer) => break (plan, scheduled, answer),
            None => steps.waiting("somebody else has just updated it: looking again"),
        }
    };
    let (result, detail) = match &answer {
        Ok(answer) => ("done", answer["release"].as_str().unwrap_or_default().to_owned()),
        Err(failure) => ("failed", failure.message.clone()),
    };
    context.record("update", Some(&node.name), Some(&plan.app), result, Some(&detail));
    let answer = answer?;
    context.remember_locations(&node, &plan.app, &answer)?;
    let set = set_schedule(context, &mut remote, &plan, schedule, scheduled, &mut steps)
        .and_then(|()| bring_certificate(context, &mut remote, &plan, certificate, &mut steps));
    drop(steps);
    report(context, &plan, &node, &answer, start);
    print_timings(&context.ui, args.timings, start, &remote);
    set
}

/// What the command line does not say, the plan does.
fn as_planned(mut args: Update, plan: &Plan) -> Update {
    if args.hosts.is_empty() {
        args.hosts.clone_from(&plan.locations);
    }
    args.name.get_or_insert_with(|| plan.app.clone());
    args.node.node.get_or_insert_with(|| plan.node.clone());
    args.force = plan.forced;
    args
}

/// Tells the node when to back the app up by itself, each time: where to, and with which secrets, may have changed.
fn set_schedule(
    context: &Context,
    remote: &mut Remote,
    plan: &Plan,
    wanted: Option<Value>,
    is_set: bool,
    steps: &mut Steps,
) -> Result<(), Failure> {
    if wanted.is_none() && !is_set {
        return Ok(());
    }
    let request = json!({"verb": "schedule", "app": plan.app, "plan": wanted, "lock_timeout": 60});
    let answer = remote.call(request, &mut |event| show(steps, event)).map_err(Error::into_failure)?;
    context.ui.event(&answer);
    Ok(())
}

/// The app's own certificate and its key, as the node takes them.
fn certificate(context: &Context, dir: &Path, config: &AppConfig) -> Result<Option<Value>, Failure> {
    let Some(own) = config.settings.tls.as_ref().and_then(|tls| tls.own.as_ref()) else { return Ok(None) };
    let usage = |message: String| Failure::new(Kind::Usage, message);
    let path = dir.join(&own.chain);
    let chain =
        std::fs::read_to_string(&path).map_err(|error| usage(format!("{} cannot be read: {error}", path.display())))?;
    let ask = |question: &str| context.ui.ask_secret(question).ok();
    let key =
        referred::resolve(&own.key, "tls_key of app.ini".to_owned(), config.name.as_str(), &ask).map_err(usage)?;
    Ok(Some(
        json!({"verb": "certificate", "app": config.name, "chain": chain, "key": key.value.expose(), "lock_timeout": 60}),
    ))
}

/// Gives the node the app's own certificate, each time: the key may be another one.
fn bring_certificate(
    context: &Context,
    remote: &mut Remote,
    plan: &Plan,
    request: Option<Value>,
    steps: &mut Steps,
) -> Result<(), Failure> {
    let Some(request) = request else { return Ok(()) };
    let answer = remote.call(request, &mut |event| show(steps, event)).map_err(Error::into_failure);
    context.record_answer(remote.node(), "certificate", Some(&plan.app), &answer);
    context.ui.event(&answer?);
    Ok(())
}

/// Reads the directory while the connection is made: both take about as long.
pub(super) fn prepare(
    context: &Context,
    dir: &Path,
    config: AppConfig,
    services: &Services,
    node: &NodeRecord,
    steps: &mut Steps,
) -> Result<(Source, Remote), Failure> {
    steps.start("connect");
    let (source, remote) = std::thread::scope(|scope| {
        let scan = scope.spawn(|| Source::scan(dir, config, services));
        let remote = context.connect(node);
        let source = scan.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (source, remote)
    });
    let (source, remote) = (source?, remote?);
    steps.done(&format!(
        "{} ({} files, {:.1} MB)",
        node.name,
        source.manifest.files.len(),
        source.manifest.bytes() as f64 / 1e6
    ));
    Ok((source, remote))
}

/// Asks the node what it has; a node program of another version is exchanged first.
pub(super) fn look(
    context: &Context,
    remote: &mut Remote,
    source: &Source,
    locations: &[Location],
    whole: bool,
    steps: &mut Steps,
) -> Result<Probe, Failure> {
    let request = Probe::request(Some(&source.config.name), Some(&source.digest), locations, whole);
    steps.start("probe");
    let probe = context.probe(remote, request.clone())?;
    if probe.program == Program::version() {
        steps.done("");
        return Ok(probe);
    }
    steps.done(&format!("the node has program {}, this is {}", probe.program, Program::version()));
    steps.start("refresh");
    remote.refresh()?;
    setup_node::converge(context, remote)?;
    let probe = context.probe(remote, request)?;
    steps.done("the node program is exchanged");
    Ok(probe)
}

/// Without a location anywhere: where the app is already; on a local node APP.localhost, else the node's own name, as toppcloud did.
pub(super) fn or_default(
    locations: Vec<Location>,
    probe: &Probe,
    node: &NodeRecord,
    app: &AppName,
) -> Result<Vec<Location>, Failure> {
    let somewhere = probe.app.as_ref().is_some_and(|app| !app.locations.is_empty());
    if !locations.is_empty() || somewhere {
        return Ok(locations);
    }
    let default =
        if node.provider == "local" { format!("{app}.localhost").replace('_', "-") } else { node.name.clone() };
    Ok(vec![default.parse::<Location>()?])
}

fn say_unchanged(ui: &Ui, plan: &Plan, start: Instant) {
    let release = plan.live.as_ref().map(ToString::to_string).unwrap_or_default();
    ui.event(&json!({"event": "result", "app": plan.app, "release": release, "unchanged": true}));
    ui.line(format!("{}: nothing changed, {release} serves ({:.2} s)", plan.app, start.elapsed().as_secs_f64()));
}

/// Does what the plan says. `None` when the app is no longer what the plan was made from: nothing was done.
fn apply(
    context: &Context,
    args: &Update,
    plan: &Plan,
    source: &Source,
    probe: &Probe,
    remote: &mut Remote,
    steps: &mut Steps,
) -> Result<Option<Value>, Failure> {
    let services: Vec<&str> = source.config.settings.services.iter().map(|service| service.name.as_str()).collect();
    let settings = service_settings(context, &services)?;
    let mut request = plan.request(source, &args.note, context.keep()?, &settings);
    request["lock_timeout"] = json!(args.patience.lock_timeout);
    request["elsewhere"] = lent::arrange(context, source, args.take_over, remote, steps)?;
    let uploads = plan.uploads(source, probe);
    let mut local = None;
    let steps = std::cell::RefCell::new(steps);
    let mut write = |out: &mut dyn std::io::Write| {
        let sent = payload::write(&source.dir, &uploads, out, &mut |bytes| {
            steps.borrow().bytes(bytes, plan.upload.bytes);
        });
        sent.map(|_| ()).map_err(|error| {
            let text = error.to_string();
            local = Some(error);
            std::io::Error::other(text)
        })
    };
    let payload = Payload { bytes: plan.upload.bytes, wanted_by: "stage", write: &mut write };
    let answer = remote.call_with_payload(request, payload, &mut |event| show(&mut steps.borrow_mut(), event));
    match (answer, local) {
        // A file that changed under our hands is the reason; the broken conversation only its consequence.
        (Err(_), Some(error)) if !matches!(error, crate::app::Error::Send(_)) => Err(error.into()),
        (Err(Error::Refused(refused)), _) if refused.code == "changed" => Ok(None),
        (answer, _) => answer.map(Some).map_err(|error| with_report(error, args, plan)),
    }
}

/// What the node refused after it had begun can be looked into: its hint says how.
fn with_report(error: Error, args: &Update, plan: &Plan) -> Failure {
    let is_of_node = matches!(error, Error::Refused(_));
    let failure = error.into_failure();
    if !is_of_node || !matches!(failure.kind, Kind::Failed | Kind::HealthCheck) {
        return failure;
    }
    let node = args.node.node.as_ref().map(|node| format!(" --node {node}")).unwrap_or_default();
    let report = format!("all that is known of it in one file: cloudtool report {}{node}", plan.app);
    let before = failure.hint.as_deref().map(|hint| format!("{}; ", hint.trim_end_matches('.'))).unwrap_or_default();
    failure.hint(format!("{before}{report}"))
}

/// The user's `[service:NAME]` sections of these services.
pub(super) fn service_settings(context: &Context, services: &[&str]) -> Result<Value, Failure> {
    let mut all = Map::new();
    for (service, settings) in &context.config()?.services {
        if services.contains(&service.as_str()) {
            let settings: Map<String, Value> =
                settings.iter().map(|(key, value)| (key.clone(), json!(value.expose()))).collect();
            all.insert(service.clone(), Value::Object(settings));
        }
    }
    Ok(Value::Object(all))
}

fn report(context: &Context, plan: &Plan, node: &NodeRecord, answer: &Value, start: Instant) {
    let ui = &context.ui;
    ui.event(answer);
    let release = answer["release"].as_str().unwrap_or_default();
    ui.line(format!("{} {release} serves ({:.2} s)", plan.app, start.elapsed().as_secs_f64()));
    for location in answer["locations"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        ui.line(format!("  {}", url(location, node)));
    }
}

/// Where a browser on this machine finds a location.
pub(super) fn url(location: &str, node: &NodeRecord) -> String {
    let port = node.answer["forwarded_port"].as_u64();
    let (host, path) = location.split_at(location.find('/').unwrap_or(location.len()));
    match port {
        Some(port) if host.ends_with("localhost") => format!("http://{host}:{port}{path}/"),
        _ => format!("http://{host}{path}/"),
    }
}

fn print_timings(ui: &Ui, wanted: bool, start: Instant, remote: &Remote) {
    if wanted {
        let seconds = start.elapsed().as_secs_f64();
        let trips = remote.session().round_trips();
        ui.event(&json!({"event": "timings", "seconds": seconds, "round_trips": trips}));
        ui.line(format!("{seconds:.2} s in all, {trips} round trips"));
    }
}

fn show_plan(context: &Context, plan: &Plan, exit_code: bool) -> Result<(), Failure> {
    context.ui.answer(plan, |ui| plan::print(ui, plan));
    if exit_code && plan.action != Action::Nothing {
        return Err(Failure::new(Kind::PlanHasChanges, format!("{} is not up to date on {}", plan.app, plan.node)));
    }
    Ok(())
}
