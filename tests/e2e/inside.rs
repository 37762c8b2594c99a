//! Commands, prompts and shells inside an app: what they are, what passes to and from them, and that nothing of them stays.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::Test;
use crate::faults::{self, node_processes, noise, on_disk, rounds};
use crate::probe;
use crate::whole::{await_that, nothing_left};
use crate::world::{App, World, assert_success, both, talk_at_a_terminal};

pub const TESTS: &[Test] = &[
    ("a_command_is_as_the_app_is", a_command_is_as_the_app_is),
    ("words_bytes_and_statuses_pass_as_they_are", words_bytes_and_statuses_pass_as_they_are),
    ("files_travel_and_go_away_again", files_travel_and_go_away_again),
    ("nothing_of_a_killed_command_stays", nothing_of_a_killed_command_stays),
    ("ctrl_c_is_the_command_s", ctrl_c_is_the_command_s),
    ("terminals_are_passed_on", terminals_are_passed_on),
    ("what_cannot_run_is_told", what_cannot_run_is_told),
];

/// These need PHP on the node.
pub const PHP_TESTS: &[Test] = &[("a_php_prompt_has_the_app_s_classes", a_php_prompt_has_the_app_s_classes)];

const APP: &str = "inner";
const HOST: &str = "inner.test";

/// Deployed once: the next time nothing has changed.
fn deployed(world: &World) -> App {
    let app = probe::app(APP, "service.files =\nmemory = 200M\n[env]\nODD = $(id) \"%n\"\n")
        .file("bin/greet.sh", "#!/bin/sh\necho \"$1 from $PWD\"\n")
        .file("report.py", "import app, sys\nprint(callable(app.application), sys.argv[1:])\n")
        .file("own.txt", "the release's\n");
    world.ok(["update", app.path_str(), "--host", HOST]);
    app
}

fn run(world: &World, words: &[&str]) -> Output {
    world.cloudtool([&["run", APP], words].concat())
}

fn said(world: &World, words: &[&str]) -> String {
    let output = run(world, words);
    assert_success(&output);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Starts one that says a line when it is up, and gives that line.
fn started(world: &World, words: &[&str]) -> (Child, String) {
    let mut command = world.command([&["run", APP], words].concat());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let output = child.stdout.as_mut().expect("a pipe");
    let (mut line, mut byte) = (String::new(), [0]);
    while !line.ends_with('\n') && output.read(&mut byte).expect("it speaks") == 1 {
        line.push(char::from(byte[0]));
    }
    (child, line)
}

/// What an app's process is, as far as the kernel tells, and its variables.
const SELF: &str = "import json, os, resource
status = dict(line.rstrip().split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)
own = {name: status[name] for name in ('Uid', 'Gid', 'CapBnd', 'NoNewPrivs', 'Seccomp', 'Umask')}
def refused(path):
    try:
        return bool(os.listdir(path)) and False
    except OSError:
        return True
hidden = [path for path in ('/var/lib/cloudtool', '/root', '/home') if refused(path)]
files = resource.getrlimit(resource.RLIMIT_NOFILE)
print(json.dumps([own, hidden, os.access('.', os.W_OK), os.getcwd(), dict(os.environ), files]))";

fn a_command_is_as_the_app_is(world: &World) {
    let _app = deployed(world);
    let described =
        |text: &str| -> Value { serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}")) };
    let mut served = described(&probe::ask(world, HOST, SELF));
    let mut ran = described(&said(world, &["python3", "-c", SELF]));
    // What systemd says of a unit, and Apache of itself.
    for name in [
        "INVOCATION_ID",
        "SYSTEMD_EXEC_PID",
        "JOURNAL_STREAM",
        "RUNTIME_DIRECTORY",
        "PWD",
        "OLDPWD",
        "LC_CTYPE",
        "MEMORY_PRESSURE_WATCH",
        "MEMORY_PRESSURE_WRITE",
    ] {
        for told in [&mut served, &mut ran] {
            told[4].as_object_mut().expect("the variables").remove(name);
        }
    }
    assert_eq!(ran, served);
    assert_eq!(ran[4]["ODD"], "$(id) \"%n\"");
    // The limits of the unit, by whichever name the app is called.
    let groups = world.ok(["run", HOST, "cat", "/proc/self/cgroup"]);
    let unit = groups.split(['/', '\n']).find(|part| part.starts_with("cloudtool-inside-inner."));
    assert!(unit.is_some_and(|unit| unit.ends_with(".service")), "{groups}");
    let (mut child, _) = started(world, &["sh", "-c", "echo up; read line"]);
    let shown = world.node_says(["systemctl", "show", "-P", "MemoryMax", "'cloudtool-inside-inner.*'"]);
    assert_eq!(shown, (200 << 20).to_string());
    child.stdin.take();
    child.wait().expect("it ends");

    // What the first word means.
    assert_eq!(said(world, &["greet.sh", "hello"]), "hello from /srv/cloudtool/apps/inner/releases/v1\n");
    assert_eq!(said(world, &["report.py", "a b", "$HOME"]), "True ['a b', '$HOME']\n");
    assert_eq!(said(world, &["./bin/greet.sh", "x"]), "x from /srv/cloudtool/apps/inner/releases/v1\n");
    assert_eq!(said(world, &["/usr/bin/id", "-un"]), "ct-inner\n");
    // It is written down who ran what; its arguments may be secrets.
    let log = world.node_script("grep '\"verb\": \"run\"' /var/lib/cloudtool/audit.log | grep '\"app\": \"inner\"'");
    assert!(log.contains("\"command\": \"report.py\"") && log.contains("tester@") && !log.contains("$HOME"), "{log}");
}

fn words_bytes_and_statuses_pass_as_they_are(world: &World) {
    let _app = deployed(world);
    let odd = [
        "",
        " ",
        "a b",
        "*",
        "$(touch /tmp/ct)",
        "`id`",
        "$HOME",
        "${HOME}",
        "%n",
        "it's",
        "\"q\"",
        "\\",
        "l1\nl2",
        "-x",
        "ü\u{1b}[1m",
        "a=b",
    ];
    let print = "import sys, json; print(json.dumps(sys.argv[1:]))";
    let words: Vec<&str> = ["--no-upload", APP, "python3", "-c", print].into_iter().chain(odd).collect();
    let told: Vec<String> = serde_json::from_str(&world.ok([&["run"], &words[..]].concat())).expect("JSON");
    assert_eq!(told, odd);

    let bytes = noise(3 << 20);
    let mut child = world
        .command(["run", APP, "sh", "-c", "echo aside >&2; cat; exit 3"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(&noise(3 << 20)).expect("it is written"));
        child.wait_with_output().expect("it ends")
    });
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(3), "aside\n"));
    assert!(output.stdout == bytes, "{} bytes came back", output.stdout.len());

    assert_eq!(run(world, &["sh", "-c", "kill -KILL $$"]).status.code(), Some(137));
    assert_eq!(run(world, &["sh", "-c", "kill -TERM $$"]).status.code(), Some(143));
    // Nobody reads: the command is not waited for.
    let piped = Command::new("sh")
        .args(["-c", "\"$0\" \"$@\" | head -n 1"])
        .arg(env!("CARGO_BIN_EXE_cloudtool"))
        .args(["run", APP, "yes"])
        .envs(world.command([""; 0]).get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&piped.stdout), "y\n");
}

fn files_travel_and_go_away_again(world: &World) {
    let app = deployed(world);
    let here = tempfile::tempdir().expect("a directory");
    fs::create_dir(here.path().join("more")).expect("a directory");
    for (path, content) in [("sent.txt", "sent\n"), ("more/a b.txt", "of more\n"), ("own.txt", "of this machine\n")] {
        fs::write(here.path().join(path), content).expect("a file");
    }
    let run_here = |words: &[&str]| {
        let output = world.command([&["run", APP], words].concat()).current_dir(here.path()).output().expect("it runs");
        assert_success(&output);
        output
    };
    let script = "for word; do echo \"$word\"; done; cat \"$1\" \"${2#--from=}\" \"$3/a b.txt\" \"$4\"";
    let output = run_here(&["sh", "-c", script, "sh", "sent.txt", "--from=sent.txt", "more/", "own.txt"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("/srv/cloudtool/apps/inner/runs/") && lines[0].ends_with("/0/sent.txt"), "{text}");
    assert!(lines[1].starts_with("--from=/srv/") && lines[2].ends_with("/2/more") && lines[3] == "own.txt", "{text}");
    assert_eq!(lines[4..], ["sent", "sent", "of more", "the release's"], "{text}");
    assert!(both(&output).contains("sending ") && !both(&output).contains("sending own"), "{}", both(&output));
    // They are the app's, to be written too, and nobody else's.
    let output = run_here(&["sh", "-c", "stat -c '%U %a' \"$1\"; echo more >>\"$1\"; cat - \"$1\"", "sh", "sent.txt"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ct-inner 600\nsent\nmore\n");
    assert_eq!(world.node_says(["ls", "/srv/cloudtool/apps/inner/runs"]), "");
    // More than travels unasked, and standard input after it.
    fs::write(here.path().join("large"), noise(5 << 20)).expect("a file");
    let mut command = world.command(["run", APP, "sh", "-c", "cat \"$1\" - | wc -c", "sh", "large"]);
    let mut child =
        command.current_dir(here.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(b"and this").expect("it is written");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), ((5 << 20) + 8).to_string());
    drop(app);
}

fn nothing_of_a_killed_command_stays(world: &World) {
    let _app = deployed(world);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("UTF-8");
    let words = ["sh", "-c", "echo up; sleep 1000", "sh", path];
    let left = || fs::read_dir(on_disk("/srv/cloudtool/apps/inner/runs")).map_or(0, Iterator::count);
    let units = || world.node_script("systemctl list-units --all --plain --no-legend 'cloudtool-inside-inner.*'");
    // The client is killed, at once or in the middle.
    for _ in 0..rounds(2) {
        let (mut child, line) = started(world, &words);
        assert_eq!((line.as_str(), left()), ("up\n", 1));
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        await_that("the command has ended", || (left() == 0 && units().is_empty()).then_some(()));
    }
    // The node program is killed: the command is ended by whoever comes next.
    let (mut child, _) = started(world, &words);
    node_processes("cloudtool/node/__main__.py run").into_iter().for_each(faults::kill);
    assert!(world.ok(["clean-node"]).contains("/srv/cloudtool/apps/inner/runs/"));
    assert_eq!((left(), units().as_str()), (0, ""));
    child.wait().expect("it ends");
    // The app is removed under it.
    let app = App::hello("innergone", "x");
    world.ok(["update", app.path_str(), "--host", "innergone.test"]);
    let mut child = world
        .command(["run", "innergone", "sh", "-c", "echo up; sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdout.as_mut().expect("a pipe").read_exact(&mut [0; 3]).expect("it is up");
    world.ok(["remove", "innergone", "-y", "--with-data"]);
    assert!(!child.wait().expect("it ends").success());
    nothing_left(world, APP);
}

fn ctrl_c_is_the_command_s(world: &World) {
    let _app = deployed(world);
    let code = "import time\nprint('up', flush=True)\ntry: time.sleep(1000)\nexcept KeyboardInterrupt: print('tidied', flush=True); raise SystemExit(12)";
    let (child, _) = started(world, &["python3", "-c", code]);
    faults::signal(child.id(), "INT");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(12), "tidied\n"));
    // One that does not obey: the second time both are ended.
    let (mut child, _) = started(world, &["sh", "-c", "trap '' INT; echo up; sleep 1000 & wait; sleep 1000"]);
    faults::signal(child.id(), "INT");
    let status = await_that("the client has ended", || {
        faults::signal(child.id(), "INT");
        child.try_wait().expect("it can be asked")
    });
    assert_eq!(status.code(), Some(130));
    await_that("the command has ended", || node_processes("sleep 1000").is_empty().then_some(()));
}

fn terminals_are_passed_on(world: &World) {
    let _app = deployed(world);
    let at = |args: &[&str], lines: &[(&str, &str)]| {
        let (code, seen) = talk_at_a_terminal(&world.command(args), lines);
        (code, seen.replace('\r', ""))
    };
    let (code, seen) = at(&["run", "-i", APP, "sh", "-c", "tty; exit 5"], &[]);
    assert!(code == Some(5) && seen.starts_with("/dev/pts/"), "{code:?} {seen}");
    // A shell: known by its app's name, or its location; job control and ctrl-C work.
    for name in [APP, HOST] {
        let lines = [
            ("$ ", "id -un; echo sum $((40 + 2))\n"),
            // It says that it has the terminal: what is typed before that is somebody else's.
            ("sum 42", "sh -c 'echo at $((20 + 1)); exec sleep 1000'\n"),
            ("at 21", "\u{3}"),
            ("$ ", "exit 9\n"),
        ];
        let (code, seen) = at(&["ssh", name], &lines);
        assert!(code == Some(9) && seen.contains("inner v1 ") && seen.contains("ct-inner"), "{code:?} {seen}");
    }
    let output = world.cloudtool(["ssh", APP, "id", "-un"]);
    assert_eq!(both(&output), "ct-inner\n");
    // A node's name is the node's.
    assert_eq!(both(&world.cloudtool(["ssh", crate::world::node(), "id -un"])), "root\n");
    // A prompt with the app in it, and a script.
    let lines = [(">>> ", "callable(application), app.application is application, 6 * 7\n"), ("42)", "exit(6)\n")];
    let (code, seen) = at(&["console", HOST], &lines);
    assert!(code == Some(6) && seen.contains("(True, True, 42)") && seen.contains("inner v1"), "{code:?} {seen}");
    let mut child = world
        .command(["console", APP])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"import os\nprint(app.__name__, os.environ['ODD'])\nraise SystemExit(4)\n")
        .expect("it is written");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), both(&output).as_str()), (Some(4), "app $(id) \"%n\"\n"));
}

fn what_cannot_run_is_told(world: &World) {
    let _app = deployed(world);
    let output = run(world, &["nosuchcommand", "x"]);
    assert!(
        output.status.code() == Some(127) && both(&output).contains("nosuchcommand: no such command"),
        "{}",
        both(&output)
    );
    // A file of the release that is no program is none.
    assert_eq!(run(world, &["own.txt"]).status.code(), Some(127));
    let node = ["--node", crate::world::node()];
    let said = world.fails(2, [&["run"], &node[..], &["nobody.test", "true"]].concat());
    assert!(said.contains("No app of the node serves nobody.test"), "{said}");
    let said = world.fails(2, [&["run"], &node[..], &["nobody", "true"]].concat());
    assert!(said.contains("has no app nobody"), "{said}");
    let site = App::new("innersite", "platform = static\n").file("static/index.html", "a site");
    world.ok(["update", site.path_str(), "--host", "innersite.test"]);
    let said = world.fails(2, ["console", "innersite"]);
    assert!(said.contains("static files"), "{said}");
    assert_eq!(world.ok(["run", "innersite", "id", "-un"]), "ct-innersite\n");
    world.ok(["remove", "innersite", "-y", "--with-data"]);
    // A node with another program gets this one's.
    world.node_script("echo old >/usr/local/lib/cloudtool/VERSION");
    assert_eq!(both(&run(world, &["id", "-un"])), "ct-inner\n");
}

fn a_php_prompt_has_the_app_s_classes(world: &World) {
    let app = App::new("innerphp", "runner = index.php\n")
        .file("index.php", "<?php require 'vendor/autoload.php'; echo (new Greeter)->hello();\n")
        .file("vendor/autoload.php", "<?php class Greeter { function hello() { return 'hello'; } }\n");
    world.ok(["update", app.path_str(), "--host", "innerphp.test"]);
    let mut child = world
        .command(["console", "innerphp"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let code = b"echo (new Greeter)->hello(), getenv('CLOUDTOOL_APP_NAME'), PHP_EOL;\n";
    child.stdin.take().expect("a pipe").write_all(code).expect("it is written");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && both(&output).contains("helloinnerphp\n"), "{}", both(&output));
    world.ok(["remove", "innerphp", "-y", "--with-data"]);
}
