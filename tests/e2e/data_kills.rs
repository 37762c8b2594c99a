//! Killed at any moment of a backup, a restore or a clear: what serves is whole, old or new, and what is listed can be restored.

use std::fs;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Test;
use crate::faults::{self, moment, node_processes, noise, rounds};
use crate::whole::{await_that, none_failed};
use crate::world::{App, World, assert_success, both};

pub const TESTS: &[Test] = &[
    ("a_client_killed_while_data_travel", a_client_killed_while_data_travel),
    ("a_node_program_killed_while_data_travel", a_node_program_killed_while_data_travel),
    ("a_full_disk_of_the_client", a_full_disk_of_the_client),
];

/// Of each of the three verbs.
const ROUNDS: u32 = 1;
const HOST: &str = "killed.test";
const PROGRAM: &str = "cloudtool/node/__main__.py";

/// What the data are: a number in each of several files, so that a mixture shows.
fn write(world: &World, number: u32) {
    let code = format!(
        "import os\nfor n in range(20):\n    open(os.environ['CONFIG_FILES'] + f'/{{n}}', 'w').write('{number}')"
    );
    world.inside(HOST, &code);
}

/// The number that all files hold; `None` when there are none.
fn read(world: &World) -> Option<u32> {
    let code = "import os\nroot = os.environ['CONFIG_FILES']\nprint(*{open(root + f'/{n}').read() for n in range(20)} if os.path.exists(root + '/0') else ())";
    let said = world.inside(HOST, code);
    assert!(!said.contains(' '), "a mixture: {said}");
    said.parse().ok()
}

fn deployed(world: &World) -> App {
    let app = App::obeying("killed", "service.files =\n");
    app.write("large", &noise(8 << 20));
    world.ok(["update", app.path_str(), "--host", HOST]);
    // Enough to travel for a while.
    world.inside(HOST, "import os, shutil\nshutil.copy('large', os.environ['CONFIG_FILES'] + '/large')");
    app
}

fn a_client_killed_while_data_travel(world: &World) {
    at_any_moment(world, |_| (), |child| child.kill().expect("it is killed"));
}

fn a_node_program_killed_while_data_travel(world: &World) {
    let begins = |child: &mut Child| {
        await_that("the program runs", || {
            let ended = child.try_wait().expect("it can be asked").is_some();
            (ended || !node_processes(PROGRAM).is_empty()).then_some(())
        });
    };
    at_any_moment(world, begins, |_| node_processes(PROGRAM).into_iter().for_each(faults::kill));
}

fn at_any_moment(world: &World, begins: fn(&mut Child), kill: fn(&mut Child)) {
    let _app = deployed(world);
    let place = tempfile::tempdir().expect("a temporary directory");
    let (dest, backup) = (path(&place).to_owned(), format!("{}/killed", path(&place)));
    write(world, 1);
    let load = crate::hammer::Hammer::start(&world.address, HOST, "/", 1, None);
    let mut kills = 0;
    for verb in [
        vec!["backup", "killed", &dest],
        vec!["restore", &backup, HOST, "-y"],
        vec!["clear", HOST, "--no-backup", "-y"],
    ] {
        world.ok(["backup", "killed", &dest]);
        let mut run = start(world, &verb);
        begins(&mut run);
        let started = Instant::now();
        assert_success(&run.wait_with_output().expect("it ends"));
        let duration = started.elapsed();
        restore(world, &backup);
        let count = rounds(ROUNDS);
        for round in 0..count {
            let number = 100 * kills + 10;
            write(world, number);
            world.ok(["backup", "killed", &dest]);
            write(world, number + 1);
            let output = killed(world, &verb, begins, kill, moment(round, count, duration));
            kills += 1;
            let said = both(&output);
            let now = read(world);
            match verb[0] {
                "backup" => assert_eq!(now, Some(number + 1), "{said}"),
                "restore" => assert!([Some(number), Some(number + 1)].contains(&now), "{now:?}: {said}"),
                _ => assert!([None, Some(number + 1)].contains(&now), "{now:?}: {said}"),
            }
            // Whatever is listed is whole, and the next command just works.
            let verified = world.ok(["verify-backup", &backup]);
            assert!(verified.contains("can be restored"), "{verified}");
            restore(world, &backup);
            let taken = [Some(number), Some(number + 1)];
            assert!(taken.contains(&read(world)), "{said}");
            nothing_left(world, place.path());
        }
    }
    println!("{kills} kills; {} requests, none failed", none_failed(load));
    world.ok(["remove", "killed", "--with-data", "-y"]);
}

fn killed(world: &World, verb: &[&str], begins: fn(&mut Child), kill: fn(&mut Child), after: Duration) -> Output {
    let mut run = start(world, verb);
    begins(&mut run);
    std::thread::sleep(after);
    kill(&mut run);
    run.wait_with_output().expect("it ends")
}

fn start(world: &World, verb: &[&str]) -> Child {
    world.command(verb).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

fn restore(world: &World, backup: &str) {
    world.ok(["restore", backup, HOST, "-y", "--lock-timeout", "60"]);
}

/// One share on the node, nothing that runs, no object in the place that is neither whole nor named by a manifest.
fn nothing_left(world: &World, place: &Path) {
    let shares = world.node_says(["ls", "-A", "/srv/cloudtool/apps/killed/data"]);
    assert_eq!(shares.lines().count(), 1, "{shares}");
    await_that("the commands of the node end", || node_processes("zstd").is_empty().then_some(()));
    let manifests = fs::read_dir(place.join("killed")).expect("a directory");
    let partial = manifests.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(".partial")).count();
    // A client that is killed cannot clear up; its next backup does not list it, and writes over none of it.
    assert!(partial <= 1, "{partial} partial objects");
}

/// The disk that backups go to is full: an error that says so, nothing is listed, and the app goes on.
fn a_full_disk_of_the_client(world: &World) {
    let _app = deployed(world);
    write(world, 1);
    let place = tempfile::tempdir().expect("a temporary directory");
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs", path(&place)])
        .status()
        .expect("mount");
    assert!(mount.success());
    let output = world.cloudtool(["backup", "killed", path(&place)]);
    let listed = world.cloudtool(["list-backups", "killed", path(&place)]);
    let unmount = std::process::Command::new("umount").arg(path(&place)).status().expect("umount");
    assert!(unmount.success());
    assert_eq!(output.status.code(), Some(1));
    assert!(both(&output).contains("No space left on device"), "{}", both(&output));
    assert!(both(&listed).contains("No backup"), "{}", both(&listed));
    assert_eq!(read(world), Some(1));
    world.ok(["remove", "killed", "--with-data", "-y"]);
}

fn path(dir: &TempDir) -> &str {
    dir.path().to_str().expect("UTF-8")
}
