//! Nodes of their own beside the shared one: created several at once, logged in to for the first time, failing half-way.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::Test;
use crate::world::{World, assert_success, at_a_terminal, both, json_lines};

pub const TESTS: &[Test] = &[
    ("several_are_created_switched_and_destroyed_at_once", several_are_created_switched_and_destroyed_at_once),
    ("the_first_login_replaces_the_host_key", the_first_login_replaces_the_host_key),
    ("whoever_the_image_lets_in_is_found", whoever_the_image_lets_in_is_found),
    ("commands_run_on_all_nodes_of_a_label", commands_run_on_all_nodes_of_a_label),
    ("a_node_that_fails_after_its_order_is_not_forgotten", a_node_that_fails_after_its_order_is_not_forgotten),
    ("ctrl_c_forgets_no_node", ctrl_c_forgets_no_node),
];

/// Nodes of one test; destroyed when it ends, however it ends.
struct Nodes<'w>(&'w World, &'static str);

impl Drop for Nodes<'_> {
    fn drop(&mut self) {
        let output = self.0.cloudtool(["destroy-node", self.1, "--if-exists", "-y"]);
        if !output.status.success() {
            eprintln!("{} could not be destroyed: {}", self.1, both(&output));
        }
    }
}

fn state(world: &World, name: &str) -> Option<String> {
    let list: serde_json::Value = serde_json::from_str(&world.ok(["list-nodes", "--json"])).expect("JSON");
    let node = list.as_array()?.iter().find(|node| node["name"] == name)?;
    node["state"].as_str().map(str::to_owned)
}

fn address(world: &World, name: &str) -> String {
    let list: serde_json::Value = serde_json::from_str(&world.ok(["list-nodes", "--cached", "--json"])).expect("JSON");
    let nodes = list.as_array().expect("a list");
    let node = nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("{name} is not in {nodes:?}"));
    node["private_ips"][0].as_str().expect("an address").to_owned()
}

/// The keys that are pinned for an address, as `type base64`.
fn pinned(world: &World, address: &str) -> Vec<String> {
    let known = fs::read_to_string(world.home.path().join("data/known_hosts")).expect("it is there");
    known.lines().filter_map(|line| line.strip_prefix(&format!("{address} "))).map(str::to_owned).collect()
}

fn several_are_created_switched_and_destroyed_at_once(world: &World) {
    let _nodes = Nodes(world, "ct-many{1..2}");
    let output = world.cloudtool(["create-node", "ct-many{1..2}", "--wait"]);
    assert_success(&output);
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{}", both(&output));
    assert!(
        lines[0].starts_with("ct-many1 is created (") && lines[1].starts_with("ct-many2 is created ("),
        "{lines:?}"
    );
    assert_ne!(address(world, "ct-many1"), address(world, "ct-many2"));

    // There already, which is an error or fine.
    let said = world.fails(2, ["create-node", "ct-many{2..3}"]);
    assert!(said.contains("there is a node ct-many2"), "{said}");
    assert_eq!(state(world, "ct-many3"), None, "nothing was ordered");
    assert!(world.ok(["create-node", "ct-many{1..2}", "--if-not-exists"]).contains("ct-many2 exists (running)"));

    let said = world.ok(["stop-node", "ct-many{1..2}"]);
    assert!(said.contains("ct-many1 stops (local)\n") && said.contains("ct-many2 stops (local)\n"), "{said}");
    assert_eq!(state(world, "ct-many1").as_deref(), Some("stopped"));
    let output = world.cloudtool(["--json", "start-node", "ct-many1"]);
    assert_success(&output);
    let event = &json_lines(&output)[0];
    assert_eq!(
        (event["event"].as_str(), event["verb"].as_str(), event["node"].as_str()),
        (Some("done"), Some("start-node"), Some("ct-many1"))
    );
    world.ok(["reboot-node", "ct-many1"]);
    assert_ne!(state(world, "ct-many1").as_deref(), Some("stopped"));
    assert_eq!(state(world, "ct-many2").as_deref(), Some("stopped"));
    // One of them cannot be found, the other is done all the same.
    let said = world.fails(2, ["stop-node", "ct-many1", "ct-nobody"]);
    assert!(said.contains("no such node: ct-nobody") && said.contains("1 of 2 nodes failed"), "{said}");
    assert_eq!(state(world, "ct-many1").as_deref(), Some("stopped"));
    world.ok(["destroy-node", "ct-many{1..2}", "-y"]);
    assert_eq!((state(world, "ct-many1"), state(world, "ct-many2")), (None, None));
}

fn the_first_login_replaces_the_host_key(world: &World) {
    let _nodes = Nodes(world, "ct-keyed");
    world.ok(["create-node", "ct-keyed", "--wait"]);
    let address = address(world, "ct-keyed");
    let first = pinned(world, &address);
    assert!(first.len() == 1 && first[0].starts_with("ssh-ed25519 "), "{first:?}");
    let read_key = ["exec", "--on", "ct-keyed", "--", "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub"];
    // The first login is by the key that was made here, and ends with one of the node's own.
    let shown = world.ok(read_key);
    let second = pinned(world, &address);
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
    assert!(shown.contains(&second[0]), "{shown}");
    // sshd shows the new one, and it is not replaced again.
    assert_eq!(world.ok(read_key), shown);
    assert_eq!(pinned(world, &address), second);
    // Who comes from elsewhere is told the new one too, by the provider.
    let home = tempfile::tempdir().expect("a directory");
    fs::copy(world.home.path().join("data/id_ed25519"), home.path().join("id_ed25519")).expect("the key");
    fs::copy(world.home.path().join("data/id_ed25519.pub"), home.path().join("id_ed25519.pub")).expect("the key");
    for args in [&["refresh"][..], &["exec", "--on", "ct-keyed", "--", "true"]] {
        let output = world.command(args).env("CLOUDTOOL_DATA_DIR", home.path()).output().expect("the binary starts");
        let said = both(&output);
        // Its inventory does not know which key opens it: the host key was accepted when it comes to that.
        assert!(output.status.success() || (output.status.code() == Some(4) && !said.contains("host key")), "{said}");
    }
}

fn whoever_the_image_lets_in_is_found(world: &World) {
    let _nodes = Nodes(world, "ct-users");
    world.ok(["create-node", "ct-users", "--wait"]);
    let address = address(world, "ct-users");
    // As on a cloud's image: a user with sudo, and root is not let in.
    World::script(
        world.ssh_to("root", &address),
        "useradd -m -s /bin/sh debian
         install -d -o debian -g debian -m 700 /home/debian/.ssh
         install -o debian -g debian -m 600 /root/.ssh/authorized_keys /home/debian/.ssh/authorized_keys
         echo 'debian ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/debian
         mv /root/.ssh/authorized_keys /root/keys",
    );
    let first = pinned(world, &address);
    assert!(world.ok(["exec", "--on", "ct-users", "--", "id -un"]).contains("debian"));
    assert_ne!(pinned(world, &address), first, "the host key is replaced with sudo, too");
    // Other images let root in to be told who is let in. What is remembered does not ask.
    World::script(
        world.ssh_to("debian", &address),
        r#"sudo python3 - <<'END'
keys = open("/root/keys").read()
sentence = "echo 'Please login as the user \\\"debian\\\" rather than the user \\\"root\\\".';echo;sleep 10;exit 142"
open("/root/.ssh/authorized_keys", "w").write(f'no-pty,command="{sentence}" {keys}')
END
"#,
    );
    assert!(world.ok(["exec", "--on", "ct-users", "--", "id", "-un"]).contains("debian"));
    // A person from elsewhere, who remembers nothing, is told by root.
    let home = tempfile::tempdir().expect("a directory");
    fs::copy(world.home.path().join("data/known_hosts"), home.path().join("known_hosts")).expect("known hosts");
    let key = world.home.path().join("data/id_ed25519");
    let args = ["setup-node", &address, "--identity", key.to_str().expect("UTF-8"), "-v"];
    let output = world.command(args).env("CLOUDTOOL_DATA_DIR", home.path()).output().expect("the binary starts");
    assert_success(&output);
    assert!(both(&output).contains("lets in debian, not root"), "{}", both(&output));
}

fn commands_run_on_all_nodes_of_a_label(world: &World) {
    let _nodes = Nodes(world, "ct-run{1..2}");
    world.ok(["create-node", "ct-run{1..2}", "--wait"]);
    assert_eq!(world.ok(["label-node", "ct-run1", "both", "first"]), "ct-run1: both first\n");
    world.ok(["label-node", "ct-run2", "both"]);
    let sorted = |text: &str| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    assert_eq!(sorted(&world.ok(["exec", "--on", "@both", "--", "hostname"])), "ct-run1 | ct-run1\nct-run2 | ct-run2");
    // As ssh's own program sees the node: its first login was ours, its key is pinned. Arguments arrive as they are.
    let words = ["ssh", "ct-run1", "printf", "%s|", "a b", "$HOME", "*"];
    assert_eq!(world.ok(words), "a b|$HOME|*|");
    assert_eq!(world.ok(["ssh", "ct-run2", "echo $HOME | wc -l; exit 0"]), "1\n");
    world.fails(7, ["ssh", "ct-run1", "exit 7"]);
    // Both streams, long lines, lines without an end; a failure on one of them.
    let script = "seq -f %.0f-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 20000; seq 20000 >&2; printf end; [ $(hostname) = ct-run2 ] || exit 3";
    let output = world.cloudtool(["exec", "--on", "ct-run*", "--limit", "1", "--", script]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), stdout.lines().count()), (Some(1), 2 * 20_001), "{stderr:.1000}");
    assert!(stdout.contains("ct-run1 | end\nct-run2 | 1-xxx"), "one after the other");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("ct-run2 | ")).count(), 20_000);
    assert!(stderr.contains("ct-run1: the command ended with status 3\n"), "{stderr:.1000}");
    let output = world.cloudtool(["--json", "exec", "--on", "@first", "--", "kill -9 $$"]);
    assert_eq!(json_lines(&output)[0]["status"], 137, "{}", both(&output));
    world.ok(["label-node", "ct-run1", "both", "--remove"]);
    assert_eq!(world.ok(["exec", "--on", "@both", "--", "hostname"]), "ct-run2 | ct-run2\n");
}

fn a_node_that_fails_after_its_order_is_not_forgotten(world: &World) {
    let _nodes = Nodes(world, "ct-late{1..2}");
    // It cannot answer within no time.
    let said = world.fails(10, ["create-node", "ct-late1", "--timeout", "0"]);
    assert!(said.contains("ct-late1 (id ct-late1 at local) is there"), "{said}");
    assert!(said.contains("cloudtool destroy-node ct-late1"), "{said}");
    assert!(state(world, "ct-late1").is_some());
    assert!(world.ok(["list-nodes", "--cached"]).contains("ct-late1"));
    let said = world.fails(10, ["create-node", "ct-late2", "--timeout", "0", "--destroy-on-failure"]);
    assert!(said.contains("ct-late2 (id ct-late2) was destroyed again"), "{said}");
    assert_eq!(state(world, "ct-late2"), None);
    assert!(!world.ok(["list-nodes", "--cached"]).contains("ct-late2"));
    // At a terminal a person is asked, whatever --yes says.
    let create =
        |typed: &str| at_a_terminal(&world.command(["-y", "create-node", "ct-late2", "--timeout", "0"]), typed);
    let (code, seen) = create("n\n");
    assert!(
        code == Some(10) && seen.contains("Destroy it? [y/N]") && seen.contains("cloudtool destroy-node ct-late2"),
        "{seen}"
    );
    assert!(state(world, "ct-late2").is_some());
    world.ok(["destroy-node", "ct-late2", "-y"]);
    let (code, seen) = create("y\n");
    assert!(code == Some(10) && seen.contains("ct-late2 (id ct-late2) was destroyed again"), "{seen}");
    assert_eq!(state(world, "ct-late2"), None);
}

fn ctrl_c_forgets_no_node(world: &World) {
    let _nodes = Nodes(world, "ct-cut{1..2}");
    for (name, more, remains) in [("ct-cut1", &[][..], true), ("ct-cut2", &["--destroy-on-failure"], false)] {
        let args = [&["create-node", name, "--setup-node", "--json"][..], more].concat();
        let mut child =
            world.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let created = output.by_ref().map_while(Result::ok).find(|line| line.contains("\"event\":\"node\""));
        assert!(created.is_some(), "{name} is created");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is interrupted");
        let rest: Vec<String> = output.map_while(Result::ok).collect();
        let ended = child.wait_with_output().expect("it ends");
        let said = format!("{}\n{}", rest.join("\n"), both(&ended));
        assert_eq!(ended.status.code(), Some(9), "{said}");
        let last: serde_json::Value = serde_json::from_str(rest.last().expect("an event")).expect("JSON");
        assert_eq!((last["event"].as_str(), last["kind"].as_str()), (Some("error"), Some("cancelled")), "{said}");
        assert!(last["details"][0].as_str().is_some_and(|told| told.contains(&format!("{name} (id {name}"))), "{said}");
        assert_eq!(state(world, name).is_some(), remains, "{said}");
    }
}
