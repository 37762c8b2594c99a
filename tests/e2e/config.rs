//! `config`: settings and secrets on the node, whatever is in them, changed under load.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Map, Value};

use crate::Test;
use crate::faults::{killed_in_the_middle, moment, rounds};
use crate::hammer::Hammer;
use crate::secrets::Argv;
use crate::whole::none_failed;
use crate::world::{App, World, both, json_lines};

pub const TESTS: &[Test] = &[
    ("what_is_required_is_set_before_anything_is_sent", what_is_required_is_set_before_anything_is_sent),
    ("any_value_arrives_as_it_is_or_is_refused", any_value_arrives_as_it_is_or_is_refused),
    ("changes_are_rolled_out_and_back_under_load", changes_are_rolled_out_and_back_under_load),
    ("a_checker_and_a_kill_leave_the_settings_that_serve", a_checker_and_a_kill_leave_the_settings_that_serve),
    ("settings_go_with_the_app_and_with_its_data", settings_go_with_the_app_and_with_its_data),
];

const HOST: &str = "picky.test";
const API_KEY: &str = "sk-77aa0c51e2";

/// What is in app.ini and beside it; deployed by the first test, with what it needs set.
fn app() -> App {
    let ini = "config.required = API_KEY LANGUAGE\nconfig.default = defaults\nconfig.checker = conf:check\n[env]\nCOLOUR = red\nSHAPE = round\n";
    App::obeying("picky", ini)
        .file("defaults", "# Where nothing is set.\nLANGUAGE = en\nSHAPE=square\nPLACE=\"two\\nlines\"\n")
        .file("conf.py", "def check(settings):\n    if settings.get('SPEED', '1') == 'light':\n        raise ValueError('too fast: ' + settings['API_KEY'])\n")
}

fn deployed(world: &World) -> App {
    let app = app();
    set(world, &[("API_KEY", API_KEY)]);
    world.ok(["update", app.path_str(), "--host", HOST]);
    app
}

/// Sets values, each from a file.
fn try_to_set(world: &World, values: &[(&str, &[u8])]) -> Output {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut words = vec!["config".to_owned(), "picky".to_owned(), "set".to_owned()];
    for (name, value) in values {
        let path = dir.path().join(name);
        // One newline at the end is not a part of it.
        fs::write(&path, [value, b"\n".as_slice()].concat()).expect("the value is written");
        words.extend([(*name).to_owned(), format!("file:{}", path.display())]);
    }
    words.push("--json".to_owned());
    world.cloudtool(words)
}

fn set(world: &World, values: &[(&str, &str)]) -> Value {
    let values: Vec<(&str, &[u8])> = values.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let output = try_to_set(world, &values);
    assert!(output.status.success(), "{}", both(&output));
    json_lines(&output).pop().expect("an answer")
}

fn environment(world: &World) -> Map<String, Value> {
    let said = world.inside(HOST, "import json, os\nprint(json.dumps(dict(os.environ)))");
    serde_json::from_str(&said).expect("JSON")
}

fn what_is_required_is_set_before_anything_is_sent(world: &World) {
    let app = app();
    let said = world.fails(2, ["update", app.path_str(), "--host", HOST]);
    assert!(
        said.contains("picky needs API_KEY to be set on ") && said.contains("cloudtool config picky set API_KEY"),
        "{said}"
    );
    assert!(!said.contains("stage"), "{said}");
    // It can be set before there is anything.
    let mut child = world
        .command(["config", "picky", "set", "API_KEY", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(format!("{API_KEY}\n").as_bytes()).expect("it is written");
    let said = both(&child.wait_with_output().expect("it ends"));
    assert!(said.contains("picky: set API_KEY; its first update will find it"), "{said}");
    world.ok(["update", app.path_str(), "--host", HOST]);
    let environment = environment(world);
    // What is set goes over [env] of app.ini, and that over the defaults.
    for (name, value) in
        [("API_KEY", API_KEY), ("LANGUAGE", "en"), ("PLACE", "two\nlines"), ("SHAPE", "round"), ("COLOUR", "red")]
    {
        assert_eq!(environment[name], value, "{name}");
    }
    let said = world.fails(2, ["config", HOST, "unset", "API_KEY"]);
    assert!(said.contains("picky needs API_KEY to be set (config.required in its app.ini)"), "{said}");
    let said = world.fails(2, ["config", "picky", "unset", "NOTHING"]);
    assert!(said.contains("NOTHING is not set for picky; set are: API_KEY"), "{said}");
    let said = world.ok(["config", "picky", "set", "API_KEY", &format!("command:printf {API_KEY}")]);
    assert!(said.contains("picky: nothing changed"), "{said}");
}

fn any_value_arrives_as_it_is_or_is_refused(world: &World) {
    let _app = deployed(world);
    let large = "0123456789abcdef".repeat(4096);
    let values: Vec<(&str, &str)> = vec![
        ("LINES", "one\n\ntwo\n\n"),
        ("QUOTES", "'a' \"b\" `c`"),
        ("SHELL", "$(touch /tmp/evil) `touch /tmp/evil` ${HOME} $HOME $$ !x; rm -rf /"),
        ("SYSTEMD", "%h %% %n \\x41 \\ \\\\ \\\""),
        ("BLANKS", "  \t around \t "),
        ("HASH", "#not a comment ; nor this"),
        ("UNICODE", "Grüße 😀 \u{202e}\u{feff}"),
        ("END", "a backslash\\"),
        ("EMPTY", ""),
        ("LARGE", &large),
    ];
    let argv = Argv::watch();
    let answer = set(world, &values);
    let before = answer["release"].as_str().expect("a release").to_owned();
    let arrived = environment(world);
    for (name, value) in &values {
        assert_eq!(arrived[*name].as_str(), Some(*value), "{name}");
    }
    let child = "import json, subprocess\nprint(json.dumps(dict(line.split('=', 1) for line in subprocess.run(['env', '-0'], capture_output=True, text=True).stdout.strip('\\0').split('\\0'))))";
    let inherited: Map<String, Value> = serde_json::from_str(&world.inside(HOST, child)).expect("JSON");
    assert!(values.iter().all(|(name, value)| inherited[*name] == *value));
    for (value, refused) in [
        (vec![b'x'; 1 << 20], "at most 64 KiB"),
        (b"a\0b".to_vec(), "control character U+0000"),
        (b"a\r\nb".to_vec(), "control character U+000D"),
        (vec![0xff, 0xfe], "not valid UTF-8"),
    ] {
        let output = try_to_set(world, &[("FINE", b"fine"), ("WRONG", &value)]);
        assert_eq!(output.status.code(), Some(2));
        assert!(both(&output).contains("WRONG: ") && both(&output).contains(refused), "{}", both(&output));
    }
    // Each fits, and all together do not fit into an environment.
    let many: Vec<(String, &str)> = (0..8).map(|n| (format!("MANY{n}"), large.as_str())).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let output = try_to_set(world, &many);
    assert_eq!(output.status.code(), Some(2));
    assert!(both(&output).contains("All values together have"), "{}", both(&output));
    let said = world.fails(2, ["config", "picky", "set", "WORD", "hunter2-hunter2"]);
    assert!(said.contains("a value is not said on the command line") && !said.contains("hunter2"), "{said}");
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    let answer = json_lines(&world.cloudtool([&["config", "picky", "unset", "--json"], names.as_slice()].concat()));
    let after = answer.last().expect("an answer")["release"].as_str().expect("a release").to_owned();
    let number = |release: &str| release[1..].parse::<u32>().expect("a number");
    assert_eq!(number(&after), number(&before) + 1, "nothing that was refused is a release");
    let seen = argv.stop();
    assert!(!seen.iter().any(|line| line.contains("touch /tmp/evil") || line.contains(API_KEY)));
    assert_eq!(world.node_script("ls /tmp/evil 2>/dev/null || true"), "");
}

fn changes_are_rolled_out_and_back_under_load(world: &World) {
    let _app = deployed(world);
    let colour = || environment(world).get("COLOUR").and_then(Value::as_str).map(str::to_owned);
    let load = Hammer::start(&world.address, HOST, "/", 2, None);
    let secret = "blue-4e1f9a";
    set(world, &[("COLOUR", secret), ("SPEED", "3")]);
    assert_eq!(colour().as_deref(), Some(secret));
    world.ok(["config", "picky", "unset", "COLOUR"]);
    assert_eq!(colour().as_deref(), Some("red"), "that of app.ini");
    world.ok(["config", HOST, "rollback"]);
    assert_eq!(colour().as_deref(), Some(secret), "as before the last change");
    // As code is rolled back: to the release, with what was set then.
    world.ok(["rollback", "picky"]);
    assert_eq!(colour().as_deref(), Some("red"));
    world.ok(["rollback", "picky"]);
    let mut edit = world.command(["config", "picky", "edit"]);
    let edited = edit.env("EDITOR", "sed -i -e s/^COLOUR=.*/COLOUR=edited/ -e /^SPEED=/d").output().expect("it runs");
    assert!(both(&edited).contains("set COLOUR; unset SPEED"), "{}", both(&edited));
    println!("{} requests through six changes, none failed", none_failed(load));
    assert_eq!(colour().as_deref(), Some("edited"));
    let history = world.ok(["config", "picky", "history"]);
    let changes: Vec<&str> = history
        .lines()
        .skip(1)
        .take(3)
        .filter_map(|line| line.split("tester@").nth(1)?.split_once("  "))
        .map(|(_, change)| change.trim())
        .collect();
    assert_eq!(changes, ["set COLOUR; unset SPEED", "set COLOUR", "unset COLOUR"], "{history}");
    assert!(world.ok(["releases", "picky"]).contains("config: set COLOUR; unset SPEED"));
    nothing_is_told(world, secret);
}

/// The value is shown to whoever asks for it, and to nobody else.
fn nothing_is_told(world: &World, secret: &str) {
    set(world, &[("COLOUR", secret)]);
    let listed = world.ok(["config", "picky", "list"]);
    let digest =
        |text: &str| text.lines().find(|line| line.starts_with("COLOUR"))?.split_whitespace().nth(1).map(str::to_owned);
    assert!(digest(&listed).is_some_and(|digest| digest.len() == 12) && !listed.contains(secret), "{listed}");
    assert!(world.ok(["config", "picky", "list", "--reveal"]).contains(&format!("COLOUR={secret}\n")));
    let said = both(&world.cloudtool(["config", "picky", "-vv"]));
    assert!(!said.contains(secret), "{said}");
    set(world, &[("SHAPE", "other")]);
    world.inside(HOST, "import os, sys\nprint('my colour is ' + os.environ['COLOUR'], file=sys.stderr)");
    let places = world.node_script(&format!(
        "grep -rlaF {secret} /etc /var /srv /run /tmp /usr/local /root 2>/dev/null | grep -v '^/var/log/cloudtool/picky/error.log' | xargs stat -c '%a %U %n'
         journalctl --no-pager -o export | grep -caF {secret} || true"
    ));
    for place in places.lines() {
        let known = ["600 root /etc/cloudtool/apps/picky/", "600 root /var/lib/cloudtool/secrets/picky/.values/", "0"];
        assert!(known.iter().any(|known| place.starts_with(known)), "{places}");
    }
}

fn a_checker_and_a_kill_leave_the_settings_that_serve(world: &World) {
    let _app = deployed(world);
    set(world, &[("SPEED", "0")]);
    let output = try_to_set(world, &[("SPEED", b"light")]);
    let said = both(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("config.checker conf:check") && said.contains("too fast: ***"), "{said}");
    let load = Hammer::start(&world.address, HOST, "/", 1, None);
    let speed = || environment(world)["SPEED"].as_str().expect("a text").to_owned();
    assert_eq!(speed(), "0");
    let started = std::time::Instant::now();
    set(world, &[("SPEED", "1")]);
    let duration = started.elapsed();
    let count = rounds(2);
    for round in 0..count {
        let before = speed();
        let wanted = format!("1{round}");
        let change = ["config", "picky", "set", "SPEED", &format!("command:printf {wanted}")];
        let said = killed_in_the_middle(world, &change, round, moment(round, count, duration));
        let now = speed();
        assert!(now == before || now == wanted, "{now}: {said}");
        set(world, &[("SPEED", &format!("2{round}"))]);
        assert_eq!(speed(), format!("2{round}"));
    }
    println!("{count} kills; {} requests, none failed", none_failed(load));
    // One version for each release that is known, and none of those that were cut short.
    let left = world.node_script(
        "python3 - <<'PYTHON'\nimport json, os\nstate = json.load(open('/var/lib/cloudtool/apps/picky.json'))\nnamed = {entry.get('values') for entry in state['releases']}\nprint([name for name in os.listdir('/var/lib/cloudtool/secrets/picky/.values') if name.removesuffix('.json') not in named])\nPYTHON",
    );
    assert_eq!(left, "[]");
}

fn settings_go_with_the_app_and_with_its_data(world: &World) {
    let app = deployed(world);
    set(world, &[("COLOUR", "green-12")]);
    let colour = "import os\nprint(os.environ['COLOUR'], os.environ['API_KEY'])";
    world.ok(["clone-app", "picky", "picky-copy", "--host", "copy.picky.test"]);
    assert_eq!(world.inside("copy.picky.test", colour), format!("green-12 {API_KEY}"));
    world.ok(["remove", "picky-copy", "--with-data", "-y"]);
    world.ok(["remove", "picky", "-y"]);
    world.ok(["update", app.path_str(), "--host", HOST]);
    assert_eq!(
        world.inside(HOST, colour),
        format!("green-12 {API_KEY}"),
        "what was removed without its data finds it again"
    );
    world.ok(["remove", "picky", "--with-data", "-y"]);
    assert_eq!(world.node_script("ls -d /var/lib/cloudtool/secrets/picky* 2>/dev/null || true"), "");
}
