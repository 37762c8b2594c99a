//! The daily life of an app: deployed, changed, rolled back, routed, removed.

use crate::Test;
use crate::hammer::Hammer;
use crate::http::{Connection, get};
use crate::world::{App, World, hello_source};

pub const TESTS: &[Test] = &[
    ("an_app_is_deployed_changed_and_rolled_back", an_app_is_deployed_changed_and_rolled_back),
    ("nothing_changed_is_said_and_nothing_done", nothing_changed_is_said_and_nothing_done),
    ("no_request_fails_while_everything_happens", no_request_fails_while_everything_happens),
    ("no_request_fails_with_more_connections_than_threads", no_request_fails_with_more_connections_than_threads),
];

fn an_app_is_deployed_changed_and_rolled_back(world: &World) {
    let app = App::hello("life", "one");
    let said = world.ok(["update", app.path_str(), "--host", "life.test"]);
    assert!(said.contains("life v1 serves"), "{said}");
    assert_eq!(get(&world.address, "life.test", "/").body, "one");
    let app = app.file("app.py", &hello_source("two"));
    world.ok(["update", app.path_str()]);
    assert_eq!(get(&world.address, "LIFE.test:80", "/").body, "two");
    assert_eq!(get(&world.address, "prev.life.test", "/").body, "one");
    world.ok(["rollback", "life"]);
    assert_eq!(get(&world.address, "life.test", "/").body, "one");
    let releases = world.ok(["releases", "life"]);
    assert!(releases.contains("v1") && releases.contains("live"), "{releases}");
    world.ok(["remove", "life", "-y"]);
    assert_eq!(get(&world.address, "life.test", "/").status, 404);
}

fn nothing_changed_is_said_and_nothing_done(world: &World) {
    let app = App::hello("same", "same");
    world.ok(["update", app.path_str(), "--host", "same.test"]);
    let said = world.ok(["update", app.path_str(), "--host", "same.test"]);
    assert!(said.contains("same: nothing changed, v1 serves"), "{said}");
    world.ok(["remove", "same", "-y"]);
}

fn no_request_fails_while_everything_happens(world: &World) {
    let app = App::hello("busy", "busy 0");
    let neighbour = App::hello("quiet", "quiet");
    world.ok(["update", app.path_str(), "--host", "busy.test"]);
    world.ok(["update", neighbour.path_str(), "--host", "quiet.test"]);
    let load = Hammer::start(&world.address, "busy.test", "/", 16, Some(|body| body.starts_with("busy ")));
    let beside = Hammer::start(&world.address, "quiet.test", "/", 4, Some(|body| body == "quiet"));
    for round in 1..=20 {
        app.write("app.py", hello_source(&format!("busy {round}")).as_bytes());
        world.ok(["update", app.path_str()]);
        if round % 4 == 0 {
            world.ok(["rollback", "busy"]);
            let guest = App::hello("guest", "guest");
            world.ok(["update", guest.path_str(), "--host", "guest.test"]);
            world.ok(["remove", "guest", "-y"]);
        }
        if round % 7 == 0 {
            world.ok(["setup-node", crate::world::node()]);
        }
    }
    world.ok(["setup-node", crate::world::node()]);
    while load.requests() < 100_000 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for (name, outcome) in [("busy", load.stop()), ("quiet", beside.stop())] {
        println!("{name}: {} requests, {} failed", outcome.requests, outcome.failures.len());
        assert!(outcome.failures.is_empty(), "{name}: {:?}", outcome.failures);
    }
    for app in ["busy", "quiet"] {
        world.ok(["remove", app, "-y"]);
    }
}

/// An Apache without an idle thread closes the connections that the front keeps to it, and no visitor shall notice.
fn no_request_fails_with_more_connections_than_threads(world: &World) {
    let app =
        App::new("crowded", "runner = app.py\nprocesses = 1\nthreads = 2\n").file("app.py", &hello_source("crowded"));
    world.ok(["update", app.path_str(), "--host", "crowded.test"]);
    let load = Hammer::start(&world.address, "crowded.test", "/", 16, Some(|body| body == "crowded"));
    let posts: Vec<_> = (0..4)
        .map(|_| {
            let address = world.address.clone();
            std::thread::spawn(move || {
                let mut connection = Connection::open(&address, 80).expect("a connection");
                for number in 0..250 {
                    let answer = connection.request("POST", "crowded.test", "/", "", b"a=b");
                    assert_eq!(answer.expect("an answer").status, 200, "POST {number}");
                }
            })
        })
        .collect();
    let failed = posts.into_iter().filter_map(|posting| posting.join().err()).count();
    while load.requests() < 5_000 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let outcome = load.stop();
    println!(
        "crowded: {} requests, {} failed; {failed} of 4 times 250 POSTs",
        outcome.requests,
        outcome.failures.len()
    );
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    assert_eq!(failed, 0, "connections whose POSTs were not all answered");
    world.ok(["remove", "crowded", "-y"]);
}
