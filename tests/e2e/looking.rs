//! Looking at apps from outside: logs, how they are, who did what.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;

use crate::Test;
use crate::faults;
use crate::http::get;
use crate::world::{App, World, assert_success, both, json_lines, node};

pub const TESTS: &[Test] = &[
    ("logs_have_every_stream_and_whole_tracebacks", logs_have_every_stream_and_whole_tracebacks),
    ("logs_go_on_through_a_rotation", logs_go_on_through_a_rotation),
    ("logs_of_several_nodes_are_merged", logs_of_several_nodes_are_merged),
    ("status_says_how_an_app_is", status_says_how_an_app_is),
    ("history_says_who_did_what", history_says_who_did_what),
];

const APP: &str = "looked";
const HOST: &str = "looked.test";

/// Says what it is asked to on standard error, or fails.
const SOURCE: &str = "import sys
from urllib.parse import unquote


def application(environ, start_response):
    path = unquote(environ['PATH_INFO'])
    if path.startswith('/fail/'):
        try:
            {}['a key']
        except KeyError as error:
            raise ValueError(path[6:]) from error
    if path.startswith('/say/'):
        print(path[5:], file=sys.stderr)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'looked at']
";

/// Deployed once: the next time nothing has changed.
fn deployed(world: &World) -> App {
    let app = App::new(APP, "runner = app.py\nupdate_fetch = script:hook.sh\n")
        .file("app.py", SOURCE)
        .file("hook.sh", "echo hooked\necho twice\n");
    world.ok(["update", app.path_str(), "--host", HOST]);
    app
}

fn ask(world: &World, path: &str, status: u16) {
    assert_eq!(get(&world.address, HOST, path).status, status, "{path}");
}

fn logs(world: &World, args: &[&str]) -> Vec<Value> {
    let output = world.cloudtool([&["logs", APP, "--json"], args].concat());
    assert_success(&output);
    json_lines(&output)
}

fn text(entry: &Value) -> &str {
    entry["line"].as_str().expect("a text")
}

/// `logs -f`, and what it prints.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(world: &World, args: &[&str]) -> Self {
        let mut child =
            world.command([&["logs", APP, "-f"], args].concat()).stdout(Stdio::piped()).spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Following { child, lines }
    }

    /// Everything up to a line with this in it.
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            seen.push(line.unwrap_or_else(|_| panic!("{wanted:?} never came: {seen:?}")));
            if seen.last().is_some_and(|line| line.contains(wanted)) {
                return seen;
            }
        }
    }

    /// Ctrl-C is no failure.
    fn end(mut self) {
        faults::signal(self.child.id(), "INT");
        assert!(self.child.wait().expect("it ends").success());
    }
}

fn logs_have_every_stream_and_whole_tracebacks(world: &World) {
    let _app = deployed(world);
    ask(world, "/say/first", 200);
    let following = Following::start(world, &["--stream", "app", "--stream", "process", "-n", "1"]);
    following.until("first");
    ask(world, "/fail/of-a-kind", 500);
    ask(world, "/say/the-end", 200);
    let process = "echo \"[2026-01-01T10:00:00Z] [v1] [web] at work\" >>$CLOUDTOOL_LOGS/process-web.log";
    world.ok(["run", APP, "sh", "-c", process]);
    let seen = following.until("at work");
    following.end();
    let count = |what: &str| seen.iter().filter(|line| line.contains(what)).count();
    assert_eq!((count("Traceback"), count("ValueError: of-a-kind"), count("the-end")), (2, 1, 1), "{seen:?}");

    // One record, for --grep and -n too.
    let found = logs(world, &["--stream", "app", "--grep", "of-a-kind"]);
    let [traceback] = &found[..] else { panic!("{found:?}") };
    assert!(text(traceback).contains("KeyError: 'a key'") && text(traceback).contains("direct cause"), "{traceback}");
    assert!(text(traceback).lines().last().is_some_and(|line| line.ends_with("ValueError: of-a-kind")), "{traceback}");
    assert!(traceback["at"].as_str().is_some_and(|at| at.ends_with('Z')) && traceback["node"] == node());
    assert_eq!(logs(world, &["--stream", "app", "-n", "2"]).len(), 2);
    assert!(logs(world, &["--since", "2099-01-01"]).is_empty());
    assert!(!logs(world, &["--since", "10m", "--stream", "app"]).is_empty());

    let all: Vec<(String, String)> = logs(
        world,
        &["-n", "500", "--stream", "access", "--stream", "error", "--stream", "deploy", "--stream", "process"],
    )
    .iter()
    .map(|entry| (entry["stream"].as_str().expect("a stream").to_owned(), text(entry).to_owned()))
    .collect();
    let has = |stream: &str, words: &str| {
        assert!(all.iter().any(|(of, line)| of == stream && line.contains(words)), "{stream} {words} {all:?}")
    };
    has("access", "/fail/of-a-kind");
    has("error", "first");
    has("process", "at work");
    has("deploy", "hooked\ntwice");
    has("deploy", "deploy v1 by tester@");
    let said = world.fails(2, ["logs", APP, "--grep", "("]);
    assert!(said.contains("not a regular expression"), "{said}");
    assert!(world.fails(2, ["logs", APP, "--since", "yesterday"]).contains("not a time"));
}

fn logs_go_on_through_a_rotation(world: &World) {
    let _app = deployed(world);
    ask(world, "/say/before-it", 200);
    let following = Following::start(world, &["--stream", "app", "-n", "1"]);
    following.until("before-it");
    let rotate = format!("logrotate -f /etc/logrotate.d/cloudtool-{APP}");
    world.node_script(&rotate);
    ask(world, "/say/between-them", 200);
    following.until("between-them");
    // The second time the first file is packed.
    world.node_script(&rotate);
    ask(world, "/say/after-them", 200);
    following.until("after-them");
    following.end();
    let found = logs(world, &["--stream", "app", "--grep", "before-it|between-them|after-them"]);
    let words: Vec<&str> = found.iter().filter_map(|entry| text(entry).rsplit(' ').next()).collect();
    assert_eq!(words, ["before-it", "between-them", "after-them"]);
    assert_eq!(world.node_script(&format!("ls /var/log/cloudtool/{APP} | grep -c 'error.log.2.gz'")), "1");
}

/// The node by its name and by its address is two nodes to somebody who knows it by both.
fn logs_of_several_nodes_are_merged(world: &World) {
    let _app = deployed(world);
    ask(world, "/say/merged", 200);
    let data = tempfile::tempdir().expect("a directory");
    let from = world.home.path().join("data");
    for entry in fs::read_dir(&from).expect("it is there").flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), data.path().join(entry.file_name())).expect("it is copied");
    }
    let key = data.path().join("id_ed25519");
    let key = key.to_str().expect("UTF-8");
    let run = |args: &[&str]| -> Output {
        let output = world.command(args).env("CLOUDTOOL_DATA_DIR", data.path()).output().expect("it runs");
        assert_success(&output);
        output
    };
    run(&["setup-node", &format!("root@{}", world.address), "--identity", key]);
    run(&["query", &world.address]);
    let output = run(&["logs", APP, "--stream", "app", "--grep", "merged", "--json"]);
    let nodes: Vec<String> = json_lines(&output).iter().map(|entry| entry["node"].to_string()).collect();
    assert!(nodes.len() == 2 && nodes[0] != nodes[1], "{nodes:?}");
    let said = String::from_utf8_lossy(&run(&["logs", APP, "-n", "9", "--on", "*"]).stdout).into_owned();
    assert!(
        said.lines().any(|line| line.starts_with(&format!(
            "{:<width$} ",
            node(),
            width = world.address.len().max(node().len())
        ))),
        "{said}"
    );
    let told: Value = serde_json::from_slice(&run(&["status", "--json"]).stdout).expect("JSON");
    assert_eq!(told["nodes"].as_array().map(Vec::len), Some(2));
    let told: Value = serde_json::from_slice(&run(&["history", APP, "-n", "2", "--json"]).stdout).expect("JSON");
    assert_eq!(told["entries"][0]["at"], told["entries"][1]["at"]);
}

fn status_says_how_an_app_is(world: &World) {
    let app = deployed(world);
    (0..20).for_each(|_| ask(world, "/", 200));
    let status = |more: &[&str]| {
        let output = world.cloudtool([&["status", HOST, "--json"], more].concat());
        let told: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", both(&output)));
        (told["nodes"][0]["status"]["apps"][0].clone(), output.status.code())
    };
    let (told, _) = status(&[]);
    assert_eq!(told["app"], APP);
    assert_eq!(told["serving"]["state"], "running");
    assert!(told["serving"]["by"].as_str().is_some_and(|by| by.starts_with("tester@")), "{told}");
    assert!(
        told["requests"]["requests"].as_u64() >= Some(20) && told["requests"]["p95_ms"].as_f64() > Some(0.0),
        "{told}"
    );
    let live = ["blue", "green"].iter().find(|slot| told["slots"][**slot]["live"] == true).expect("one is live");
    assert!(told["slots"][*live]["memory_mb"].as_f64() > Some(1.0), "{told}");
    // For people: the app in lines, all apps as a table, the node beside them.
    let said = world.ok(["status", APP]);
    assert!(said.contains("looked on ") && said.contains(" a minute, p50 ") && said.contains("running"), "{said}");
    let output = world.cloudtool(["status"]);
    assert!(both(&output).contains("REQ/MIN") && both(&output).contains("MB free"), "{}", both(&output));

    // What wants attention says what to do, and makes --check fail.
    (0..20).for_each(|_| ask(world, "/fail/often", 500));
    let (told, code) = status(&["--check"]);
    let warnings = told["warnings"].to_string();
    assert!(
        code == Some(1) && warnings.contains("requests of looked failed") && warnings.contains("cloudtool logs looked"),
        "{warnings}"
    );
    world.ok(["disable", HOST]);
    let output = world.cloudtool(["status", APP]);
    assert_success(&output);
    assert!(both(&output).contains("cloudtool enable looked"), "{}", both(&output));
    world.ok(["enable", HOST]);
    app.write("app.py", b"import nothing_of_that_name\n");
    world.cloudtool(["update", app.path_str()]);
    let (told, _) = status(&[]);
    assert!(told["warnings"].to_string().contains("The last update, v2 by tester@"), "{told}");
    let said = world.fails(2, ["status", "nosuchapp"]);
    assert!(said.contains("there is no nosuchapp on "), "{said}");
    world.ok(["remove", APP, "-y", "--with-data"]);
}

fn history_says_who_did_what(world: &World) {
    let _app = deployed(world);
    world.ok(["run", APP, "true"]);
    world.cloudtool(["run", APP, "false"]);
    let told: Value = serde_json::from_str(&world.ok(["history", APP, "-n", "3", "--json"])).expect("JSON");
    let entries = told["entries"].as_array().expect("entries");
    let seen: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| (entry["verb"].as_str().unwrap_or_default(), entry["result"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(seen, [("run", "status 1"), ("run", "ok"), ("deploy", "ok")]);
    assert!(entries.iter().all(|entry| entry["app"] == APP && entry["node"] == node() && entry["seconds"].is_number()));
    let said = world.ok(["history", "--since", "1h"]);
    assert!(said.contains("RESULT") && said.contains("tester@") && said.contains(" run "), "{said}");
    let output = world.cloudtool(["history", APP, "--since", "2099-01-01"]);
    assert!(output.stdout.is_empty() && both(&output).contains("Nothing was done."), "{}", both(&output));
    world.ok(["remove", APP, "-y", "--with-data"]);
}
