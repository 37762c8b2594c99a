//! Hostile directories and values through the client: an error that names the file, or it just works; no shell ever has a part in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};

use crate::Test;
use crate::http::get;
use crate::probe;
use crate::world::{App, World, both, json_lines};

pub const TESTS: &[Test] = &[
    ("what_cannot_travel_is_named_and_refused", what_cannot_travel_is_named_and_refused),
    ("odd_names_and_values_arrive_as_they_are", odd_names_and_values_arrive_as_they_are),
    ("ten_thousand_files_and_a_large_one_travel", ten_thousand_files_and_a_large_one_travel),
    ("a_broken_app_ini_of_any_size_is_explained", a_broken_app_ini_of_any_size_is_explained),
];

/// What a shell, systemd, Apache, HAProxy, Python or SQL would make something of.
const ODD: &str = "$(touch /tmp/ct_canary)`touch /tmp/ct_canary`;touch /tmp/ct_canary|& ${HOME} $HOME $$ %n %% %(x)s {{x}} \\n \\ \"'<x> *?[a]~#!";

fn what_cannot_travel_is_named_and_refused(world: &World) {
    let app = App::hello("unfit", "never");
    let path = |name: &str| app.path().join(name);
    symlink("/etc/passwd", path("absolute")).expect("a link");
    symlink("../../etc/passwd", path("outwards")).expect("a link");
    fs::create_dir(path("deep")).expect("a directory");
    symlink("../..", path("deep/up")).expect("a link");
    symlink("to-outwards", path("chain")).expect("a link");
    symlink("deep/up/etc", path("to-outwards")).expect("a link");
    run("mkfifo", &[path("pipe").as_os_str()]);
    run("mknod", &[path("device").as_os_str(), "c".as_ref(), "1".as_ref(), "3".as_ref()]);
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("a socket");
    fs::write(app.path().join(OsStr::from_bytes(b"latin-\xe4")), "x").expect("a file");
    let said = world.fails(2, ["update", app.path_str(), "--host", "unfit.test"]);
    for name in ["absolute", "outwards", "deep/up", "chain", "to-outwards", "pipe", "device", "socket", "latin-"] {
        assert!(said.contains(name), "{name} is not named:\n{said}");
    }
    assert_eq!(get(&world.address, "unfit.test", "/").status, 404);
    assert!(!world.ok(["query", "--json"]).contains("unfit"), "the node knows nothing of it");
}

fn run(program: &str, arguments: &[&OsStr]) {
    assert!(Command::new(program).args(arguments).status().expect("it starts").success(), "{program}");
}

fn odd_names_and_values_arrive_as_they_are(world: &World) {
    let long = "l".repeat(255);
    let names = [
        "new\nline",
        "tab\tand \x1b[31mcolour",
        "quote ' double \" back \\ slash",
        "$(touch ct_canary)",
        "`touch ct_canary`",
        "; touch ct_canary",
        "%s %n %(x)s ${HOME}",
        "-rf",
        " blank ",
        "ünï/çødé 日本語 🎈",
        "e\u{301}/\u{e9}",
        "...",
        long.as_str(),
    ];
    let args = [ODD, "-x", "--property=User=root", "", "a b", "ü\u{1f388}", "$PATH", "${PATH}", "$$", "%n", "=x"];
    let quoted: Vec<String> = args.iter().map(|arg| format!("'{}'", arg.replace('\'', "'\\''"))).collect();
    let values = [
        ("PLAIN", "x"),
        ("ODD", ODD),
        ("UNICODE", "ünïcødé 日本語 🎈"),
        ("BLANKS", "a  \t b"),
        ("EMPTY", ""),
        ("LINES", "one\ntwo $(id)\nthree"),
    ];
    let mut ini = format!("update_fetch = script:hook.py {}\n[env]\n", quoted.join(" "));
    for (name, value) in values {
        ini.push_str(&format!("{name} = {}\n", value.replace('\n', "\n  ")));
    }
    let app = probe::app("odd", &ini);
    app.write("hook.py", b"import json, os, sys\nprint('ARGS ' + json.dumps(sys.argv[1:]))\nprint('ENV ' + json.dumps(dict(os.environ)))\n");
    for name in names {
        app.write(&format!("static/{name}"), name.as_bytes());
    }
    symlink("$(touch ct_canary)", app.path().join("static/a link")).expect("a link");
    let note = format!("{ODD}\n\x1b]0;title\x07ü");
    world.ok(["update", app.path_str(), "--host", "odd.test", "--note", &note]);

    // The files, by name and content.
    let code = "import json, os\nroot = os.environ['CLOUDTOOL_RELEASE_DIR'] + '/static'\nprint(json.dumps({os.path.relpath(os.path.join(d, n), root): open(os.path.join(d, n)).read() for d, _, ns in os.walk(root) for n in ns}))";
    let found: Value = serde_json::from_str(&probe::ask(world, "odd.test", code)).expect("JSON");
    let mut wanted = json!({"a link": "$(touch ct_canary)"});
    for name in names {
        wanted[name] = json!(name);
    }
    assert_eq!(found, wanted);
    assert_eq!(get(&world.address, "odd.test", "/%24(touch%20ct_canary)").body, "$(touch ct_canary)");
    assert_eq!(get(&world.address, "odd.test", "/new%0aline").status, 200);

    // [env], in the app and in its scripts; the words of a script.
    let environment = probe::environment(world, "odd.test");
    let hook = world.node_script("cat /var/log/cloudtool/odd/hooks.log");
    let told = |kind: &str| -> Value {
        let line = hook.lines().find_map(|line| line.strip_prefix(kind)).unwrap_or_else(|| panic!("{kind} in {hook}"));
        serde_json::from_str(line).expect("JSON")
    };
    let in_hook = told("ENV ");
    for (name, value) in values {
        assert_eq!(environment[name], value, "{name}");
        assert_eq!(in_hook[name], value, "{name} in the script");
    }
    assert_eq!(told("ARGS "), json!(args));

    // The note: exactly as it was, and without power over the terminal.
    let output = world.cloudtool(["releases", "odd", "--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["releases"][0]["note"], note);
    let shown = world.cloudtool(["releases", "odd"]);
    assert!(!both(&shown).contains(['\x1b', '\x07']), "{}", both(&shown));

    // The same in PHP, and what is set for the app.
    let php = App::new("oddphp", &format!("php_root = my public\n{}", &ini[ini.find("[env]").expect("it is there")..]))
        .file("my public/index.php", "<?php echo json_encode([getenv(), $_SERVER]);");
    world.ok(["update", php.path_str(), "--host", "oddphp.test"]);
    let value = world.home.path().join("value");
    std::fs::write(&value, format!("{ODD}\ntwo lines\n")).expect("written");
    world.ok(["config", "oddphp", "set", "MOTTO", &format!("file:{}", value.display())]);
    let told: Value = serde_json::from_str(&get(&world.address, "oddphp.test", "/").body).expect("JSON");
    for (name, value) in values {
        assert_eq!(told[0][name], value, "getenv {name}");
        assert_eq!(told[1][name], value, "$_SERVER {name}");
    }
    let motto = json!(format!("{ODD}\ntwo lines"));
    assert_eq!((&told[0]["MOTTO"], &told[1]["MOTTO"]), (&motto, &motto));

    let canary = "import os; print([p for p in ('/tmp/ct_canary', os.environ['CLOUDTOOL_RELEASE_DIR'] + '/ct_canary') if os.path.exists(p)])";
    assert_eq!(probe::ask(world, "odd.test", canary), "[]");
    assert_eq!(world.node_script("find / -xdev -name ct_canary; find /tmp /var/tmp -name ct_canary"), "");
    assert!(!std::path::Path::new("/tmp/ct_canary").exists() && !std::path::Path::new("ct_canary").exists());
    for app in ["odd", "oddphp"] {
        world.ok(["remove", app, "-y", "--with-data"]);
    }
}

/// CLOUDTOOL_E2E_BIG_MB says how large the large one is (2048 was tried by hand): random at both ends, a hole between.
fn ten_thousand_files_and_a_large_one_travel(world: &World) {
    let megabytes: u64 = std::env::var("CLOUDTOOL_E2E_BIG_MB").map_or(64, |text| text.parse().expect("a number"));
    let app = App::new("many", "runner = static\n").file("static/index.html", "many");
    for directory in 0..100 {
        fs::create_dir_all(app.path().join(format!("static/{directory}"))).expect("a directory");
        for number in 0..100 {
            fs::write(app.path().join(format!("static/{directory}/{number}.txt")), format!("{directory} {number}"))
                .expect("a file");
        }
    }
    let script = "dd if=/dev/urandom of=$0 bs=1M count=1; truncate -s $1M $0; dd if=/dev/urandom of=$0 bs=1M count=1 seek=$(($1 - 1)) conv=notrunc";
    let big = app.path().join("static/big");
    run("sh", &["-ec".as_ref(), script.as_ref(), big.as_os_str(), megabytes.to_string().as_ref()]);
    let output = world.cloudtool(["update", app.path_str(), "--host", "many.test", "--json", "--timings"]);
    assert!(output.status.success(), "{}", both(&output));
    let answer = json_lines(&output).into_iter().find(|line| line["event"] == "result").expect("a result");
    assert_eq!(answer["files"], 10_003, "{answer}");
    assert_eq!(get(&world.address, "many.test", "/99/99.txt").body, "99 99");
    let local = Command::new("sha256sum").arg(&big).output().expect("it starts").stdout;
    let there = world.node_says(["sha256sum", "/srv/cloudtool/apps/many/releases/v1/static/big"]);
    assert_eq!(there.split(' ').next(), String::from_utf8_lossy(&local).split(' ').next());
    app.write("static/7/7.txt", b"changed");
    let output = world.cloudtool(["update", app.path_str(), "--json"]);
    let answer = json_lines(&output).into_iter().find(|line| line["event"] == "result").expect("a result");
    assert_eq!(answer["uploaded"]["files"], 1, "{answer}");
    assert_eq!(get(&world.address, "many.test", "/7/7.txt").body, "changed");
    world.ok(["remove", "many", "-y"]);
}

fn a_broken_app_ini_of_any_size_is_explained(world: &World) {
    let app = App::hello("large", "large");
    let valid = format!(
        "[production]\napp_name = large\nrunner = app.py\n{}",
        format!("# {}\n", "x".repeat(97)).repeat(10_486)
    );
    assert!(valid.len() > 1 << 20);
    app.write("app.ini", valid.as_bytes());
    assert!(world.ok(["validate", app.path_str()]).contains("large"));
    app.write("app.ini", format!("{valid}{}", "no_such_key = 1\n= \x01\n[[\n".repeat(9)).as_bytes());
    let said = world.fails(2, ["update", app.path_str(), "--host", "large.test"]);
    assert!(said.contains("app.ini:10490") && said.contains("no_such_key"), "{said}");
    // A megabyte of nothing but mistakes is not answered with a megabyte.
    app.write("app.ini", "no such thing\n".repeat(75_000).as_bytes());
    let said = world.fails(2, ["update", app.path_str(), "--host", "large.test"]);
    assert!(
        said.contains("app.ini:1") && said.len() < 20_000,
        "{} bytes: {}",
        said.len(),
        &said[..said.len().min(500)]
    );
    for (text, reason) in [
        (&b"[production]\napp_name = a\0b\nrunner = app.py\n"[..], "app.ini:2"),
        (b"[production]\napp_name = \xff\xfe\n", "app.ini:2"),
        (b"[production]\napp_name = large\nrunner = ../../etc/passwd\n", "app.ini:3"),
        (b"[production]\napp_name = $(touch /tmp/ct_canary)\nrunner = app.py\n", "app.ini:2"),
        (b"[production]\napp_name = large\nrunner = app.py\n[env]\nCLOUDTOOL_PORT = 1\n", "app.ini:5"),
        (b"[production]\napp_name = large\nrunner = app.py\n[env]\nA B = 1\n", "app.ini:5"),
        (b"[production]\napp_name = large\nrunner = app.py\ndefault_host = a;b\n", "app.ini:4"),
        (b"[production]\napp_name = large\nrunner = app.py\nupdate_fetch = script:/bin/sh -c id\n", "app.ini:4"),
    ] {
        app.write("app.ini", text);
        let said = world.fails(2, ["update", app.path_str(), "--host", "large.test"]);
        assert!(said.contains(reason), "{reason} in {said}");
    }
    app.write(
        "app.ini",
        format!("[production]\napp_name = large\nrunner = app.py\n[env]\nBIG = {}\n", "x".repeat(1 << 20)).as_bytes(),
    );
    let said = world.fails(2, ["update", app.path_str(), "--host", "large.test"]);
    assert!(said.contains("app.ini:5") && said.len() < 20_000, "{}", &said[..said.len().min(500)]);
    for argument in ["--host=a b.test", "--host=x.test/../y", "--host=$(id)", "--name=../x", "--name=X", "--name=\n"] {
        world.fails(2, ["update", app.path_str(), argument]);
    }
    assert_eq!(get(&world.address, "large.test", "/").status, 404);
}
