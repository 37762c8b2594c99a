//! `[process:NAME]`: beside the live release, with its data, restarted, scaled, and never two releases at once.

use serde_json::Value;

use crate::Test;
use crate::faults;
use crate::hammer::Hammer;
use crate::http::get;
use crate::whole::{await_that, none_failed, remove};
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[
    ("processes_follow_the_release_and_its_data", processes_follow_the_release_and_its_data),
    ("kills_and_reboots_leave_the_right_processes", kills_and_reboots_leave_the_right_processes),
    ("a_process_that_keeps_failing_waits_and_is_shown", a_process_that_keeps_failing_waits_and_is_shown),
];

/// Says when it begins and when it ends; that takes it a moment.
const WORKER: &str = r#"
import os
import signal
import sys
import time


def stop(number, frame):
    print("finishes", flush=True)
    time.sleep(0.3)
    print("has ended", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
print("begins in", os.getcwd(), "with", os.environ["CONFIG_FILES"], sys.argv[1:], flush=True)
while True:
    signal.pause()
"#;

const INI: &str = "runner = app.py\nservice.files =\n[process:worker]\ncommand = python3 worker.py 'a b' $HOME %i\ncount = 2\nmemory = 64M\nstop_timeout = 20s\n";

fn worker_app(name: &str) -> App {
    App::new(name, INI).file("app.py", &crate::world::hello_source("1")).file("worker.py", WORKER)
}

fn ps(world: &World, app: &str) -> Vec<Value> {
    let answer: Value = serde_json::from_str(&world.ok(["ps", app, "--json"])).expect("JSON");
    answer["processes"].as_array().cloned().unwrap_or_default()
}

/// The processes that run, without the app itself.
fn running(world: &World, app: &str) -> Vec<String> {
    let of = |process: &Value| process["process"].as_str().unwrap_or_default().to_owned();
    ps(world, app).iter().filter(|process| process["state"] == "running").map(of).filter(|name| name != "web").collect()
}

/// What the workers have said so far, `[worker.1] ...`, without the times.
fn said(app: &str) -> Vec<String> {
    let log = faults::on_disk(&format!("/var/log/cloudtool/{app}/process-worker.log"));
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().map(|line| line.split_once("] ").map_or(line, |(_, rest)| rest).to_owned()).collect()
}

/// The workers began in `release`, after all that began before had ended.
fn changed_to(app: &str, release: &str, from: usize, before: usize, now: usize) -> usize {
    await_that(&format!("{now} workers of {app} {release} have begun"), || {
        let new = said(app).split_off(from);
        (new.iter().filter(|line| line.contains("begins in")).count() == now).then_some(())
    });
    let new = said(app).split_off(from);
    let begun = new.iter().position(|line| line.contains("begins in")).unwrap_or(new.len());
    let ended = |lines: &[String]| lines.iter().filter(|line| line.contains("has ended")).count();
    assert_eq!((ended(&new[..begun]), ended(&new[begun..])), (before, 0), "{new:#?}");
    let place = format!("/releases/{release} ");
    assert!(new.iter().filter(|line| line.contains("begins in")).all(|line| line.contains(&place)), "{new:#?}");
    from + new.len()
}

fn processes_follow_the_release_and_its_data(world: &World) {
    let app = worker_app("procs");
    world.ok(["update", app.path_str(), "--host", "procs.test"]);
    let mut seen = changed_to("procs", "v1", 0, 0, 2);
    let first = &said("procs")[0];
    assert!(
        first.contains("[v1] [worker.")
            && first.contains("with /srv/cloudtool/apps/procs/data/files ['a b', '$HOME', '%i']"),
        "{first}"
    );
    assert_eq!(running(world, "procs"), ["worker.1", "worker.2"]);
    let unit = "cloudtool-process@procs.worker.1.service";
    assert_eq!(world.node_says(["systemctl", "show", "-P", "MemoryMax", unit]), (64 << 20).to_string());
    let pid = world.node_says(["systemctl", "show", "-P", "MainPID", unit]);
    assert_eq!(world.node_says(["stat", "-c", "%U", &format!("/proc/{pid}")]), "ct-procs");

    let load = Hammer::start(&world.address, "procs.test", "/", 2, None);
    app.write("more.txt", b"another release");
    world.ok(["update", app.path_str()]);
    seen = changed_to("procs", "v2", seen, 2, 2);
    let scaled = world.ok(["scale", "procs", "worker=3"]);
    assert!(scaled.contains("worker.3"), "{scaled}");
    seen = changed_to("procs", "v2", seen, 0, 1);
    world.ok(["rollback", "procs"]);
    seen = changed_to("procs", "v1", seen, 3, 3);
    let pids = |name: &str| -> Vec<Value> {
        ps(world, "procs")
            .iter()
            .filter(|one| one["process"].as_str().unwrap_or_default().starts_with(name))
            .map(|one| one["pid"].clone())
            .collect()
    };
    let (web, workers) = (pids("web"), pids("worker"));
    world.ok(["restart", "procs", "worker"]);
    seen = await_restart("procs", seen);
    assert_eq!(pids("web"), web);
    assert_ne!(pids("worker"), workers);
    world.ok(["restart", "procs"]);
    seen = changed_to("procs", "v1", seen, 3, 3);
    assert_ne!(pids("web"), web);

    // Other data: those that worked with the old ones have ended.
    world.ok(["clear", "procs", "-y"]);
    seen = changed_to("procs", "v1", seen, 3, 3);
    assert!(said("procs")[seen - 1].contains("/data/files.2 "), "{:?}", said("procs").last());
    assert_eq!(get(&world.address, "procs.test", "/").status, 200);

    world.ok(["scale", "procs", "worker=0"]);
    assert_eq!(running(world, "procs"), [""; 0]);
    world.ok(["scale", "procs", "worker=1"]);
    assert_eq!(running(world, "procs"), ["worker.1"]);
    let refused = world.fails(2, ["scale", "procs", "mailer=1"]);
    assert!(refused.contains("has no process mailer; there are: worker"), "{refused}");
    println!("{} requests", none_failed(load));

    // A release without them has none.
    let app = app.ini("runner = app.py\nservice.files =\n");
    world.ok(["update", app.path_str()]);
    assert_eq!(running(world, "procs"), [""; 0]);
    assert_eq!(
        world.node_script("ls /etc/cloudtool/apps/procs /etc/systemd/system | grep -c 'process' || :"),
        "1",
        "only the template is left"
    );
    remove(world, "procs");
}

/// Each ends and begins by itself, in whatever order.
fn await_restart(app: &str, from: usize) -> usize {
    await_that("three workers have ended and begun", || {
        let new = said(app).split_off(from);
        let count = |what: &str| new.iter().filter(|line| line.contains(what)).count();
        (count("has ended") == 3 && count("begins in") == 3).then_some(from + new.len())
    })
}

const KILLS: u32 = 2;

fn kills_and_reboots_leave_the_right_processes(world: &World) {
    let app = worker_app("prockill");
    let started = std::time::Instant::now();
    world.ok(["update", app.path_str(), "--host", "prockill.test"]);
    let whole = started.elapsed();
    let rounds = faults::rounds(KILLS);
    for round in 0..rounds {
        app.write("round.txt", round.to_string().as_bytes());
        let update = faults::start_update(world, app.path_str(), &[]);
        std::thread::sleep(faults::moment(round, rounds, whole));
        for pid in faults::node_processes("cloudtool/node/__main__.py") {
            faults::kill(pid);
        }
        let _ = update.wait_with_output();
        if round + 1 == rounds {
            // What the kill left is put right by the next start of the node, as far as it goes, and by the next command.
            faults::reboot();
        }
        await_that("the next command goes through", || {
            world.cloudtool(["scale", "prockill", "worker=2"]).status.success().then_some(())
        });
        one_release_works(world, "prockill");
    }
    faults::reboot();
    await_that("the workers are back", || (running(world, "prockill").len() == 2).then_some(()));
    one_release_works(world, "prockill");
    remove(world, "prockill");
}

/// Two workers, of the release that serves.
fn one_release_works(world: &World, app: &str) {
    let script = format!(
        "python3 - <<'END'\nimport json\nstate = json.load(open('/var/lib/cloudtool/apps/{app}.json'))\nprint(state['slots'][state['live']])\nEND\nfor pid in $(pgrep -u ct-{app} -f worker.py); do readlink /proc/$pid/cwd; done"
    );
    let told = world.node_script(&script);
    let lines: Vec<&str> = told.lines().collect();
    let place = format!("/srv/cloudtool/apps/{app}/releases/{}", lines[0]);
    assert_eq!(lines[1..], [place.as_str(), place.as_str()], "{told}");
}

fn a_process_that_keeps_failing_waits_and_is_shown(world: &World) {
    let ini = "runner = app.py\n[process:crash]\ncommand = sh -c 'echo the reason >&2; exit 4'\n";
    let app = App::new("crashes", ini).file("app.py", &crate::world::hello_source("1"));
    world.ok(["update", app.path_str(), "--host", "crashes.test"]);
    let crash = await_that("it waits", || {
        ps(world, "crashes")
            .into_iter()
            .find(|process| process["process"] == "crash.1" && process["state"] == "waiting")
    });
    let note = crash["note"].as_str().expect("a note");
    assert!(note.starts_with("failed ") && note.contains(" times in a row, waits "), "{note}");
    await_that("query warns of it", || {
        both(&world.cloudtool(["query", "crashes"])).contains("warning: crashes: crash.1 failed ").then_some(())
    });
    let log = std::fs::read_to_string(faults::on_disk("/var/log/cloudtool/crashes/process-crash.log")).expect("a log");
    assert!(
        log.contains("[v1] [crash.1] the reason\n") && log.contains("[crash.1] sh ended with status 4 after 0.0 s."),
        "{log}"
    );
    assert_eq!(get(&world.address, "crashes.test", "/").status, 200);
    // An update begins afresh.
    let app = app.ini("runner = app.py\n[process:crash]\ncommand = sleep 1000\n");
    world.ok(["update", app.path_str()]);
    assert_eq!(running(world, "crashes"), ["crash.1"]);
    remove(world, "crashes");
}
