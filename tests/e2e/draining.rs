//! What began before a switch ends after it, in the slot where it began; and a slot that has drained is gone.

use std::time::{Duration, Instant};

use crate::Test;
use crate::faults::on_disk;
use crate::http::{get, request};
use crate::whole::{await_that, nothing_left, remove};
use crate::world::{App, World};

pub const TESTS: &[Test] = &[
    ("requests_that_began_before_a_switch_end", requests_that_began_before_a_switch_end),
    ("a_request_longer_than_drain_timeout_is_cut", a_request_longer_than_drain_timeout_is_cut),
];

/// An app that answers with its number and with how much it got; `/slow?N` takes N seconds for that.
fn source(number: u32) -> String {
    format!(
        "import os, time

def application(environ, start_response):
    length = 0
    if environ['REQUEST_METHOD'] == 'POST':
        while data := environ['wsgi.input'].read(65536):
            length += len(data)
    elif environ['PATH_INFO'] == '/slow':
        open(os.environ['CLOUDTOOL_LOGS'] + '/slow-{number}', 'w').close()
        time.sleep(float(environ['QUERY_STRING']))
    start_response('200 OK', [])
    return [f'{number} {{length}}'.encode()]
"
    )
}

fn requests_that_began_before_a_switch_end(world: &World) {
    const BODY: usize = 5 << 20;
    let app = App::new("drains", "runner = app.py\n").file("app.py", &source(1));
    world.ok(["update", app.path_str(), "--host", "drains.test"]);
    let slow = |address: String| {
        std::thread::spawn(move || {
            let started = Instant::now();
            let answer = get(&address, "drains.test", "/slow?10");
            assert!(started.elapsed() >= Duration::from_secs(10));
            (answer.status, answer.body)
        })
    };
    let first = slow(world.address.clone());
    await_arrival("drains", 1);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let posts = {
        let (address, stop) = (world.address.clone(), std::sync::Arc::clone(&stop));
        std::thread::spawn(move || {
            let body = vec![b'x'; BODY];
            let mut count = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let answer = request(&address, "POST", "drains.test", "/", "", &body);
                assert_eq!(answer.status, 200);
                assert!(answer.body.ends_with(&format!(" {BODY}")), "{}", answer.body);
                count += 1;
            }
            count
        })
    };
    app.write("app.py", source(2).as_bytes());
    world.ok(["update", app.path_str()]);
    assert_eq!(get(&world.address, "drains.test", "/").body, "2 0");
    let second = slow(world.address.clone());
    assert_eq!(first.join().expect("the first slow request is answered"), (200, "1 0".to_owned()));
    await_arrival("drains", 2);
    world.ok(["rollback", "drains"]);
    assert_eq!(get(&world.address, "drains.test", "/").body, "1 0");
    assert_eq!(second.join().expect("the second slow request is answered"), (200, "2 0".to_owned()));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    println!("{} POSTs of {BODY} bytes", posts.join().expect("every POST is answered"));
    // The slots that drained have ended: no unit, no process of theirs.
    nothing_left(world, "drains");
    remove(world, "drains");
}

/// A slow request says that it has arrived.
fn await_arrival(app: &str, number: u32) {
    let note = on_disk(&format!("/var/log/cloudtool/{app}/slow-{number}"));
    await_that("the slow request is in the app", || note.exists().then_some(()));
}

fn a_request_longer_than_drain_timeout_is_cut(world: &World) {
    let app = App::new("cutoff", "runner = app.py\ndrain_timeout = 1\n").file("app.py", &source(1));
    world.ok(["update", app.path_str(), "--host", "cutoff.test"]);
    let address = world.address.clone();
    let slow = std::thread::spawn(move || get(&address, "cutoff.test", "/slow?50").status);
    await_arrival("cutoff", 1);
    app.write("app.py", source(2).as_bytes());
    world.ok(["update", app.path_str()]);
    assert_eq!(get(&world.address, "cutoff.test", "/").body, "2 0");
    assert!(slow.join().expect("it is answered") >= 500);
    nothing_left(world, "cutoff");
    remove(world, "cutoff");
}
