//! Several deployers at once: those of one app wait for each other, those of others do not.

use std::io::{BufRead, BufReader, Read};

use crate::Test;
use crate::faults::{node_processes, noise, start_update};
use crate::http::get;
use crate::whole::{WholeApp, await_that, none_failed, nothing_left, put_to_sleep, remove};
use crate::world::{App, World, both, hello_source};

pub const TESTS: &[Test] =
    &[("two_deployers_of_one_app", two_deployers_of_one_app), ("deployers_of_many_apps", deployers_of_many_apps)];

/// A script that goes on until a file is there: what keeps an update in its middle for as long as a test wants.
const SLOW_HOOK: &[u8] =
    b"import os, time\nwhile not os.path.exists(os.environ['HOME'] + '/files/go'):\n    time.sleep(0.01)\n";

fn two_deployers_of_one_app(world: &World) {
    let whole = WholeApp::deployed(world, "shared", "service.files =\n");
    let load = whole.hammer(world);
    let first = WholeApp::new("shared", "service.files =\nupdate_fetch = script:slow.py\n");
    first.write(2);
    first.app.write("slow.py", SLOW_HOOK);
    let first = start_update(world, first.app.path_str(), &[]);
    await_that("the first is at its hook", || (!node_processes("slow.py").is_empty()).then_some(()));

    whole.write(3);
    // More than travels before the node wants it: who waits learns that before the upload, not after.
    whole.app.write("large", &noise(4 << 20));
    let said = world.fails(6, ["update", whole.app.path_str(), "--lock-timeout", "0"]);
    assert!(said.contains("tester@") && said.contains("deploy since"), "{said}");
    let said = world.fails(6, ["rollback", "shared", "--lock-timeout", "0"]);
    assert!(said.contains("tester@"), "{said}");
    // What only looks does not wait.
    assert!(world.ok(["query"]).contains("shared"));

    let mut second = start_update(world, whole.app.path_str(), &[]);
    let mut saying = BufReader::new(second.stderr.take().expect("a pipe"));
    let mut said = String::new();
    while !said.contains("waiting for the lock: tester@") {
        assert!(saying.read_line(&mut said).expect("it says something") > 0, "{said}");
    }
    assert_eq!(whole.answer(world), "whole 1");
    world.node_script("touch /srv/cloudtool/apps/shared/data/files/go");
    let first = first.wait_with_output().expect("it ends");
    assert!(first.status.success(), "{}", both(&first));
    // What it was planned for is not so any more: it is planned anew.
    saying.read_to_string(&mut said).expect("it says what it did");
    assert!(second.wait().expect("it ends").success(), "{said}");
    assert!(said.contains("somebody else has just updated it"), "{said}");
    assert_eq!(whole.answer(world), "whole 3");
    assert_eq!(get(&world.address, "prev.shared.test", "/").body, "whole 2");
    put_to_sleep(world, "shared");
    none_failed(load);
    nothing_left(world, "shared");
    whole.remove(world);
}

fn deployers_of_many_apps(world: &World) {
    // One of them stands still: the others go on beside it.
    let slow = App::new("slow", "runner = app.py\nservice.files =\nupdate_fetch = script:slow.py\n")
        .file("app.py", &hello_source("slow"));
    slow.write("slow.py", SLOW_HOOK);
    let waiting = start_update(world, slow.path_str(), &["--host", "slow.test"]);
    await_that("it stands still", || (!node_processes("slow.py").is_empty()).then_some(()));

    let names: Vec<String> = (1..=8).map(|number| format!("many{number}")).collect();
    let apps: Vec<App> = names.iter().map(|name| App::hello(name, name)).collect();
    let start = |app: &App| start_update(world, app.path_str(), &["--host", &format!("{}.test", app.name)]);
    let updates: Vec<_> = apps.iter().map(start).collect();
    for update in updates {
        let output = update.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", both(&output));
    }
    for name in &names {
        assert_eq!(get(&world.address, &format!("{name}.test"), "/").body, *name);
    }
    world.node_script("touch /srv/cloudtool/apps/slow/data/files/go");
    let output = waiting.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", both(&output));
    assert_eq!(get(&world.address, "slow.test", "/").body, "slow");
    for name in names.iter().map(String::as_str).chain(["slow"]) {
        nothing_left(world, name);
        remove(world, name);
    }
}
