//! End to end: the real binary against a real node, which is made before the first test and destroyed after the last.
//!
//! The tests share the node and run one after the other, each with apps of its own. They need root on Linux; without it they are
//! counted as ignored, and it is said why. So are the long ones, but for `--include-ignored`. `cargo test --test e2e -- NAME` runs
//! those whose name (FILE::TEST) holds NAME. Several runs may go on at once, each with a `CLOUDTOOL_E2E_PART`: `apps`, `data` or
//! `living`.

mod faults;
mod hammer;
mod http;
mod probe;
mod routing;
mod secrets;
mod service_scripts;
mod small_disk;
mod straight;
mod whole;
mod world;

// The servers of the tests of clouds, one of which is S3.
#[path = "../clouds/server.rs"]
mod server;

mod access;
mod bad_releases;
mod certificates;
mod config;
mod copies;
mod couchdb;
mod crons;
mod data;
mod data_kills;
mod databases;
mod deploying;
mod disabling;
mod doctoring;
mod draining;
mod drills;
mod elsewhere;
mod examples;
mod hostile;
mod inside;
mod isolation;
mod kills;
mod lock;
mod looking;
mod new_nodes;
mod node_program;
mod other_services;
mod own_service;
mod processes;
mod python_apps;
mod reboot;
mod redis;
mod reporting;
mod reviewing;
mod rotation;
mod runners;
mod serve;
mod servers;
mod service_tools;
mod services;
mod sleeping;
mod stores;
mod versions;
mod watching;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use world::World;

/// A test: its name, and what it does with the node.
type Test = (&'static str, fn(&World));

/// The tests of a file, with its name.
type File = (&'static str, &'static [Test]);

/// What takes half a minute or more, and is far from most changes or like another that stays: `make test` leaves it to `make test-all`.
const LONG: &[&str] = &[
    "new_nodes::whoever_the_image_lets_in_is_found",
    "new_nodes::a_node_that_fails_after_its_order_is_not_forgotten",
    "new_nodes::ctrl_c_forgets_no_node",
    "new_nodes::commands_run_on_all_nodes_of_a_label",
    "hostile::ten_thousand_files_and_a_large_one_travel",
    "bad_releases::a_bad_php_release_never_serves",
    "examples::guestbook_looks_right_in_a_browser",
    "stores::a_line_that_stays_cut_ends_a_backup",
    "drills::between_two_nodes",
    "versions::data_go_to_newer_servers",
    "processes::kills_and_reboots_leave_the_right_processes",
    "kills::a_node_program_killed_at_any_moment",
    "reboot::a_power_cut_in_the_middle_of_an_update",
    "lock::deployers_of_many_apps",
    "draining::a_request_longer_than_drain_timeout_is_cut",
    "examples::django_polls_counts_votes",
    "data_kills::a_client_killed_while_data_travel",
    "rotation::a_rotation_killed_at_any_moment_leaves_one_login",
    "servers::a_database_is_where_an_address_says",
    "elsewhere::mysql_and_redis_are_where_addresses_say",
    "elsewhere::what_is_on_another_node_is_copied_and_outlives_a_lost_one",
    "stores::a_line_that_comes_back_costs_no_backup",
    "crons::a_job_runs_when_its_time_comes",
    "stores::what_is_cut_off_is_never_listed",
    "kills::the_network_cut_in_the_middle_of_an_upload",
    "couchdb::notes_are_kept_in_couchdb",
    "own_service::the_service_of_the_book_works",
    "elsewhere::mysql_and_redis_are_on_another_node",
    "other_services::a_directory_of_another_server_is_mounted",
    "databases::mariadb_starts_again_after_a_full_disk",
    "elsewhere::an_app_moves_and_its_data_stay",
    "copies::what_was_said_of_an_app_moves_along",
    "databases::a_forged_mysql_dump_does_not_reach_the_share_in_use",
    "databases::a_mysql_dump_loads_into_another_app",
    "stores::what_was_abandoned_is_taken_away",
    "sleeping::a_sleeping_app_sleeps_on_after_a_reboot",
    "other_services::an_app_is_led_to_its_database_of_mongodb",
    "other_services::each_app_has_a_memcached_of_its_own",
    "kills::a_full_disk",
    "access::what_does_not_answer_is_given_up_soon",
    "access::ssh_config_agents_and_other_ports_are_honoured",
    "node_program::no_value_anywhere_in_a_request_breaks_the_program",
    "copies::cron_jobs_of_an_app_on_two_nodes_run_on_one",
    "databases::damaged_and_foreign_dumps_are_refused",
    "runners::a_command_that_does_not_serve_is_no_release",
    "sleeping::killed_while_it_falls_asleep_or_wakes",
];

/// How many of the slowest are told.
const SLOWEST: usize = 25;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One node, and tests that load it: side by side they would measure each other.
    arguments.test_threads = Some(1);
    let apps: &[File] = &[
        ("deploying", deploying::TESTS),
        ("bad_releases", bad_releases::TESTS),
        ("draining", draining::TESTS),
        ("lock", lock::TESTS),
        ("node_program", node_program::TESTS),
        ("hostile", hostile::TESTS),
        ("secrets", secrets::TESTS),
        ("routing", routing::TESTS),
        ("access", access::TESTS),
        ("isolation", isolation::TESTS),
        ("python_apps", python_apps::TESTS),
        ("examples", examples::TESTS),
        ("inside", inside::PHP_TESTS),
        ("serve", serve::PHP_TESTS),
        ("new_nodes", new_nodes::TESTS),
        ("kills", kills::TESTS),
        ("reboot", reboot::TESTS),
    ];
    let data: &[File] = &[
        ("services", services::TESTS),
        ("service_tools", service_tools::TESTS),
        ("databases", databases::TESTS),
        ("data", data::TESTS),
        ("data_kills", data_kills::TESTS),
        ("drills", drills::TESTS),
        ("stores", stores::TESTS),
        ("rotation", rotation::TESTS),
        ("own_service", own_service::TESTS),
        ("copies", copies::TESTS),
        ("versions", versions::TESTS),
        ("servers", servers::TESTS),
        ("elsewhere", elsewhere::TESTS),
    ];
    let living: &[File] = &[
        ("config", config::TESTS),
        ("disabling", disabling::TESTS),
        ("sleeping", sleeping::TESTS),
        ("certificates", certificates::TESTS),
        ("runners", runners::TESTS),
        ("processes", processes::TESTS),
        ("crons", crons::TESTS),
        ("inside", inside::TESTS),
        ("serve", serve::TESTS),
        ("looking", looking::TESTS),
        ("doctoring", doctoring::TESTS),
        ("reviewing", reviewing::TESTS),
        ("reporting", reporting::TESTS),
        ("watching", watching::TESTS),
        // Services with a server of their own, which nothing else of `data` needs. NFS cannot be in a container: its units fail.
        ("couchdb", couchdb::TESTS),
        ("redis", redis::TESTS),
        ("other_services", other_services::TESTS),
    ];
    let files = match world::part().as_deref() {
        None => [apps, data, living].concat(),
        Some("apps") => apps.to_vec(),
        Some("data") => data.to_vec(),
        Some("living") => living.to_vec(),
        Some(other) => panic!("CLOUDTOOL_E2E_PART is {other:?}, none of apps, data and living"),
    };
    let missing = world::what_is_missing();
    if let Some(missing) = &missing {
        eprintln!("\n*** THE END-TO-END TESTS DO NOT RUN: {missing} ***\n");
        arguments.include_ignored = false;
    }
    let world: Arc<OnceLock<World>> = Arc::default();
    let times: Arc<Mutex<Vec<(Duration, String)>>> = Arc::default();
    let tests =
        files.iter().flat_map(|(file, tests)| tests.iter().map(move |(name, test)| (format!("{file}::{name}"), *test)));
    let trials = tests.map(|(name, test)| {
        let left_out = missing.is_some() || LONG.contains(&name.as_str());
        let (world, times, named) = (Arc::clone(&world), Arc::clone(&times), name.clone());
        let trial = Trial::test(name, move || {
            let world = world.get_or_init(World::new);
            let started = Instant::now();
            test(world);
            times.lock().unwrap().push((started.elapsed(), named));
            Ok(())
        });
        trial.with_ignored_flag(left_out)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // Dropping it destroys the node, before the exit code ends the process.
    drop(Arc::into_inner(world).and_then(OnceLock::into_inner));
    print_slowest(std::mem::take(&mut *times.lock().unwrap()));
    conclusion.exit_code()
}

/// Where the time goes: it is scarce, and a test that has become slow should be seen.
fn print_slowest(mut times: Vec<(Duration, String)>) {
    times.sort();
    let all: Duration = times.iter().map(|(time, _)| *time).sum();
    println!("\n{} s in {} tests that passed, the slowest of them:", all.as_secs(), times.len());
    for (time, name) in times.iter().rev().take(SLOWEST) {
        println!("{:7.1} s  {name}", time.as_secs_f32());
    }
}
