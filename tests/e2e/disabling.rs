//! An app that is disabled: its visitors get 503 and its page, some of them the app, and everything else goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Test;
use crate::http::{Answer, Connection, get, request};
use crate::whole::{WholeApp, none_failed, nothing_left, remove};
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[
    ("a_disabled_app_answers_503_until_it_is_enabled", a_disabled_app_answers_503_until_it_is_enabled),
    ("some_addresses_are_let_through", some_addresses_are_let_through),
    ("nothing_but_enable_enables", nothing_but_enable_enables),
];

const PAGE: &str = "<!doctype html><title>closed</title>\n<p>Zürich is closed</p>\n";

fn is_closed(answer: &Answer, page: &str) {
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("retry-after"), Some("120"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.body.contains(page), "{}", answer.body);
}

fn a_disabled_app_answers_503_until_it_is_enabled(world: &World) {
    let whole = WholeApp::new("closing", "");
    whole.app.write("maintenance.html", PAGE.as_bytes());
    whole.app.write("static/logo.txt", b"a logo");
    whole.deploy(world);
    let neighbour = WholeApp::deployed(world, "neighbour", "");
    let load = neighbour.hammer(world);
    let visitor = Visitor::start(world, "closing.test");
    world.ok(["disable", "closing.test"]);
    for (method, path) in [("GET", "/"), ("GET", "/logo.txt"), ("POST", "/form"), ("GET", "/maintenance.html")] {
        is_closed(&request(&world.address, method, "closing.test", path, "", b"x=1"), PAGE);
    }
    assert_eq!(request(&world.address, "HEAD", "closing.test", "/", "", b"").status, 503);
    assert!(world.ok(["query", "closing"]).contains("running, disabled"));
    world.ok(["enable", "--by-name", "closing"]);
    assert_eq!(whole.answer(world), "whole 1");
    assert_eq!(get(&world.address, "closing.test", "/logo.txt").body, "a logo");
    // To each visitor: the app, then the page, then the app.
    assert_eq!(visitor.saw(), [200, 503, 200]);
    none_failed(load);
    assert!(world.ok(["enable", "closing"]).contains("was not disabled"));
    nothing_left(world, "closing");
    whole.remove(world);
    neighbour.remove(world);
}

/// Asks on one connection, over and over, until it is told to stop.
struct Visitor {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<u16>>,
}

impl Visitor {
    fn start(world: &World, host: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut connection = Connection::open(&world.address, 80).expect("a connection");
        let mut seen = vec![connection.request("GET", host, "/", "", b"").expect("an answer").status];
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                seen.push(connection.request("GET", host, "/", "", b"").expect("an answer").status);
                seen.dedup();
            }
            seen
        });
        Visitor { stop, thread }
    }

    /// The answers' statuses, each as often as it changed.
    fn saw(self) -> Vec<u16> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every request is answered")
    }
}

fn some_addresses_are_let_through(world: &World) {
    let app = App::hello("halfclosed", "hello");
    world.ok(["update", app.path_str(), "--host", "halfclosed.test"]);
    let ours = world.node_script("echo ${SSH_CONNECTION%% *}");
    world.ok(["disable", "halfclosed", "--allow", "2001:db8::1", "--allow", &ours]);
    assert_eq!(get(&world.address, "halfclosed.test", "/").body, "hello");
    let elsewhere = "python3 -c 'import urllib.request, urllib.error\ntry: urllib.request.urlopen(urllib.request.Request(\"http://127.0.0.1/\", headers={\"Host\": \"halfclosed.test\"}))\nexcept urllib.error.HTTPError as error: print(error.code)'";
    assert_eq!(world.node_script(elsewhere), "503");
    // Whoever disables it again says anew who may pass. Without a page of its own there is the common one.
    world.ok(["disable", "halfclosed"]);
    is_closed(&get(&world.address, "halfclosed.test", "/"), "closed for a while");
    remove(world, "halfclosed");
}

fn nothing_but_enable_enables(world: &World) {
    let whole = WholeApp::deployed(world, "staysclosed", "");
    world.ok(["disable", "staysclosed"]);
    whole.write(2);
    whole.app.write("maintenance.html", PAGE.as_bytes());
    let output = world.cloudtool(["update", whole.app.path_str()]);
    assert!(both(&output).contains("staysclosed is disabled"), "{}", both(&output));
    is_closed(&get(&world.address, "staysclosed.test", "/"), PAGE);
    world.ok(["rollback", "staysclosed"]);
    is_closed(&get(&world.address, "staysclosed.test", "/"), "closed for a while");
    world.ok(["rollback", "staysclosed"]);
    is_closed(&get(&world.address, "staysclosed.test", "/"), PAGE);
    // What the node does when it boots: the routes are made anew from the states.
    world.node_script("rm /etc/cloudtool/front/*.map && /usr/local/lib/cloudtool/cloudtool-node boot");
    let routes = world.node_says(["grep", "staysclosed", "/etc/cloudtool/front/routes.map"]);
    assert!(routes.lines().all(|line| line.contains(" -2") || line.contains(" >")), "{routes}");
    is_closed(&get(&world.address, "staysclosed.test", "/"), PAGE);
    world.ok(["enable", "staysclosed.test"]);
    assert_eq!(whole.answer(world), "whole 2");
    whole.remove(world);
}
