//! The command line as a user meets it, without a node: help, errors with their exit codes, JSON, files.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use tempfile::TempDir;

/// A user with an empty home.
struct User {
    home: TempDir,
}

/// What a run came to.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl User {
    fn new() -> Self {
        User { home: tempfile::tempdir().unwrap() }
    }

    fn run(&self, args: &[&str]) -> Run {
        let output = Command::cargo_bin("cloudtool")
            .unwrap()
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            .env("CLOUDTOOL_DATA_DIR", self.home.path().join("data"))
            .env("CLOUDTOOL_LOCAL_DIR", self.home.path().join("local"))
            .current_dir(self.home.path())
            .output()
            .unwrap();
        let home = self.home.path().to_string_lossy().into_owned();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&home, "~");
        Run { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn a_doctor_looks_at_this_machine() {
    let user = User::new();
    let run = user.run(&["doctor"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "this machine: 8 checks, all well\n"), "{}", run.stderr);
    user.write(".config/cloudtool/cloudtool.ini", "[nonsense]\n");
    user.write("data/known_hosts", "half a-line\n");
    let run = user.run(&["doctor", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let checks = answer["subjects"][0]["checks"].as_array().unwrap();
    let ill = checks.iter().filter(|check| !check["findings"].as_array().unwrap().is_empty());
    let names: Vec<&str> = ill.map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!((run.code, names), (1, vec!["configuration", "known hosts"]), "{answer:#}");
}

#[test]
fn the_first_help_is_one_page() {
    let run = User::new().run(&["-h"]);
    assert_eq!(run.code, 0);
    // A line for each command, and little more.
    let commands = cloudtool::cli::definition().get_subcommands().filter(|command| !command.is_hide_set()).count();
    assert!(run.stdout.lines().count() < commands + 27, "{}", run.stdout);
    insta::assert_snapshot!(run.stdout.lines().next().unwrap(), @"App Engine for servers you own");
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    let run = User::new().run(&["updat"]);
    assert_eq!(run.code, 2);
    insta::assert_snapshot!(run.stderr, @r"
    error: unrecognized subcommand 'updat'

      tip: a similar subcommand exists: 'update'

    Usage: cloudtool [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn init_makes_an_app_that_validates() {
    let user = User::new();
    let run = user.run(&["init", "my-app"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    insta::assert_snapshot!(run.stdout, @"
    wrote my-app/app.ini
    wrote my-app/app.py
    wrote my-app/static/hello.css
    ");
    let run = user.run(&["validate", "my-app"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    insta::assert_snapshot!(run.stdout, @"my-app is fine: 3 files, 0.0 MB");
    let run = user.run(&["init", "my-app"]);
    insta::assert_snapshot!(run.stdout, @"
    kept  my-app/app.ini
    kept  my-app/app.py
    kept  my-app/static/hello.css
    ");
}

#[test]
fn every_mistake_of_an_app_ini_is_shown_at_once() {
    let user = User::new();
    user.write(
        "app/app.ini",
        "[production]\napp_nam = x\nrunner = app.py\nprocesses = many\nservice.postgris =\n\n[enf]\nA = 1\n",
    );
    let run = user.run(&["validate", "app"]);
    assert_eq!(run.code, 2);
    insta::assert_snapshot!(run.stderr);
}

#[test]
fn errors_are_json_when_json_was_asked_for() {
    let user = User::new();
    let run = user.run(&["--json", "validate", "nowhere"]);
    assert_eq!(run.code, 2);
    let error: serde_json::Value = serde_json::from_str(run.stdout.trim()).unwrap();
    assert_eq!(
        (error["event"].as_str(), error["kind"].as_str(), error["exit"].as_u64()),
        (Some("error"), Some("usage"), Some(2))
    );
}

#[test]
fn without_a_node_the_error_says_how_to_get_one() {
    let user = User::new();
    user.run(&["init", "app"]);
    let run = user.run(&["update", "app"]);
    assert_eq!(run.code, 2);
    insta::assert_snapshot!(run.stderr, @"
    error: there is no node yet
    hint: make one with `cloudtool create-node NAME --setup-node`, or name a server you have with --node HOST
    ");
}

#[test]
fn nothing_asks_without_a_terminal() {
    let user = User::new();
    let run = user.run(&["remove", "app", "--node", "somewhere.test"]);
    assert_eq!(run.code, 8);
    insta::assert_snapshot!(run.stderr, @"
    error: a question needs a terminal: app is removed from somewhere.test; its data stays. Type app to go on:
    hint: say --yes (-y) to go on without a question
    ");
}

#[test]
fn a_configuration_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let user = User::new();
    user.write("c.ini", "[provider:x]\nprovider = local\nsecret = sentinel-7f3a\n");
    std::fs::set_permissions(user.home.path().join("c.ini"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let run = user.run(&["--config", "c.ini", "list-nodes"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("chmod 600"), "{}", run.stderr);
    assert!(!run.stderr.contains("sentinel"), "{}", run.stderr);
}

#[test]
fn help_works_with_a_broken_configuration() {
    let user = User::new();
    user.write("c.ini", "[provider\n");
    assert_eq!(user.run(&["--config", "c.ini", "update", "--help"]).code, 0);
    assert_eq!(user.run(&["--config", "c.ini", "list-nodes"]).code, 2);
}

#[test]
fn the_default_node_is_remembered() {
    let user = User::new();
    assert_eq!(user.run(&["default-node"]).stdout, "");
    assert_eq!(user.run(&["default-node", "web.example.com"]).stdout, "web.example.com\n");
    assert_eq!(user.run(&["--json", "default-node"]).stdout, "{\n  \"default_node\": \"web.example.com\"\n}\n");
    assert_eq!(user.run(&["default-node", "--unset"]).code, 0);
    assert_eq!(user.run(&["default-node"]).stdout, "");
}

#[test]
fn list_nodes_is_an_array() {
    let run = User::new().run(&["list-nodes", "--json"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "[]\n"), "{}", run.stderr);
}

#[test]
fn sizes_and_images_of_the_local_provider_are_listed() {
    let user = User::new();
    for (command, expected) in
        [("list-images", "debian-12"), ("list-sizes", "small"), ("list-locations", "this-machine")]
    {
        let run = user.run(&[command]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stdout.contains(expected), "{command}: {}", run.stdout);
        let run = user.run(&["--json", command]);
        let list: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert!(list.as_array().is_some_and(|list| list.iter().any(|item| item["id"] == expected)), "{command}");
    }
}

#[test]
fn an_unreachable_node_is_said_so() {
    let user = User::new();
    user.run(&["init", "app"]);
    // Port 9 of the loopback: nobody listens there.
    let run = user.run(&["query", "--node", "root@127.0.0.1:9"]);
    assert_eq!(run.code, 5, "{}", run.stderr);
    assert!(Path::new(&user.home.path().join("app/app.ini")).is_file());
}

#[test]
fn a_script_of_the_shell_stops_at_the_first_failure() {
    let user = User::new();
    user.write("inner", "# a comment\nlist-sizes --json\nvalidate nothing-here\nlist-locations\n");
    user.write("outer", "use local\ncloudtool init app\nsource inner\nlist-locations\n");
    let run = user.run(&["shell", "outer"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stdout.contains("\"small\"") && run.stdout.contains("wrote app/app.ini"), "{}", run.stdout);
    assert!(!run.stdout.contains("this machine"), "{}", run.stdout);
    let last = run.stderr.lines().find(|line| line.starts_with("error: outer")).unwrap_or_default();
    insta::assert_snapshot!(last, @"error: outer:3: inner:3: validate failed (exit status: 2)");

    user.write("circle", "source circle\n");
    let run = user.run(&["shell", "circle"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("circle runs itself"), "{}", run.stderr);
    let run = user.run(&["shell", "nowhere"]);
    assert!(run.code == 2 && run.stderr.contains("nowhere cannot be read"), "{}", run.stderr);
}

#[test]
fn contexts_of_the_shell_reach_its_lines() {
    let user = User::new();
    user.write(".config/cloudtool/cloudtool.ini", "[provider:spare]\nprovider = ssh\n");
    user.write("script", "use spare\nlist-sizes --json\nuse local\nlist-sizes --json\non web9\nlogs shop\n");
    let run = user.run(&["--quiet", "shell", "script"]);
    assert!(run.stdout.starts_with("[]") && run.stdout.contains("\"small\""), "{}", run.stdout);
    assert!(run.stderr.contains("web9"), "{}", run.stderr);
    user.write("script", "use nowhere\n");
    let run = user.run(&["shell", "script"]);
    assert!(run.code == 2 && run.stderr.contains("there is no provider \"nowhere\""), "{}", run.stderr);
}

/// With the program.
fn path() -> String {
    let program = assert_cmd::cargo::cargo_bin("cloudtool");
    format!("{}:/usr/bin:/bin", program.parent().unwrap().display())
}

/// A command on a terminal, which util-linux's `script` makes.
struct Terminal {
    child: std::process::Child,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    /// `line` is what follows `cloudtool`.
    fn open(user: &User, line: &str) -> Self {
        Self::running(user, &format!("cloudtool {line}"))
    }

    /// The terminal's name is put into the file `tty` of the home.
    fn running(user: &User, command: &str) -> Self {
        let mut child = std::process::Command::new("script")
            .args(["-qec", &format!("tty >tty; exec {command}"), "/dev/null"])
            .env_clear()
            .env("HOME", user.home.path())
            .env("PATH", path())
            .env("TERM", "xterm")
            .env("CLOUDTOOL_DATA_DIR", user.home.path().join("data"))
            .current_dir(user.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut stdout, shared) = (child.stdout.take().unwrap(), seen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                shared.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Terminal { child, seen }
    }

    /// Types, and waits until the terminal shows all of `expected` since.
    fn type_keys(&mut self, keys: &str, expected: &[&str]) {
        let before = self.seen.lock().unwrap().len();
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
        let start = Instant::now();
        loop {
            let seen = self.seen.lock().unwrap()[before..].to_owned();
            if expected.iter().all(|text| seen.contains(text)) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{expected:?} after {keys:?}: {seen:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Waits until a terminal shows nothing of what is typed.
fn await_hidden(user: &User) {
    let start = Instant::now();
    loop {
        let name = std::fs::read_to_string(user.home.path().join("tty")).unwrap();
        let settings = std::process::Command::new("stty").args(["-a", "-F", name.trim()]).output().unwrap();
        if String::from_utf8_lossy(&settings.stdout).split_whitespace().any(|word| word == "-echo") {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{name} still shows what is typed");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_person_is_asked_for_the_settings_of_a_cloud() {
    use std::os::unix::fs::PermissionsExt;
    let user = User::new();
    let file = user.home.path().join("c.ini");
    let mut terminal = Terminal::open(&user, "--config c.ini configure --no-test");
    terminal.type_keys("", &["What is the section called?"]);
    terminal.type_keys("mine\n", &["Which cloud? (local, ", "hetzner"]);
    terminal.type_keys("Hetzner\n", &["The API token (or env:VARIABLE"]);
    await_hidden(&user);
    terminal.type_keys("sentinel-7f3a\n", &["The region nodes are made in (may be empty)"]);
    terminal
        .type_keys("\n", &["[provider:mine]", "secret = ********", "written to c.ini", "list-sizes --provider mine"]);
    assert!(terminal.child.wait().unwrap().success());
    assert!(!terminal.seen.lock().unwrap().contains("sentinel"));
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, "[provider:mine]\nprovider = hetzner\nsecret = sentinel-7f3a\n");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // What is not there, and what cannot be tried, is not written.
    for (cloud, questions, told) in [
        ("hetzer", &[][..], "no provider \"hetzer\""),
        ("gce", &["The service account's JSON file", "The zone"], "nothing was written"),
    ] {
        let mut terminal = Terminal::open(&user, "--config c.ini configure other");
        terminal.type_keys("", &["Which cloud?"]);
        let mut answer = cloud;
        for question in questions {
            terminal.type_keys(&format!("{answer}\n"), &[question]);
            answer = "nowhere.json";
        }
        terminal.type_keys(&format!("{answer}\n"), &[told]);
        assert_eq!(terminal.child.wait().unwrap().code(), Some(2));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn the_shell_completes_and_remembers() {
    let user = User::new();
    let mut terminal = Terminal::open(&user, "shell");
    terminal.type_keys("", &["cloudtool> "]);
    terminal.type_keys("us\tlo\t\n", &["cloudtool local> "]);
    terminal.type_keys("list-sizes --js\t\n", &["\"small\"", "cloudtool local> "]);
    terminal.type_keys("nonsense\n", &["unrecognized subcommand", "cloudtool local> "]);
    assert!(!terminal.seen.lock().unwrap().contains("nonsense failed"), "the line's own error is enough");
    terminal.type_keys("update", &["update"]);
    // Ctrl-C gives the line up: a new prompt on a new line.
    terminal.type_keys("\x03", &["\n", "cloudtool local> "]);
    terminal.type_keys("exit\n", &[]);
    let status = terminal.child.wait().unwrap();
    assert!(status.success(), "{status}: {}", terminal.seen.lock().unwrap());
    // The arrow up brings back what another shell was told.
    let mut terminal = Terminal::open(&user, "shell");
    terminal.type_keys("", &["cloudtool> "]);
    terminal.type_keys("\x1b[A\x1b[A\x1b[A\n", &["\"small\""]);
    terminal.type_keys("\x04", &[]);
    assert!(terminal.child.wait().unwrap().success());
}

#[test]
fn every_command_has_a_manual_page() {
    let user = User::new();
    let run = user.run(&["man", "manual"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let page = |name: &str| std::fs::read_to_string(user.home.path().join(format!("manual/man1/{name}.1")));
    let update = page("cloudtool-update").unwrap();
    assert!(update.contains("Deploy an app") && update.contains("\\-\\-host"), "{update}");
    for command in cloudtool::cli::definition().get_subcommands() {
        let name = format!("cloudtool-{}", command.get_name());
        assert_eq!(page(&name).is_ok(), !command.is_hide_set(), "{name}");
    }
    assert!(page("cloudtool").is_ok());
    user.write("taken", "");
    let run = user.run(&["man", "taken"]);
    assert!(run.code == 1 && run.stderr.contains("taken/man1 cannot be written"), "{}", run.stderr);
}

/// bash, fish and zsh, each with the script made for it.
#[test]
fn other_shells_complete_names_that_are_known() {
    let user = User::new();
    stopped_node(&user, "web1", 9);
    let refreshed = user.run(&["refresh"]);
    assert!(refreshed.stdout.contains("web1"), "{}", refreshed.stderr);
    let said_by = |shell: &str, script: &str| {
        let mut command = std::process::Command::new(shell);
        command.args(["-c", script]).env_clear().current_dir(user.home.path());
        command.envs([("HOME", user.home.path()), ("CLOUDTOOL_DATA_DIR", &user.home.path().join("data"))]);
        let output = command.env("PATH", path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        (said, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (typed, expected) in [
        ("stop-node w", "web1"),
        ("destroy", "destroy-node"),
        ("exec --on @", ""),
        ("reboot-node --tr", "--trace-http"),
    ] {
        let bash = format!(
            "source <(cloudtool completion bash); COMP_WORDS=(cloudtool {typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
             _cloudtool cloudtool; echo \"${{COMPREPLY[@]}}\""
        );
        let fish = format!("cloudtool completion fish | source; complete -C 'cloudtool {typed}'");
        for (shell, script) in [("bash", bash), ("fish", fish)] {
            assert_eq!(said_by(shell, &script), (expected.to_owned(), String::new()), "{shell}: {typed}");
        }
    }
    let mut zsh = Terminal::running(&user, "zsh -f");
    let begin = "autoload -U compinit && compinit -u -D && source <(cloudtool completion zsh) && echo rea''dy\n";
    zsh.type_keys(begin, &["ready"]);
    zsh.type_keys("cloudtool stop-node w\t", &["eb1"]);
    zsh.type_keys("\x15exit\n", &[]);
    assert!(zsh.child.wait().unwrap().success());
}

/// What the local provider keeps of a node that does not run.
fn stopped_node(user: &User, name: &str, last: u8) {
    let record = serde_json::json!({"name": name, "image": "debian-12", "size": "small", "network": 0,
        "address": format!("198.18.77.{last}"), "forwarded_port": 8080 + u16::from(last), "host_key": "ssh-ed25519 AAAA", "complete": true});
    user.write(&format!("local/nodes/{name}/node.json"), &record.to_string());
}

/// A port of the loopback where nobody listens.
fn dead_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

#[test]
fn a_cloud_that_is_down_hides_no_other() {
    let user = User::new();
    stopped_node(&user, "demo", 2);
    user.run(&["refresh"]);
    let port = dead_port();
    user.write(
        "c.ini",
        &format!(
            "[provider:one]\nprovider = local\n[provider:two]\nprovider = digitalocean\nsecret = env:HOME\nendpoint = http://127.0.0.1:{port}\n\
             [provider:three]\nprovider = digitalocean\nsecret = env:NOT_SET_ANYWHERE\n"
        ),
    );
    let run = user.run(&["--config", "c.ini", "list-nodes"]);
    // The kinds differ, so it is the clouds' fault in general.
    assert_eq!(run.code, 10, "{}", run.stderr);
    insta::assert_snapshot!(run.stdout, @r#"
    NAME  PROVIDER  STATE    PUBLIC  PRIVATE      IMAGE      SIZE   LOCATION
    demo  local     stopped  -       198.18.77.2  debian-12  small  this-machine
    "#);
    let stderr = run.stderr.replace(&port.to_string(), "PORT");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 2, "{stderr}");
    assert!(
        errors.iter().any(|error| error.starts_with("error: two: no answer from http://127.0.0.1:PORT")),
        "{stderr}"
    );
    assert!(errors.iter().any(|error| error.contains("NOT_SET_ANYWHERE")), "{stderr}");
    // The list is one JSON document all the same.
    let run = user.run(&["--config", "c.ini", "--json", "list-nodes"]);
    let list: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, list[0]["name"].as_str()), (10, Some("demo")));
    // Asked alone, its failure is the run's own.
    let run = user.run(&["--config", "c.ini", "--provider", "two", "list-nodes"]);
    assert_eq!((run.code, run.stdout.as_str()), (10, ""), "{}", run.stderr);
    // The inventory knows where demo is: the dead one is not even asked.
    let run = user.run(&["--config", "c.ini", "suspend-node", "demo"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    insta::assert_snapshot!(run.stderr, @"error: demo: the provider local cannot suspend a node");
    // Who is not found may be there.
    let run = user.run(&["--config", "c.ini", "stop-node", "elsewhere"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("elsewhere is not found, and three, two did not answer"), "{}", run.stderr);
}

#[test]
fn several_nodes_have_a_line_each() {
    let user = User::new();
    stopped_node(&user, "web1", 2);
    stopped_node(&user, "web2", 3);
    let run = user.run(&["suspend-node", "web{1..3}"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    let mut lines: Vec<&str> = run.stderr.lines().collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    error: 3 of 3 nodes failed
    error: no such node: web3
    error: web1: the provider local cannot suspend a node
    error: web2: the provider local cannot suspend a node
    hint: cloudtool list-nodes shows the nodes; another provider is chosen with --provider
    "#);
    let run = user.run(&["--json", "resume-node", "web1", "web2"]);
    let events: Vec<serde_json::Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 3, "{}", run.stdout);
    assert!(
        events[..2].iter().all(|event| event["event"] == "failed" && event["verb"] == "resume-node"),
        "{}",
        run.stdout
    );
    assert_eq!(events[2]["event"], "error");
    insta::assert_snapshot!(user.run(&["start-node", "web{1..}"]).stderr, @r#"error: "web{1..}": "" is no number: write {1..3}"#);
    insta::assert_snapshot!(user.run(&["start-node", "web1", "web{1..2}"]).stderr, @"error: web1 is named twice");
}

#[test]
fn the_inventory_is_brought_up_to_date() {
    let user = User::new();
    stopped_node(&user, "demo", 2);
    assert_eq!(user.run(&["--json", "list-nodes", "--cached"]).stdout, "[]\n");
    insta::assert_snapshot!(user.run(&["refresh"]).stdout, @r#"
    known nodes: 1
      new: demo
    "#);
    insta::assert_snapshot!(user.run(&["list-nodes", "--cached"]).stdout, @r#"
    NAME  PROVIDER  STATE    PUBLIC  PRIVATE      IMAGE      SIZE   LOCATION
    demo  local     stopped  -       198.18.77.2  debian-12  small  this-machine
    "#);
    assert_eq!(user.run(&["--json", "list-nodes", "--cached"]).stdout, user.run(&["--json", "list-nodes"]).stdout);
    // Its host key is pinned: it can be logged in to by name.
    let known = std::fs::read_to_string(user.home.path().join("data/known_hosts")).unwrap();
    assert_eq!(known, "198.18.77.2 ssh-ed25519 AAAA\n");
    std::fs::remove_dir_all(user.home.path().join("local/nodes/demo")).unwrap();
    insta::assert_snapshot!(user.run(&["refresh"]).stdout, @r#"
    known nodes: 0
      gone: demo
    "#);
    assert_eq!(user.run(&["--json", "list-nodes", "--cached"]).stdout, "[]\n");
    assert_eq!(std::fs::read_to_string(user.home.path().join("data/known_hosts")).unwrap(), "");
}

#[test]
fn what_each_provider_can_do_is_a_table() {
    let run = User::new().run(&["list-providers"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let rows: Vec<&str> = run.stdout.lines().collect();
    assert!(rows[0].starts_with("PROVIDER"), "{}", run.stdout);
    assert!(
        rows.iter().any(|row| row.split_whitespace().collect::<Vec<_>>()[..3] == ["local", "yes", "yes"]),
        "{}",
        run.stdout
    );
    let run = User::new().run(&["--json", "list-providers"]);
    let list: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(list[0]["can"]["suspend"], false);
}

#[test]
fn a_node_is_not_ordered_by_a_slip() {
    let user = User::new();
    stopped_node(&user, "web1", 2);
    for (args, expected) in [
        (&["create-node", "Web_1"][..], "is not a node name"),
        (&["create-node", "web{1..2}"], "there is a node web1 at local already"),
        (&["create-node", "x", "--size", "ram>=1T"], "no size that matches"),
        (&["create-node", "x", "--size", "*"], "small (1024 MB), medium (2048 MB)"),
        (&["create-node", "x", "--size", "rum>=1"], "only ram, cpus, disk and price"),
        (&["create-node", "x", "--image", "*"], "matches"),
    ] {
        let run = user.run(args);
        assert!(run.code == 2 && run.stderr.contains(expected), "{args:?}: {} {}", run.code, run.stderr);
    }
    assert_eq!(std::fs::read_dir(user.home.path().join("local/nodes")).unwrap().count(), 1);
}

#[test]
fn a_cloud_is_configured_and_tried() {
    use std::os::unix::fs::PermissionsExt;
    let user = User::new();
    let file = user.home.path().join("c.ini");
    user.write("c.ini", "# mine\n[defaults]\nkeep = 3\n\n[provider:there]\nprovider = local\n");
    let run = user.run(&["--config", "c.ini", "configure", "here", "provider=local", "size=small"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    insta::assert_snapshot!(run.stdout, @"
    [provider:here]
    provider = local
    size = small
    here answers; it has 0 nodes
    written to c.ini
    ");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        text,
        "# mine\n[defaults]\nkeep = 3\n\n[provider:there]\nprovider = local\n\n[provider:here]\nprovider = local\nsize = small\n"
    );
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // What does not answer, or cannot be right, is not written.
    let endpoint = format!("endpoint=http://127.0.0.1:{}", dead_port());
    for (more, code, expected) in [
        (&["provider=digitalocean", "secret=sentinel-7f3a", &endpoint][..], 10, "nothing was written"),
        (&["provider=nowhere", "secret=sentinel-7f3a"], 2, "there is no provider"),
        (&["provider=local", "secrt=sentinel-7f3a"], 2, "did you mean"),
        (&["provider=local", "sentinel-7f3a"], 2, "KEY=VALUE"),
        (&["secret=sentinel-7f3a"], 2, "the key is missing"),
    ] {
        let run = user.run(&[&["--config", "c.ini", "configure", "new"], more].concat());
        let said = run.stdout + &run.stderr;
        assert!(
            run.code == code && said.contains(expected) && !said.contains("sentinel"),
            "{more:?}: {} {said}",
            run.code
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
    let run = user.run(&[
        "--config",
        "c.ini",
        "configure",
        "new",
        "--no-test",
        "provider=digitalocean",
        "secret=sentinel-7f3a",
    ]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    insta::assert_snapshot!(run.stdout, @"
    [provider:new]
    provider = digitalocean
    secret = ********
    written to c.ini
    ");
    assert!(std::fs::read_to_string(&file).unwrap().ends_with("secret = sentinel-7f3a\n"));
    // Without a terminal nothing is asked.
    assert_eq!(user.run(&["configure", "x"]).code, 8);
}

#[test]
fn clouds_are_imported() {
    use std::os::unix::fs::PermissionsExt;
    let user = User::new();
    user.write("cloudmesh.yaml", include_str!("cloudmesh.yaml"));
    let run = user.run(&["--config", "new/c.ini", "import-clouds", "cloudmesh.yaml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    insta::assert_snapshot!(run.stderr, @"warning: left out: the default chameleon: there is no such cloud in the file");
    let file = user.home.path().join("new/c.ini");
    let text = std::fs::read_to_string(&file).unwrap();
    let headers: Vec<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(headers, ["[provider:uc]", "[provider:tacc]"]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(user.run(&["--config", "new/c.ini", "import-clouds", "cloudmesh.yaml"]).code, 2);
    assert_eq!(user.run(&["--config", "new/c.ini", "import-clouds", "cloudmesh.yaml", "--replace"]).code, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    user.write(
        "clouds.yaml",
        "clouds:\n  one:\n    auth: {auth_url: https://k/v3, username: me, password: sentinel-7f3a, project_name: p}\n",
    );
    let run = user.run(&["--config", "new/c.ini", "import-clouds", "clouds.yaml"]);
    assert!(run.code == 0 && !run.stdout.contains("sentinel"), "{}{}", run.stdout, run.stderr);
    assert!(std::fs::read_to_string(&file).unwrap().contains("secret = sentinel-7f3a\n"));
    user.write("broken.yaml", "clouds: [sentinel-7f3a");
    let run = user.run(&["import-clouds", "broken.yaml"]);
    assert!(run.code == 2 && !run.stderr.contains("sentinel"), "{}", run.stderr);
}

#[test]
fn a_wrong_choice_is_found_where_it_was_made() {
    let user = User::new();
    user.write(".config/cloudtool/cloudtool.ini", "[provider:mine]\nprovider = local\nsize = hugest\n");
    let of = |args: &[&str]| user.run(args).stderr.lines().next().unwrap_or_default().to_owned();
    insta::assert_snapshot!(of(&["create-node", "x", "-p", "mine"]), @r#"error: local has no size that matches "hugest" (`size` in [provider:mine])"#);
    insta::assert_snapshot!(of(&["create-node", "x", "-p", "mine", "--size", "tiny"]), @r#"error: local has no size that matches "tiny""#);
}
