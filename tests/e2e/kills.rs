//! Killed at any moment: the old or the new release serves whole, the next update just works, and nothing stays.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::Test;
use crate::faults::{self, NetworkCut, moment, node_processes, noise, rounds, start_update};
use crate::small_disk::SmallDisk;
use crate::whole::{WholeApp, await_that, none_failed, nothing_left};
use crate::world::{World, assert_success, both};

pub const TESTS: &[Test] = &[
    ("a_client_killed_at_any_moment", a_client_killed_at_any_moment),
    ("a_node_program_killed_at_any_moment", a_node_program_killed_at_any_moment),
    ("a_kill_between_the_routes_and_the_state", a_kill_between_the_routes_and_the_state),
    ("the_network_cut_in_the_middle_of_an_upload", the_network_cut_in_the_middle_of_an_upload),
    ("a_full_disk", a_full_disk),
];

const ROUNDS: u32 = 3;

fn a_client_killed_at_any_moment(world: &World) {
    at_any_moment(world, "clientkill", |_| (), |update| update.kill().expect("it is killed"));
}

fn a_node_program_killed_at_any_moment(world: &World) {
    const PROGRAM: &str = "cloudtool/node/__main__.py";
    at_any_moment(
        world,
        "nodekill",
        |update| {
            await_that("the program runs", || {
                let ended = update.try_wait().expect("it can be asked").is_some();
                (ended || !node_processes(PROGRAM).is_empty()).then_some(())
            });
        },
        |_| node_processes(PROGRAM).into_iter().for_each(faults::kill),
    );
}

/// Many updates, each with a `kill` at another moment after it `begins`, and an undisturbed one after it.
fn at_any_moment(world: &World, name: &str, begins: fn(&mut Child), kill: fn(&mut Child)) {
    let whole = WholeApp::new(name, "update_fetch = script:hook.sh\n");
    whole.app.write("hook.sh", b"echo a hook runs\n");
    whole.deploy(world);
    let load = whole.hammer(world);
    // Of several, the fastest: later than that there is nothing to kill.
    let mut duration = timed_update(world, &whole, 2, begins);
    let (count, mut number, mut hits, mut late) = (rounds(ROUNDS), 2, 0, 0);
    while hits < count {
        let before = format!("whole {number}");
        number += 1;
        whole.write(number);
        let mut update = start_update(world, whole.app.path_str(), &[]);
        begins(&mut update);
        std::thread::sleep(moment(hits, count, duration));
        kill(&mut update);
        let output = update.wait_with_output().expect("it ends");
        let said = both(&output);
        let now = whole.answer(world);
        assert!(now == before || now == format!("whole {number}"), "{now:?} after {before:?}\n{said}");
        if output.status.success() {
            assert_eq!(now, format!("whole {number}"), "{said}");
            late += 1;
            assert!(late <= count + 10, "most kills come too late");
        } else {
            hits += 1;
        }
        number += 1;
        duration = duration.min(timed_update(world, &whole, number, begins));
        nothing_left(world, name);
    }
    println!("{hits} kills over {duration:?}, {late} too late; {} requests, none failed", none_failed(load));
    whole.remove(world);
}

/// Deploys `number`, and gives how long that took since it began.
fn timed_update(world: &World, whole: &WholeApp, number: usize, begins: fn(&mut Child)) -> Duration {
    whole.write(number);
    let mut update = start_update(world, whole.app.path_str(), &[]);
    begins(&mut update);
    let started = Instant::now();
    let output = update.wait_with_output().expect("it ends");
    let took = started.elapsed();
    assert_success(&output);
    assert_eq!(whole.answer(world), format!("whole {number}"));
    took
}

/// The moment that hardly a kill hits: the front routes to the new release, the state still says the old one.
fn a_kill_between_the_routes_and_the_state(world: &World) {
    let whole = WholeApp::deployed(world, "between", "");
    let state = "/var/lib/cloudtool/apps/between.json";
    world.node_script(&format!("cp -p {state} /root/between.json"));
    whole.update(world, 2);
    let load = whole.hammer(world);
    world.node_script(&format!("systemctl start cloudtool-app-blue@between.service\nmv /root/between.json {state}"));
    whole.update(world, 3);
    none_failed(load);
    nothing_left(world, "between");
    whole.remove(world);
}

fn the_network_cut_in_the_middle_of_an_upload(world: &World) {
    let whole = WholeApp::deployed(world, "cut", "");
    let load = whole.hammer(world);
    whole.write(2);
    whole.app.write("large", &noise(64 << 20));
    let update = start_update(world, whole.app.path_str(), &[]);
    let partial = faults::on_disk("/srv/cloudtool/apps/cut/releases/.v2.partial/large");
    await_that("the large file begins", || partial.exists().then_some(()));
    // It stands still until the cut is there, or it could be over.
    faults::signal(update.id(), "STOP");
    let cut = NetworkCut::of(&world.address, update.id());
    faults::signal(update.id(), "CONT");
    whole.write(3);
    let next = start_update(world, whole.app.path_str(), &["--lock-timeout", "90"]);
    let output = update.wait_with_output().expect("it ends");
    let said = both(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("the connection to e2e broke"), "{said}");
    let output = next.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", both(&output));
    assert!(both(&output).contains("waiting"), "{}", both(&output));
    drop(cut);
    assert_eq!(whole.answer(world), "whole 3");
    none_failed(load);
    nothing_left(world, "cut");
    whole.remove(world);
}

/// An update with no room at all, with a little more, and so on until it succeeds: each fails at another of its writes.
fn a_full_disk(world: &World) {
    let whole = WholeApp::deployed(world, "full", "");
    whole.update(world, 2);
    whole.update(world, 3);
    let load = whole.hammer(world);
    let directories = ["/srv/cloudtool/apps/full", "/etc/cloudtool", "/var/lib/cloudtool"];
    let disk = SmallDisk::under(Box::new(|| world.ssh()), "/mnt/small-disk", 16, &directories);
    whole.write(4);
    let mut failures = 0;
    for free_kb in (0..).map(|step: u32| step * 4) {
        disk.leave(free_kb);
        let output = world.cloudtool(["update", whole.app.path_str()]);
        let said = both(&output);
        if output.status.success() {
            println!("{failures} updates on a full disk; it succeeds with {free_kb} KB");
            break;
        }
        failures += 1;
        assert_eq!(output.status.code(), Some(1), "{free_kb} KB: {said}");
        assert!(said.contains("disk is full") || said.contains("MB left"), "{free_kb} KB: {said}");
        assert!(said.contains("clean-node"), "{free_kb} KB: {said}");
        assert_eq!(whole.answer(world), "whole 3");
    }
    assert!(failures > 0, "it was never full");
    assert_eq!(whole.answer(world), "whole 4");
    // What the message says to do works where nothing else does.
    disk.leave(0);
    assert!(world.ok(["clean-node"]).contains("releases/v1"));
    whole.write(5);
    world.ok(["update", whole.app.path_str()]);
    drop(disk);
    assert_eq!(whole.answer(world), "whole 5");
    println!("{} requests, none failed", none_failed(load));
    nothing_left(world, "full");
    whole.remove(world);
}
