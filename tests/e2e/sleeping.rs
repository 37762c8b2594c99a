//! Apps that sleep when nobody visits them: who visits wakes them and is answered, at every moment.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::Test;
use crate::faults::{self, moment, rounds};
use crate::http::{get, request};
use crate::whole::{WholeApp, await_that, none_failed, nothing_left, remove};
use crate::world::{self, App, World};

pub const TESTS: &[Test] = &[
    ("an_idle_app_sleeps_and_fifty_visitors_wake_it_once", an_idle_app_sleeps_and_fifty_visitors_wake_it_once),
    ("no_request_fails_through_sleep_and_wake", no_request_fails_through_sleep_and_wake),
    ("what_is_done_to_a_sleeping_app_works", what_is_done_to_a_sleeping_app_works),
    ("killed_while_it_falls_asleep_or_wakes", killed_while_it_falls_asleep_or_wakes),
    ("a_sleeping_app_sleeps_on_after_a_reboot", a_sleeping_app_sleeps_on_after_a_reboot),
];

fn state(world: &World, app: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(&world.ok(["query", app, "--json"])).expect("JSON");
    answer["apps"][0]["state"].as_str().expect("a state").to_owned()
}

/// Nothing of the app runs.
fn is_asleep(world: &World, app: &str) {
    assert_eq!(state(world, app), "asleep");
    assert_eq!(world.node_script(&format!("pgrep -u ct-{app} || :")), "");
}

/// Starts of the app's slots so far.
fn starts(world: &World, app: &str) -> usize {
    let script = format!("journalctl -q -o cat _PID=1 -u 'cloudtool-app-*@{app}.service' | grep -c ^Started || :");
    world.node_script(&script).parse().expect("a number")
}

/// Answers with how much it got; `/slow` waits until it is told to go.
const COUNTS: &str = "import os, time

def application(environ, start_response):
    while environ['PATH_INFO'] == '/slow' and not os.path.exists(os.environ['CLOUDTOOL_LOGS'] + '/go'):
        time.sleep(0.02)
    length = 0
    while data := environ['wsgi.input'].read(65536):
        length += len(data)
    start_response('200 OK', [])
    return [str(length).encode()]
";

fn an_idle_app_sleeps_and_fifty_visitors_wake_it_once(world: &World) {
    let app = App::new("sleeper", "runner = app.py\nidle_stop = 1s\nidle_ignore = /health\n").file("app.py", COUNTS);
    world.ok(["update", app.path_str(), "--host", "sleeper.test"]);
    assert_eq!(world.node_says(["systemctl", "is-active", "cloudtool-idle.timer"]), "active");
    // While a request runs, the app is not idle, however long ago that began.
    let slow = Slow::start(world, "sleeper");
    let looked = Instant::now();
    while looked.elapsed() < Duration::from_secs(2) {
        world.node_script("systemctl start cloudtool-idle.service");
        assert_eq!(state(world, "sleeper"), "running");
    }
    slow.end();
    await_that("it sleeps", || {
        // What does not count keeps nobody awake.
        assert_eq!(get(&world.address, "sleeper.test", "/health/deep").status, 200);
        world.node_script("systemctl start cloudtool-idle.service");
        (state(world, "sleeper") == "asleep").then_some(())
    });
    is_asleep(world, "sleeper");
    assert_eq!(get(&world.address, "sleeper.test", "/health").body, "asleep\n");
    is_asleep(world, "sleeper");
    let before = starts(world, "sleeper");
    let slow = Slow::start(world, "sleeper");
    let visitors: Vec<_> = (0..50)
        .map(|number| {
            let address = world.address.clone();
            thread::spawn(move || {
                if number % 2 == 0 {
                    return get(&address, "sleeper.test", "/page");
                }
                let answer = request(&address, "POST", "sleeper.test", "/health", "", &vec![b'x'; 100_000 + number]);
                assert_eq!(answer.body, format!("{}", 100_000 + number));
                answer
            })
        })
        .collect();
    for visitor in visitors {
        assert_eq!(visitor.join().expect("it is answered").status, 200);
    }
    assert_eq!(starts(world, "sleeper"), before + 1);
    // Awake, requests go to the slot, and whoever looks for idle apps looks again.
    let route = await_that("the front goes there without asking", || {
        let route = world.node_says(["grep", "^sleeper.test", "/etc/cloudtool/front/routes.map"]);
        (!route.contains('~')).then_some(route)
    });
    assert!(route.ends_with("|sleeper|s"), "{route}");
    assert_eq!(world.node_says(["systemctl", "is-active", "cloudtool-idle.timer"]), "active");
    nothing_left(world, "sleeper");
    slow.end();
    remove(world, "sleeper");
}

/// A request that runs until it is told to end, and keeps the app awake that long.
struct Slow {
    go: std::path::PathBuf,
    thread: thread::JoinHandle<u16>,
}

impl Slow {
    fn start(world: &World, app: &str) -> Self {
        let (address, host) = (world.address.clone(), format!("{app}.test"));
        let thread = thread::spawn(move || get(&address, &host, "/slow").status);
        Slow { go: faults::on_disk(&format!("/var/log/cloudtool/{app}/go")), thread }
    }

    fn end(self) {
        std::fs::write(&self.go, "").expect("it is told");
        assert_eq!(self.thread.join().expect("it is answered"), 200);
        std::fs::remove_file(&self.go).expect("the next one waits again");
    }
}

const SLEEPS: u32 = 3;

fn no_request_fails_through_sleep_and_wake(world: &World) {
    let whole = WholeApp::deployed(world, "dozes", "");
    let load = whole.hammer(world);
    let before = starts(world, "dozes");
    for _ in 0..rounds(SLEEPS) {
        world.ok(["sleep", "dozes.test"]);
        await_that("it is awake again", || (state(world, "dozes") == "running").then_some(()));
        assert_eq!(request(&world.address, "POST", "dozes.test", "/", "", b"x=1").status, 200);
    }
    let requests = none_failed(load);
    println!("{requests} requests through {} sleeps", rounds(SLEEPS));
    assert_eq!(starts(world, "dozes"), before + rounds(SLEEPS) as usize);
    nothing_left(world, "dozes");
    whole.remove(world);
}

fn what_is_done_to_a_sleeping_app_works(world: &World) {
    let whole = WholeApp::deployed(world, "drowsy", "");
    assert!(world.ok(["sleep", "drowsy"]).contains("drowsy v1 sleeps"));
    assert!(world.ok(["sleep", "drowsy"]).contains("was asleep already"));
    assert!(world.ok(["update", whole.app.path_str()]).contains("nothing changed"));
    world.ok(["activate", "drowsy2.test", "drowsy"]);
    world.ok(["clean-node", world::node()]);
    is_asleep(world, "drowsy");
    whole.write(2);
    world.ok(["update", whole.app.path_str()]);
    assert_eq!((state(world, "drowsy").as_str(), whole.answer(world).as_str()), ("running", "whole 2"));
    world.ok(["sleep", "--by-name", "drowsy"]);
    // The previous release is woken without the live one.
    assert_eq!(get(&world.address, "prev.drowsy.test", "/").body, "whole 1");
    assert_eq!(state(world, "drowsy"), "asleep");
    world.ok(["rollback", "drowsy"]);
    assert_eq!(whole.answer(world), "whole 1");
    world.ok(["sleep", "drowsy"]);
    assert!(world.ok(["wake", "drowsy"]).contains("drowsy v1 is awake"));
    assert!(world.ok(["wake", "drowsy"]).contains("was awake already"));
    world.ok(["sleep", "drowsy"]);
    assert_eq!(get(&world.address, "drowsy2.test", "/").body, "whole 1");
    // A release that does not serve leaves the one that sleeps as it was.
    world.ok(["sleep", "drowsy"]);
    whole.app.write("app.py", b"raise ValueError\n");
    let output = world.cloudtool(["update", whole.app.path_str()]);
    assert!(!output.status.success());
    assert_eq!(whole.answer(world), "whole 1");
    nothing_left(world, "drowsy");
    whole.remove(world);
}

const KILLS: u32 = 2;

fn killed_while_it_falls_asleep_or_wakes(world: &World) {
    let whole = WholeApp::deployed(world, "nightmare", "");
    world.ok(["sleep", "nightmare"]);
    world.ok(["wake", "nightmare"]);
    let started = Instant::now();
    world.ok(["sleep", "nightmare"]);
    let sleeping = started.elapsed();
    let started = Instant::now();
    whole.answer(world);
    let waking = started.elapsed();
    let all = rounds(KILLS);
    for round in 0..all {
        let mut sleep = world.command(["sleep", "nightmare"]);
        let mut sleep = sleep.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        thread::sleep(moment(round, all, sleeping));
        faults::node_processes("node/__main__.py").into_iter().for_each(faults::kill);
        sleep.wait().expect("it ends");
        assert_eq!(whole.answer(world), "whole 1", "round {round} of falling asleep");
        world.ok(["sleep", "nightmare"]);
        let (address, host) = (world.address.clone(), whole.host.clone());
        let visitor = thread::spawn(move || get(&address, &host, "/"));
        thread::sleep(moment(round, all, waking));
        faults::node_processes("node/__main__.py waker").into_iter().for_each(faults::kill);
        assert_eq!(visitor.join().expect("it is answered").body, "whole 1", "round {round} of waking up");
        whole.update(world, 1);
    }
    nothing_left(world, "nightmare");
    whole.remove(world);
}

fn a_sleeping_app_sleeps_on_after_a_reboot(world: &World) {
    let sleeper = WholeApp::deployed(world, "hibernates", "");
    let other = WholeApp::deployed(world, "awake", "idle_stop = 1h\n");
    world.ok(["sleep", "hibernates"]);
    faults::reboot();
    await_that("the other is back", || {
        let mut connection = crate::http::Connection::open(&world.address, 80).ok()?;
        let found = connection.request("GET", &other.host, "/", "", b"").ok()?;
        (found.status == 200).then_some(())
    });
    is_asleep(world, "hibernates");
    assert_eq!(world.node_says(["systemctl", "is-active", "cloudtool-idle.timer"]), "active");
    assert_eq!(sleeper.answer(world), "whole 1");
    nothing_left(world, "hibernates");
    sleeper.remove(world);
    other.remove(world);
}
