//! `[cron:NAME]`: what runs at its times, in the live release, by its policy, and what is known of it afterwards.

use serde_json::Value;

use crate::Test;
use crate::faults;
use crate::http::request;
use crate::whole::{await_that, remove};
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[
    ("jobs_run_in_the_live_release_by_their_policy", jobs_run_in_the_live_release_by_their_policy),
    ("a_job_runs_when_its_time_comes", a_job_runs_when_its_time_comes),
];

/// Notes its run, and goes on as long as the file `wait` is there.
const JOB: &str = r#"
import os
import time

with open(os.environ["CONFIG_FILES"] + "/runs", "a") as file:
    file.write(f"{os.environ['CLOUDTOOL_RELEASE']} {os.getcwd()}\n")
print("the job runs", flush=True)
while os.path.exists(os.environ["CONFIG_FILES"] + "/wait"):
    time.sleep(0.02)
"#;

const WEB: &str = r#"
import os


def application(environ, start_response):
    cron = environ.get("cloudtool.cron", "nobody's")
    if environ["PATH_INFO"] == "/clean":
        with open(os.environ["CONFIG_FILES"] + "/fetched", "a") as file:
            file.write(f"{cron} {environ['QUERY_STRING']} {environ['HTTP_HOST']} {os.environ['CLOUDTOOL_RELEASE']}\n")
    start_response("500 No" if environ["PATH_INFO"] == "/broken" else "200 OK", [("Content-Type", "text/plain")])
    return [cron.encode()]
"#;

const INI: &str = "runner = app.py
service.files =
[cron:forbid]
at = 03:15
timezone = America/New_York
run = python3 job.py
[cron:allow]
schedule = 0 0 13 * fri
run = python3 job.py
concurrency = allow
[cron:replace]
schedule = @yearly
run = python3 job.py
concurrency = replace
[cron:fetch]
every = 24h
fetch = /clean?all=1
[cron:broken]
every = 24h
fetch = /broken
[cron:fails]
every = 24h
run = sh -c 'echo the reason; exit 3'
";

/// What is known of a job.
fn about(world: &World, name: &str) -> Value {
    let answer: Value = serde_json::from_str(&world.ok(["query", "timed", "--json"])).expect("JSON");
    let crons = answer["apps"][0]["crons"].as_array().cloned().unwrap_or_default();
    crons.into_iter().find(|cron| cron["cron"] == name).unwrap_or_else(|| panic!("no {name} in {answer}"))
}

/// What its timer starts.
fn due(world: &World, name: &str) {
    world.node_script(&format!("systemctl start cloudtool-cron@timed.{name}.service"));
}

fn ended(world: &World, name: &str) -> Value {
    await_that(&format!("{name} has ended"), || {
        let last = about(world, name)["last"].clone();
        (last["result"].is_string() && last["result"] != "running").then_some(last)
    })
}

/// How many of the job's processes there are, once there are that many.
fn await_running(world: &World, name: &str, wanted: usize) {
    let count = || {
        let units = format!("systemctl list-units --plain --no-legend 'cloudtool-run-timed.{name}.*' | wc -l");
        world.node_script(&units).parse::<usize>().expect("a number")
    };
    await_that(&format!("{wanted} of {name} run"), || (count() == wanted).then_some(()));
}

fn jobs_run_in_the_live_release_by_their_policy(world: &World) {
    let app = App::new("timed", INI).file("app.py", WEB).file("job.py", JOB);
    world.ok(["update", app.path_str(), "--host", "timed.test"]);
    let data = faults::on_disk("/srv/cloudtool/apps/timed/data/files");
    let lines = |name: &str| {
        std::fs::read_to_string(data.join(name)).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let timers = world.node_script(
        "for t in forbid allow replace; do systemctl cat cloudtool-cron@timed.$t.timer; done | grep '^OnCalendar'",
    );
    assert_eq!(
        timers.lines().collect::<Vec<_>>(),
        [
            "OnCalendar=*-*-* 03:15:00 America/New_York",
            "OnCalendar=*-*-13 00:00:00",
            "OnCalendar=Fri *-*-* 00:00:00",
            "OnCalendar=*-01-01 00:00:00"
        ]
    );

    let next = about(world, "forbid")["next"].as_str().unwrap_or_default().to_owned();
    assert!(next.ends_with("T07:15:00Z") || next.ends_with("T08:15:00Z"), "03:15 in New York is not {next:?}");

    due(world, "fetch");
    assert_eq!(ended(world, "fetch")["result"], "ok");
    assert_eq!(lines("fetched"), ["fetch all=1 timed.test v1"]);
    let guess = "X-Cloudtool-Cron: fetch\r\nX-Cloudtool-Update: guess\r\n";
    assert_eq!(request(&world.address, "GET", "timed.test", "/", guess, b"").body, "nobody's");
    due(world, "broken");
    assert_eq!(ended(world, "broken")["message"], "/broken was answered with 500.");
    due(world, "fails");
    let last = ended(world, "fails");
    assert_eq!((&last["result"], &last["message"]), (&"failed".into(), &"It ended with status 3.".into()));
    let log = std::fs::read_to_string(faults::on_disk("/var/log/cloudtool/timed/cron-fails.log")).expect("a log");
    assert!(log.contains("[v1] [fails] the reason"), "{log}");
    let warned = both(&world.cloudtool(["query", "timed"]));
    assert!(
        warned.contains("timed: the cron job fails failed at ") && warned.contains("It ended with status 3."),
        "{warned}"
    );

    // Now, and not at its time.
    let said = world.ok(["cron", "timed", "fetch"]);
    assert!(said.contains("timed fetch: ok"), "{said}");
    assert_eq!(lines("fetched").len(), 2);
    let said = world.fails(1, ["cron", "timed", "fails"]);
    assert!(
        said.contains("the reason") && said.contains("fails of timed did not do its work: It ended with status 3."),
        "{said}"
    );
    let said = world.fails(2, ["cron", "timed", "nothing"]);
    assert!(said.contains("timed has no cron job nothing on this node; there are: allow, broken, fails,"), "{said}");
    let said = world.ok(["cron", "timed"]);
    assert!(said.lines().any(|line| line.starts_with("fails ") && line.contains("failed")), "{said}");

    // A time that comes while the job still runs.
    std::fs::write(data.join("wait"), "").expect("it is to wait");
    for name in ["forbid", "allow", "replace"] {
        due(world, name);
        await_running(world, name, 1);
    }
    let first = about(world, "replace")["last"]["number"].clone();
    for name in ["forbid", "allow", "replace"] {
        due(world, name);
    }
    let said = both(&world.cloudtool(["cron", "timed", "forbid"]));
    assert!(said.contains("The job forbid of timed runs already, and may not run twice at once"), "{said}");
    await_running(world, "allow", 2);
    await_running(world, "forbid", 1);
    await_running(world, "replace", 1);
    assert_eq!(about(world, "forbid")["skipped"]["count"], 1);
    assert_ne!(about(world, "replace")["last"]["number"], first);
    assert!(about(world, "allow")["skipped"].is_null() && about(world, "replace")["skipped"].is_null());

    // An update changes neither the times nor what runs; what comes due afterwards runs in the new release.
    let began = "systemctl show -P ActiveEnterTimestampMonotonic cloudtool-cron@timed.fetch.timer";
    let before = world.node_script(began);
    app.write("more.txt", b"another release");
    world.ok(["update", app.path_str()]);
    assert_eq!(world.node_script(began), before);
    await_running(world, "forbid", 1);
    std::fs::remove_file(data.join("wait")).expect("they are to end");
    for name in ["forbid", "allow", "replace"] {
        assert_eq!(ended(world, name)["result"], "ok", "{name}");
        await_running(world, name, 0);
    }
    assert_eq!(lines("runs").len(), 5);
    due(world, "forbid");
    assert_eq!(ended(world, "forbid")["release"], "v2");
    assert_eq!(lines("runs").last().map(String::as_str), Some("v2 /srv/cloudtool/apps/timed/releases/v2"));

    // One that works on data that go is ended.
    std::fs::write(data.join("wait"), "").expect("it is to wait");
    due(world, "forbid");
    await_running(world, "forbid", 1);
    world.ok(["clear", "timed", "-y"]);
    assert_eq!(ended(world, "forbid")["result"], "stopped");

    let refused = App::new("timed", "runner = app.py\n[cron:x]\nat = 12:00\ntimezone = Europe/Nowhere\nfetch = /\n")
        .file("app.py", WEB);
    let refused = world.fails(2, ["update", refused.path_str()]);
    assert!(
        refused.contains("The node knows no time zone Europe/Nowhere, which [cron:x] of app.ini names."),
        "{refused}"
    );
    let app = app.ini("runner = app.py\nservice.files =\n");
    world.ok(["update", app.path_str()]);
    assert_eq!(world.node_script("systemctl list-units --all --plain --no-legend 'cloudtool-cron@*'"), "");
    remove(world, "timed");
}

fn a_job_runs_when_its_time_comes(world: &World) {
    let ini = "runner = app.py\nservice.files =\n[cron:often]\nevery = 1m\nrun = sh -c 'date +%S >>\"$CONFIG_FILES/often\"'\n";
    let app = App::new("minute", ini).file("app.py", WEB);
    world.ok(["update", app.path_str(), "--host", "minute.test"]);
    let often = faults::on_disk("/srv/cloudtool/apps/minute/data/files/often");
    let seconds = await_that("it has run", || std::fs::read_to_string(&often).ok().filter(|text| text.ends_with('\n')));
    println!("it ran at second {}", seconds.trim());
    remove(world, "minute");
}
