//! Looking before an update: what differs, plans that somebody has read, and what comes between.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::Test;
use crate::faults::{node_processes, start_update};
use crate::http::get;
use crate::whole::await_that;
use crate::world::{App, World, assert_success, at_a_terminal, both, hello_source};

pub const TESTS: &[Test] = &[
    ("diff_is_what_an_update_would_change", diff_is_what_an_update_would_change),
    ("a_plan_that_was_read_is_what_is_done", a_plan_that_was_read_is_what_is_done),
    ("a_plan_holds_for_nothing_that_came_between", a_plan_holds_for_nothing_that_came_between),
];

const HOST: &str = "reviewed.test";
const LOCK: &str = "--lock-timeout=600";

/// What `diff` says, which must end so.
fn diff(world: &World, code: i32, args: &[&str]) -> String {
    let output = world.cloudtool([&["diff"], args].concat());
    assert_eq!(output.status.code(), Some(code), "{}", both(&output));
    if code == 2 { both(&output) } else { String::from_utf8(output.stdout).expect("UTF-8") }
}

fn diff_is_what_an_update_would_change(world: &World) {
    let app = App::hello("reviewed", "one\n")
        .ini("runner = app.py\nthreads = 4\nservice.files =\n[env]\nMODE = hunter2\nGONE = x\n")
        .file("old.txt", "first\nsecond\n")
        .file("bin/tool", "#!/bin/sh\n")
        .file("same/by\u{7}name.txt", "a\r\nb")
        .file("static/logo.png", "\u{1}not read, for its name");
    app.write("data.bin", b"\0binary\n");
    app.write("large.txt", "a line\n".repeat(200_000).as_bytes());
    std::os::unix::fs::symlink("old.txt", app.path().join("link")).expect("a link");
    let dir = app.path_str();
    // What is not there yet is new as a whole.
    let said = diff(world, 1, &[dir, HOST, "--stat"]);
    assert!(said.contains("services: + files") && said.contains("+ app.py  +3 -0"), "{said}");
    world.ok(["update", dir, "--host", HOST]);
    assert_eq!(diff(world, 0, &[dir, HOST]), "");
    assert_eq!(diff(world, 0, &[dir]), "");
    assert_eq!(diff(world, 1, &[dir, "other.test"]), "locations: + other.test\n");

    let source = fs::read_to_string(app.path().join("app.py")).expect("the source");
    app.write("app.py", source.replace("one", "two").as_bytes());
    let ini =
        "[production]\napp_name = reviewed\nrunner = app.py\nthreads = 5\npackages = tree\n[env]\nMODE = hunter3\n";
    app.write("app.ini", ini.as_bytes());
    app.write("same/by\u{7}name.txt", b"a\r\nc");
    app.write("data.bin", b"\0other\n");
    app.write("static/logo.png", b"other");
    app.write("large.txt", b"small now\n");
    app.write("new.txt", b"new\n");
    app.write("a b/ü.txt", b"");
    fs::remove_file(app.path().join("old.txt")).expect("it was there");
    fs::remove_file(app.path().join("link")).expect("it was there");
    std::os::unix::fs::symlink("new.txt", app.path().join("link")).expect("a link");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(app.path().join("bin/tool"), mode).expect("its mode");

    let said = diff(world, 1, &[dir, "reviewed"]);
    let (besides, files) = said.split_at(said.find("--- ").expect("a file"));
    // app.ini itself is a file of the developer's and shown as it is; settings by their names only.
    assert_eq!(
        besides.lines().take(3).collect::<Vec<_>>(),
        ["packages: + tree", "services: - files", "settings that change: env.GONE, env.MODE, threads"]
    );
    for shown in [
        "--- v1/app.py\n+++ ./app.py\n@@ -1,3 +1,3 @@\n",
        "-MODE = hunter2\n",
        "--- /dev/null\n+++ ./new.txt\n@@ -0,0 +1 @@\n+new\n",
        "--- v1/old.txt\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-first\n-second\n",
        " a\r\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n",
        "Binary files v1/data.bin and ./data.bin differ\n",
        "Binary files v1/static/logo.png and ./static/logo.png differ\n",
        "Files v1/large.txt and ./large.txt differ, and are too large to show\n",
        "bin/tool: mode 0644 -> 0755\n",
        "link: a link to old.txt -> a link to new.txt\n",
        "--- \"v1/same/by\\007name.txt\"\n",
        "+++ ./a b/ü.txt\t\n",
    ] {
        assert!(said.contains(shown), "{shown:?} {said}");
    }
    // As patch understands it: what it makes of the release is the directory, where there are lines.
    let release = tempfile::tempdir().expect("a directory");
    for path in ["app.py", "old.txt", "app.ini"] {
        let content = world.on_node(["cat", &format!("/srv/cloudtool/apps/reviewed/releases/v1/{path}")]);
        fs::write(release.path().join(path), content.stdout).expect("it is written");
    }
    patch(release.path(), files);
    for path in ["app.py", "app.ini", "new.txt"] {
        assert_eq!(fs::read(release.path().join(path)).ok(), fs::read(app.path().join(path)).ok(), "{path} {files}");
    }
    assert!(!release.path().join("old.txt").exists());

    let names = "a b/ü.txt\napp.ini\napp.py\nbin/tool\ndata.bin\nlarge.txt\nlink\nnew.txt\nold.txt\n\"same/by\\007name.txt\"\nstatic/logo.png\n";
    assert_eq!(diff(world, 1, &[dir, "--name-only"]), names);
    let said = diff(world, 1, &[dir, "--stat"]);
    assert!(said.contains("~ app.py  +1 -1\n") && said.contains("- old.txt  +0 -2\n"), "{said}");
    let told: Value = serde_json::from_str(&diff(world, 1, &[dir, "--json"])).expect("one document");
    assert_eq!((&told["plan"]["live"], &told["plan"]["settings"][0]), (&"v1".into(), &"env.GONE".into()));
    let of = |path: &str| {
        told["files"].as_array().expect("files").iter().find(|file| file["path"] == path).expect("it differs").clone()
    };
    assert_eq!((&of("new.txt")["change"], &of("new.txt")["diff"]), (&"added".into(), &"@@ -0,0 +1 @@\n+new\n".into()));
    assert_eq!((&of("data.bin")["left_out"], &of("data.bin")["diff"]), (&"binary".into(), &Value::Null));

    // In colour where somebody looks, and nothing there that a terminal would obey.
    let (code, seen) = at_a_terminal(&world.command(["diff", dir]), "");
    assert!(code == Some(1) && seen.contains("\u{1b}[32m+new\u{1b}[0m"), "{code:?} {seen}");
    assert!(seen.contains(" a\\r") && !seen.contains('\u{7}'), "{seen:?}");
    let (_, seen) = at_a_terminal(&world.command(["diff", dir, "--color", "never"]), "");
    assert!(seen.contains("+new") && !seen.contains('\u{1b}'), "{seen:?}");

    // What cannot be told is 2.
    assert!(diff(world, 2, &["/nonexistent"]).contains("no app.ini"));
    assert!(diff(world, 2, &[dir, "--node", "192.0.2.1"]).contains("192.0.2.1"));
    world.ok(["remove", "reviewed", "-y", "--with-data"]);
}

fn patch(dir: &Path, text: &str) {
    let mut child = std::process::Command::new("patch")
        .args(["-p1", "--batch", "--silent", "--force"])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("patch starts");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it is written");
    child.wait().expect("patch ends");
}

/// A plan as somebody reads it, in a file.
fn plan(world: &World, place: &Path, args: &[&str]) -> PathBuf {
    let output = world.cloudtool([&["update", "--plan", "--json"], args].concat());
    assert_success(&output);
    fs::write(place, &output.stdout).expect("it is written");
    place.to_owned()
}

fn update(world: &World, plan: &Path, args: &[&str]) -> Output {
    world.cloudtool([&["update", LOCK, "--expect", plan.to_str().expect("UTF-8")], args].concat())
}

/// Refused with these words, and nothing was done.
fn outdated(world: &World, plan: &Path, args: &[&str], words: &str) {
    let before = world.ok(["releases", "expected", "--json"]);
    let output = update(world, plan, args);
    let said = both(&output);
    assert_eq!(output.status.code(), Some(11), "{said}");
    assert!(said.contains("does not hold any more") && said.contains(words), "{words:?} {said}");
    assert!(!said.contains(" stage "), "{said}");
    assert_eq!(before, world.ok(["releases", "expected", "--json"]));
}

fn a_plan_that_was_read_is_what_is_done(world: &World) {
    let app = App::hello("expected", "one").file("extra.txt", "x\n");
    let (dir, place) = (app.path_str(), tempfile::tempdir().expect("a directory"));
    let file = place.path().join("plan.json");
    // The first release, where the plan alone says the location.
    let first = plan(world, &file, &[dir, "--host", "expected.test"]);
    let told: Value = serde_json::from_slice(&fs::read(&first).expect("the plan")).expect("one document");
    assert_eq!(
        (&told["format"], &told["action"], &told["made_from"]["basis"]["live"]),
        (&1.into(), &"create".into(), &Value::Null)
    );
    assert_eq!(told["files"]["added"], serde_json::json!(["app.ini", "app.py", "extra.txt"]));
    // A neighbour comes and goes between, and does not matter.
    let neighbour = App::hello("beside", "beside");
    world.ok(["update", neighbour.path_str(), "--host", "beside.test"]);
    assert_success(&update(world, &first, &[dir]));
    assert_eq!(get(&world.address, "expected.test", "/").body, "one");
    // Done once, it is not done again.
    outdated(world, &first, &[dir], "nothing served then, v1 does now");

    app.write("app.py", hello_source("two").as_bytes());
    let second = plan(world, &file, &[dir]);
    let text = fs::read_to_string(&second).expect("the plan");
    world.ok(["update", neighbour.path_str(), "--force"]);
    let mut child =
        world.command(["update", dir, "--expect", "-", LOCK]).stdin(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it is written");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(get(&world.address, "expected.test", "/").body, "two");
    // Nothing to do is a plan too, and --force is a part of one.
    assert_success(&update(world, &plan(world, &file, &[dir]), &[dir]));
    let forced = plan(world, &file, &[dir, "--force"]);
    assert_success(&update(world, &forced, &[dir]));
    assert!(world.ok(["releases", "expected"]).contains("v3"));

    for (text, words) in [("{}", "its format is null"), ("[", "is no plan"), ("{\"format\": 1}", "missing field")] {
        fs::write(&file, text).expect("it is written");
        let said = world.fails(2, ["update", dir, "--expect", file.to_str().expect("UTF-8")]);
        assert!(said.contains(words) && said.contains("--plan --json"), "{said}");
    }
    world.ok(["remove", "beside", "-y", "--with-data"]);
}

fn a_plan_holds_for_nothing_that_came_between(world: &World) {
    let app = App::hello("expected", "three");
    let (dir, place) = (app.path_str(), tempfile::tempdir().expect("a directory"));
    let file = place.path().join("plan.json");
    world.ok(["update", dir, "--host", "expected.test"]);
    app.write("app.py", hello_source("four").as_bytes());
    // The files have changed since: a file more, and one that had changed already.
    let made = plan(world, &file, &[dir]);
    app.write("more.txt", b"more\n");
    outdated(world, &made, &[dir], "the directory is not the one it was made from: more.txt");
    fs::remove_file(app.path().join("more.txt")).expect("it was there");
    app.write("app.py", hello_source("five").as_bytes());
    outdated(world, &made, &[dir], "the directory is not the one it was made from");
    app.write("app.py", hello_source("four").as_bytes());
    // A colleague's update.
    let colleague = App::hello("expected", "a colleague's");
    world.ok(["update", colleague.path_str()]);
    outdated(world, &made, &[dir], "does now; it serves since");
    // Something was set; with the release as it was, from before the change and after it.
    let made = plan(world, &file, &[dir]);
    world.ok(["config", "expected", "set", "COLOUR", "command:echo red"]);
    outdated(world, &made, &[dir], "something else is set for the app now");
    // A location more, and one that a neighbour took.
    let made = plan(world, &file, &[dir]);
    world.ok(["activate", "more.test", "expected"]);
    outdated(world, &made, &[dir], "it was served at expected.test then, at expected.test, more.test now");
    let made = plan(world, &file, &[dir, "--host", "wanted.test"]);
    let neighbour = App::hello("taker", "taken");
    world.ok(["update", neighbour.path_str(), "--host", "wanted.test"]);
    let said = both(&update(world, &made, &[dir]));
    assert!(said.contains("wanted.test belongs to the app taker"), "{said}");
    // Of a plan in the app's own directory it is said that it is a part of the app.
    let inside = plan(world, &app.path().join("plan.json"), &[dir]);
    outdated(world, &inside, &[dir], "plan.json is a part of the app itself");
    fs::remove_file(inside).expect("it was there");
    // Between the look and the lock: the node itself refuses.
    let made = plan(world, &file, &[dir]);
    while_somebody_holds_the_lock(world, &made, dir);
    assert_eq!(get(&world.address, "expected.test", "/").body, "a colleague's");
    for app in ["expected", "taker"] {
        world.ok(["remove", app, "-y", "--with-data"]);
    }
}

/// It sees what it was planned for, waits for a colleague, and finds something else.
fn while_somebody_holds_the_lock(world: &World, plan: &Path, dir: &str) {
    let slow = "import os, time\nwhile not os.path.exists(os.environ['HOME'] + '/go'):\n    time.sleep(0.01)\n";
    let colleague = App::new("expected", "runner = app.py\nupdate_fetch = script:slow.py\n")
        .file("app.py", &hello_source("a colleague's"))
        .file("slow.py", slow);
    let first = start_update(world, colleague.path_str(), &[]);
    await_that("the colleague is at it", || (!node_processes("slow.py").is_empty()).then_some(()));
    let mut second = world
        .command(["update", dir, LOCK, "--expect", plan.to_str().expect("UTF-8")])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut saying = BufReader::new(second.stderr.take().expect("a pipe"));
    let mut said = String::new();
    while !said.contains("waiting for the lock") {
        assert!(saying.read_line(&mut said).expect("it says something") > 0, "{said}");
    }
    world.node_script("touch /srv/cloudtool/apps/expected/data/go");
    let first = first.wait_with_output().expect("it ends");
    assert!(first.status.success(), "{}", both(&first));
    saying.read_to_string(&mut said).expect("it says why");
    assert_eq!(second.wait().expect("it ends").code(), Some(11), "{said}");
    assert!(said.contains("does now"), "{said}");
}
