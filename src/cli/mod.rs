//! The commands: one file each, with its arguments (whose comments are the help) and one function that tells the story.

mod activate;
mod backup;
mod clean_node;
mod clear;
mod clone_app;
mod clouds;
mod complete;
mod complete_line;
mod completion;
mod config;
mod configure;
mod console;
mod context;
mod create_node;
mod cron;
mod cron_node;
mod data;
mod deactivate;
mod default_node;
mod destroy_node;
mod diff;
mod disable;
mod doctor;
mod enable;
mod env;
mod exec;
mod first_login;
mod forget_host_key;
mod forward;
mod history;
mod host_key;
mod import_clouds;
mod init;
mod inside;
mod label_node;
mod lent;
mod list_backups;
mod list_images;
mod list_locations;
mod list_nodes;
mod list_providers;
mod list_sizes;
mod local;
mod login_keys;
mod logs;
mod man;
mod move_app;
mod plan;
mod ps;
mod query;
mod ranges;
mod refresh;
mod releases;
mod remote_line;
mod remove;
mod report;
mod restart;
mod restore;
mod rollback;
mod run;
mod scale;
mod serve;
mod service_console;
mod service_info;
mod service_rotate;
mod setup_node;
mod several;
mod shell;
mod sleep;
mod ssh;
mod sshd;
mod status;
mod switch_nodes;
mod things;
mod top;
mod unfinished;
mod update;
mod uploads;
mod validate;
mod verify_backup;
mod wake;
mod where_from;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::error::{Failure, Kind};
use crate::ui::{Colour, Ui, give_back_terminal};
use context::Context;
use switch_nodes::{Switch, SwitchNodes};
use unfinished::Unfinished;

/// App Engine for servers you own.
///
/// Deploys directories of Python, PHP or static files to plain Ubuntu and Debian servers, with the services they ask for,
/// and without one failed request. Start with `cloudtool init myapp`, `cloudtool create-node web --setup-node`, `cloudtool update myapp`.
#[derive(Debug, Parser)]
#[command(name = "cloudtool", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// The section [provider:NAME] of the configuration to use, or a provider's own name
    #[arg(short, long, global = true, value_name = "NAME", env = "CLOUDTOOL_PROVIDER")]
    provider: Option<String>,
    /// Answer yes to every question
    #[arg(short, long, global = true, env = "CLOUDTOOL_YES", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    yes: bool,
    /// Say more: the output of programs on the node; twice: the connection and the requests, too
    #[arg(short, long, global = true, action = ArgAction::Count, env = "CLOUDTOOL_VERBOSE")]
    verbose: u8,
    /// Say only what was asked for, and errors
    #[arg(short, long, global = true, env = "CLOUDTOOL_QUIET", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    quiet: bool,
    /// Print JSON: one document for a query, one line an event for a run
    #[arg(long, global = true, env = "CLOUDTOOL_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue)]
    json: bool,
    /// When to colour what goes to the terminal
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", env = "CLOUDTOOL_COLOR")]
    color: Colour,
    /// Another configuration file than ~/.config/cloudtool/cloudtool.ini
    #[arg(long, global = true, value_name = "FILE", env = "CLOUDTOOL_CONFIG")]
    config: Option<PathBuf>,
    /// Append every request to a cloud's API and its answer to FILE, without secrets
    #[arg(long, global = true, value_name = "FILE", env = "CLOUDTOOL_TRACE_HTTP", hide_short_help = true)]
    trace_http: Option<PathBuf>,
    /// How long a cloud's API may take for one answer
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60, env = "CLOUDTOOL_API_TIMEOUT", hide_short_help = true, value_parser = clap::value_parser!(u64).range(1..=3600))]
    api_timeout: u64,
}

impl Globals {
    /// These options as the variables that say the same to another run; without the provider.
    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let flags = [("CLOUDTOOL_YES", self.yes), ("CLOUDTOOL_QUIET", self.quiet), ("CLOUDTOOL_JSON", self.json)];
        let mut variables: Vec<(&'static str, OsString)> =
            flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| (name, "1".into())).collect();
        variables.push(("CLOUDTOOL_VERBOSE", self.verbose.to_string().into()));
        let color = self.color.to_possible_value().map(|value| ("CLOUDTOOL_COLOR", value.get_name().into()));
        variables.extend(color);
        variables.push(("CLOUDTOOL_API_TIMEOUT", self.api_timeout.to_string().into()));
        let files = [("CLOUDTOOL_CONFIG", &self.config), ("CLOUDTOOL_TRACE_HTTP", &self.trace_http)];
        variables.extend(files.into_iter().filter_map(|(name, file)| Some((name, file.clone()?.into_os_string()))));
        variables
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Activate(activate::Activate),
    Backup(backup::Backup),
    CleanNode(clean_node::CleanNode),
    Clear(clear::Clear),
    CloneApp(clone_app::CloneApp),
    #[command(hide = true)]
    Complete(complete_line::Complete),
    Completion(completion::Completion),
    Config(config::Config),
    Configure(configure::Configure),
    Console(console::Console),
    CreateNode(create_node::CreateNode),
    Cron(cron::Cron),
    Deactivate(deactivate::Deactivate),
    DefaultNode(default_node::DefaultNode),
    DestroyNode(destroy_node::DestroyNode),
    Diff(diff::Diff),
    Disable(disable::Disable),
    Doctor(doctor::Doctor),
    Enable(enable::Enable),
    Env(env::Env),
    Exec(exec::Exec),
    ForgetHostKey(forget_host_key::ForgetHostKey),
    Forward(forward::Forward),
    History(history::History),
    ImportClouds(import_clouds::ImportClouds),
    Init(init::Init),
    ListBackups(list_backups::ListBackups),
    LabelNode(label_node::LabelNode),
    ListImages(list_images::ListImages),
    ListLocations(list_locations::ListLocations),
    ListNodes(list_nodes::ListNodes),
    ListProviders(list_providers::ListProviders),
    ListSizes(list_sizes::ListSizes),
    Logs(logs::Logs),
    Man(man::Man),
    MoveApp(move_app::MoveApp),
    Ps(ps::Ps),
    Query(query::Query),
    /// Reboot nodes
    RebootNode(SwitchNodes),
    Refresh(refresh::Refresh),
    Releases(releases::Releases),
    Remove(remove::Remove),
    Report(report::Report),
    Restart(restart::Restart),
    Restore(restore::Restore),
    /// Let suspended nodes go on
    ResumeNode(SwitchNodes),
    Rollback(rollback::Rollback),
    Run(run::Run),
    Scale(scale::Scale),
    Serve(serve::Serve),
    ServiceConsole(service_console::ServiceConsole),
    ServiceInfo(service_info::ServiceInfo),
    ServiceRotate(service_rotate::ServiceRotate),
    SetupNode(setup_node::SetupNode),
    Shell(shell::Shell),
    Sleep(sleep::Sleep),
    Ssh(ssh::Ssh),
    /// Switch stopped nodes on
    StartNode(SwitchNodes),
    Status(status::Status),
    /// Shut nodes down; their disks stay, and at most clouds their price
    StopNode(SwitchNodes),
    /// Suspend nodes: they stand still as they are, until resume-node
    SuspendNode(SwitchNodes),
    Top(top::Top),
    Update(update::Update),
    Validate(validate::Validate),
    VerifyBackup(verify_backup::VerifyBackup),
    Wake(wake::Wake),
}

/// Which node an app command is for.
#[derive(Debug, Clone, Args)]
pub(crate) struct NodeChoice {
    /// The node; without it the one that is known to serve the app, else the default node
    #[arg(long, value_name = "NODE", env = "CLOUDTOOL_NODE")]
    node: Option<String>,
}

/// The whole program: parse, run, print the error, exit code.
pub fn main() -> ExitCode {
    let matches = match definition().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { Kind::Usage.exit_code() } else { 0 };
            // A closed standard output is no reason to fail: the user has seen what they wanted.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let globals = &cli.globals;
    let verbosity = if globals.quiet { -1 } else { i8::try_from(globals.verbose).unwrap_or(i8::MAX) };
    let ui = Ui::new(globals.json, verbosity, globals.color, globals.yes);
    if globals.verbose >= 2 {
        tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .with_max_level(tracing::Level::DEBUG)
            .init();
    }
    // Following a log has no other end, nor has watching.
    let ends_by_hand =
        matches!(&cli.command, Command::Top(_)) || matches!(&cli.command, Command::Logs(logs) if logs.follow);
    let unfinished = Unfinished::default();
    // A shell outlives what its lines are interrupted in, and what runs inside an app, or is one, is interrupted itself.
    if !matches!(
        &cli.command,
        Command::Shell(_) | Command::Run(_) | Command::Serve(_) | Command::Console(_) | Command::Ssh(_)
    ) {
        end_on_signals(&ui, ends_by_hand, &unfinished);
    }
    let outcome = run(cli, &ui, &unfinished);
    unfinished.checkpoint();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui.failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

/// The command line as clap knows it; the documentation is generated from it.
pub fn definition() -> clap::Command {
    Cli::command()
}

fn run(cli: Cli, ui: &Ui, unfinished: &Unfinished) -> Result<(), Failure> {
    let context = Context::new(ui.clone(), cli.globals, unfinished.clone());
    match cli.command {
        Command::Activate(args) => activate::run(&context, args),
        Command::Backup(args) => backup::run(&context, args),
        Command::CleanNode(args) => clean_node::run(&context, args),
        Command::Clear(args) => clear::run(&context, args),
        Command::CloneApp(args) => clone_app::run(&context, args),
        Command::Complete(args) => complete_line::run(&context, args),
        Command::Completion(args) => completion::run(&context, args),
        Command::Config(args) => config::run(&context, args),
        Command::Configure(args) => configure::run(&context, args),
        Command::Console(args) => console::run(&context, args),
        Command::CreateNode(args) => create_node::run(&context, args),
        Command::Cron(args) => cron::run(&context, args),
        Command::Deactivate(args) => deactivate::run(&context, args),
        Command::DefaultNode(args) => default_node::run(&context, args),
        Command::DestroyNode(args) => destroy_node::run(&context, args),
        Command::Diff(args) => diff::run(&context, args),
        Command::Disable(args) => disable::run(&context, args),
        Command::Doctor(args) => doctor::run(&context, args),
        Command::Enable(args) => enable::run(&context, args),
        Command::Env(args) => env::run(&context, args),
        Command::Exec(args) => exec::run(&context, args),
        Command::ForgetHostKey(args) => forget_host_key::run(&context, args),
        Command::Forward(args) => forward::run(&context, args),
        Command::History(args) => history::run(&context, args),
        Command::ImportClouds(args) => import_clouds::run(&context, args),
        Command::Init(args) => init::run(&context, args),
        Command::ListBackups(args) => list_backups::run(&context, args),
        Command::LabelNode(args) => label_node::run(&context, args),
        Command::ListImages(args) => list_images::run(&context, args),
        Command::ListLocations(args) => list_locations::run(&context, args),
        Command::ListNodes(args) => list_nodes::run(&context, args),
        Command::ListProviders(args) => list_providers::run(&context, args),
        Command::ListSizes(args) => list_sizes::run(&context, args),
        Command::Logs(args) => logs::run(&context, args),
        Command::Man(args) => man::run(&context, args),
        Command::MoveApp(args) => move_app::run(&context, args),
        Command::Ps(args) => ps::run(&context, args),
        Command::Query(args) => query::run(&context, args),
        Command::RebootNode(args) => switch_nodes::run(&context, Switch::Reboot, args),
        Command::Refresh(args) => refresh::run(&context, args),
        Command::Releases(args) => releases::run(&context, args),
        Command::Remove(args) => remove::run(&context, args),
        Command::Report(args) => report::run(&context, args),
        Command::Restart(args) => restart::run(&context, args),
        Command::Restore(args) => restore::run(&context, args),
        Command::ResumeNode(args) => switch_nodes::run(&context, Switch::Resume, args),
        Command::Rollback(args) => rollback::run(&context, args),
        Command::Run(args) => run::run(&context, args),
        Command::Scale(args) => scale::run(&context, args),
        Command::Serve(args) => serve::run(&context, args),
        Command::ServiceConsole(args) => service_console::run(&context, args),
        Command::ServiceInfo(args) => service_info::run(&context, args),
        Command::ServiceRotate(args) => service_rotate::run(&context, args),
        Command::SetupNode(args) => setup_node::run(&context, args),
        Command::Shell(args) => shell::run(&context, args),
        Command::Sleep(args) => sleep::run(&context, args),
        Command::Ssh(args) => ssh::run(&context, args),
        Command::StartNode(args) => switch_nodes::run(&context, Switch::Start, args),
        Command::Status(args) => status::run(&context, args),
        Command::StopNode(args) => switch_nodes::run(&context, Switch::Stop, args),
        Command::SuspendNode(args) => switch_nodes::run(&context, Switch::Suspend, args),
        Command::Top(args) => top::run(&context, args),
        Command::Update(args) => update::run(&context, args),
        Command::Validate(args) => validate::run(&context, args),
        Command::VerifyBackup(args) => verify_backup::run(&context, args),
        Command::Wake(args) => wake::run(&context, args),
    }
}

/// Ctrl-C ends the program at once: the node notices, and undoes or finishes what it was doing. Only a node that was ordered is seen
/// to first; then a second Ctrl-C ends it.
fn end_on_signals(ui: &Ui, ends_by_hand: bool, unfinished: &Unfinished) {
    let (ui, unfinished) = (ui.clone(), unfinished.clone());
    let cancelled = || {
        Failure::new(Kind::Cancelled, "cancelled")
            .hint("whatever was running on a node is undone there, or finished if the new release serves already")
    };
    let end = |ui: &Ui, failure: &Failure| -> ! {
        ui.failure(failure);
        std::process::exit(i32::from(Kind::Cancelled.exit_code()))
    };
    let handler = move || {
        give_back_terminal();
        if ends_by_hand {
            std::process::exit(0);
        }
        if unfinished.is_nothing() {
            end(&ui, &cancelled());
        }
        let (ui, unfinished) = (ui.clone(), unfinished.clone());
        std::thread::spawn(move || end(&ui, &unfinished.end(&ui, cancelled())));
    };
    // Without a handler the signal ends the program too, only without the sentence.
    let _ = ctrlc::set_handler(handler);
}
