//! The node goes down, in order or not: everything comes back by itself.

use crate::Test;
use crate::faults;
use crate::http::get;
use crate::whole::{WholeApp, await_that, none_failed, nothing_left, put_to_sleep};
use crate::world::{World, both};

pub const TESTS: &[Test] = &[
    ("everything_comes_back_after_a_reboot", everything_comes_back_after_a_reboot),
    ("a_power_cut_in_the_middle_of_an_update", a_power_cut_in_the_middle_of_an_update),
];

fn everything_comes_back_after_a_reboot(world: &World) {
    let apps = ["reboot1", "reboot2"].map(|name| WholeApp::deployed(world, name, ""));
    apps[0].update(world, 2);
    faults::reboot();
    for (app, number) in apps.iter().zip([2, 1]) {
        comes_back(world, &app.host, &format!("whole {number}"));
    }
    comes_back(world, "prev.reboot1.test", "whole 1");
    apps[0].update(world, 3);
    for app in apps {
        // The sleeper that was woken to look at it.
        put_to_sleep(world, &app.app.name);
        nothing_left(world, &app.app.name);
        app.remove(world);
    }
}

fn comes_back(world: &World, host: &str, answer: &str) {
    await_that(&format!("{host} is back"), || {
        let mut connection = crate::http::Connection::open(&world.address, 80).ok()?;
        let found = connection.request("GET", host, "/", "", b"").ok()?;
        (found.status == 200).then(|| assert_eq!(found.body, answer))
    });
}

const CUTS: u32 = 3;

fn a_power_cut_in_the_middle_of_an_update(world: &World) {
    let whole = WholeApp::deployed(world, "power", "");
    let mut number = 1;
    let started = std::time::Instant::now();
    number += 1;
    whole.update(world, number);
    let duration = started.elapsed();
    for round in 0..faults::rounds(CUTS).min(CUTS * 4) {
        let before = format!("whole {number}");
        number += 1;
        whole.write(number);
        let update = faults::start_update(world, whole.app.path_str(), &[]);
        std::thread::sleep(faults::moment(round, CUTS, duration));
        faults::cut_power();
        faults::signal(update.id(), "KILL");
        let output = update.wait_with_output().expect("it ends");
        faults::restore_power();
        await_that("the app is back", || {
            let mut connection = crate::http::Connection::open(&world.address, 80).ok()?;
            let found = connection.request("GET", &whole.host, "/", "", b"").ok()?;
            (found.status == 200).then(|| {
                assert!(
                    found.body == before || found.body == format!("whole {number}"),
                    "{}\n{}",
                    found.body,
                    both(&output)
                );
            })
        });
        let load = whole.hammer(world);
        number += 1;
        whole.update(world, number);
        none_failed(load);
        nothing_left(world, "power");
    }
    assert_eq!(get(&world.address, &whole.host, "/").body, format!("whole {number}"));
    whole.remove(world);
}
