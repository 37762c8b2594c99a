//! Backup, restore, verify and clear of what an app keeps: all of it comes back, and nothing that is wrong changes anything.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::Test;
use crate::hammer::Hammer;
use crate::http::get;
use crate::whole::none_failed;
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[
    ("every_file_comes_back_as_it_was", every_file_comes_back_as_it_was),
    ("a_second_backup_sends_only_what_is_new", a_second_backup_sends_only_what_is_new),
    ("old_backups_go_and_what_newer_ones_need_stays", old_backups_go_and_what_newer_ones_need_stays),
    ("a_damaged_backup_changes_nothing", a_damaged_backup_changes_nothing),
    ("a_hostile_backup_changes_nothing", a_hostile_backup_changes_nothing),
    ("a_backup_goes_into_another_app_only_when_that_is_meant", a_backup_goes_into_another_app_only_when_that_is_meant),
    ("clear_backs_up_first_and_begins_anew", clear_backs_up_first_and_begins_anew),
    ("data_that_do_not_work_are_not_switched_to", data_that_do_not_work_are_not_switched_to),
];

/// All kinds of files an app may make, by a script on the node as the app's user would.
const ODD_FILES: &str = r#"
import os
root = os.environ["CONFIG_FILES"]
os.chdir(root)
os.makedirs("deep/er/est", exist_ok=True)
os.makedirs("empty", exist_ok=True)
for name, content in {
    b"plain": b"hello", b"no content": b"", b"new\nline": b"1", "ümläut \U0001f600".encode(): b"2", b"not utf-8 \xff": b"3",
    b"deep/er/est/file": os.urandom(3_000_000), b"-rf": b"4", b".hidden": b"5", b"$HOME `id` \\ '\"": b"6", b"twin": b"hello",
}.items():
    with open(name, "wb") as file:
        file.write(content)
os.chmod("plain", 0o600)
os.chmod("deep/er", 0o711)
os.chmod("twin", 0o755)
for link, target in (("link", "plain"), ("outside", "/etc/passwd"), ("broken", "../nowhere"), ("to-dir", "deep")):
    if not os.path.islink(link):
        os.symlink(target, link)
if not os.path.exists("hard"):
    os.link("plain", "hard")
    os.mkfifo("pipe")
os.utime("plain", ns=(10**18, 10**18 + 123456789))
os.utime("link", ns=(10**18, 10**18 + 7), follow_symlinks=False)
os.utime("deep/er", ns=(10**18, 10**18 + 9))
"#;

/// What is there: kind, mode, owner, times, target, content of everything but the pipe.
const LISTING: &str = r#"
import hashlib, os, stat
root = os.environ["CONFIG_FILES"]
for directory, names, files in sorted(os.walk(os.fsencode(root))):
    for name in sorted(names + files):
        path = os.path.join(directory, name)
        found = os.lstat(path)
        if stat.S_ISFIFO(found.st_mode):
            continue
        content = hashlib.sha256(open(path, "rb").read()).hexdigest() if stat.S_ISREG(found.st_mode) else None
        target = os.readlink(path) if stat.S_ISLNK(found.st_mode) else None
        print(os.path.relpath(path, os.fsencode(root)), oct(found.st_mode), found.st_uid == os.getuid(), found.st_mtime_ns, target, content)
"#;

const HOST: &str = "attic.test";

/// An app with files, and a place for its backups.
struct Keeper {
    app: App,
    place: TempDir,
}

impl Keeper {
    fn deployed(world: &World) -> Self {
        let app = App::obeying("attic", "service.files =\nservice.writable_root =\nupdate_fetch = script:hook.sh\n")
            .file("hook.sh", "echo fresh >\"$CONFIG_FILES/from-hook\"\n");
        world.ok(["update", app.path_str(), "--host", HOST]);
        world.ok(["clear", "attic", "--no-backup", "-y"]);
        Keeper { app, place: tempfile::tempdir().expect("a temporary directory") }
    }

    fn place(&self) -> &str {
        self.place.path().to_str().expect("UTF-8")
    }

    fn dir(&self) -> PathBuf {
        self.place.path().join("attic")
    }

    /// Takes a backup; its manifest.
    fn backup(&self, world: &World) -> Value {
        let said = world.ok(["backup", "attic", self.place(), "--json"]);
        let mut results = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        results.rfind(|event| event["event"] == "result").expect("a result")["backup"].clone()
    }

    fn restore(&self, world: &World) -> String {
        world.ok(["restore", &format!("{}/attic", self.place()), HOST, "-y"])
    }

    fn write(&self, world: &World, name: &str, content: &str) {
        world.inside(HOST, &format!("import os\nopen(os.environ['CONFIG_FILES'] + '/{name}', 'w').write({content:?})"));
    }

    /// The names of its files, one after the other.
    fn names(&self, world: &World) -> String {
        world.inside(HOST, "import os\nprint(*sorted(os.listdir(os.environ['CONFIG_FILES'])))")
    }
}

/// The node has the shares in use and no other.
fn only_shares_in_use(world: &World) {
    let state: Value =
        serde_json::from_str(&world.node_says(["cat", "/var/lib/cloudtool/apps/attic.json"])).expect("a state");
    assert_eq!(state["doomed"], json!([]));
    let share = |service: &str| match state["shares"][service].as_u64() {
        Some(number) if number > 1 => format!("{service}.{number}"),
        _ => service.to_owned(),
    };
    let expected = format!("{}\n{}", share("files"), share("writable_root"));
    assert_eq!(world.node_says(["ls", "-A", "/srv/cloudtool/apps/attic/data"]), expected);
}

fn every_file_comes_back_as_it_was(world: &World) {
    let keeper = Keeper::deployed(world);
    world.inside(HOST, ODD_FILES);
    let before = world.inside(HOST, LISTING);
    assert!(before.lines().count() >= 17, "{before}");
    let output = world.cloudtool(["backup", HOST, keeper.place()]);
    assert!(both(&output).contains("1 sockets, pipes or devices"), "{}", both(&output));
    world.inside(HOST, "import os, shutil\nroot = os.environ['CONFIG_FILES']\nshutil.rmtree(root + '/deep')\nopen(root + '/plain', 'w').write('spoilt')");
    let load = Hammer::start(&world.address, HOST, "/", 2, None);
    keeper.restore(world);
    assert!(none_failed(load) > 0);
    assert_eq!(world.inside(HOST, LISTING), before);
    only_shares_in_use(world);
    // The release before it is still there, and sees the same data.
    world.ok(["update", keeper.app.path_str(), "--force"]);
    keeper.restore(world);
    assert_eq!(world.inside(&format!("prev.{HOST}"), LISTING), before);
    world.ok(["rollback", "attic"]);
    assert_eq!(world.inside(HOST, LISTING), before);
    let said = world.ok(["verify-backup", &format!("{}/attic", keeper.place())]);
    assert!(said.contains("can be restored") && said.contains("in files"), "{said}");
    assert_eq!(world.inside(HOST, LISTING), before);
    only_shares_in_use(world);
}

fn a_second_backup_sends_only_what_is_new(world: &World) {
    let keeper = Keeper::deployed(world);
    world.inside(HOST, ODD_FILES);
    let first = keeper.backup(world);
    let second = keeper.backup(world);
    let id = second["id"].as_str().expect("an id");
    let packs = |manifest: &Value| -> Vec<String> {
        let objects = manifest["services"]["files"]["objects"].as_array().expect("objects").iter();
        objects.filter_map(Value::as_str).filter(|name| name.contains(".pack.")).map(str::to_owned).collect()
    };
    assert_eq!(packs(&first), packs(&second));
    let added: u64 = second["objects"]
        .as_object()
        .expect("objects")
        .iter()
        .filter(|(name, _)| name.starts_with(id))
        .map(|(_, about)| about["bytes"].as_u64().expect("bytes"))
        .sum();
    assert!(added < 10_000, "{added}");
    keeper.write(world, "third", "something new");
    let third = keeper.backup(world);
    assert_eq!(packs(&third).len(), 2, "{third}");
    let before = world.inside(HOST, LISTING);
    keeper.write(world, "third", "spoilt");
    keeper.restore(world);
    assert_eq!(world.inside(HOST, LISTING), before);
}

fn old_backups_go_and_what_newer_ones_need_stays(world: &World) {
    let keeper = Keeper::deployed(world);
    keeper.write(world, "one", "1");
    let first = keeper.backup(world);
    keeper.write(world, "two", "2");
    world.ok(["backup", "attic", keeper.place(), "--keep", "1 last"]);
    let listed = world.ok(["list-backups", "attic", keeper.place()]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let id = first["id"].as_str().expect("an id");
    let left: Vec<String> = names_in(&keeper.dir()).into_iter().filter(|name| name.starts_with(id)).collect();
    assert_eq!(left, [format!("{id}.files.pack.zst")], "the first file is in it");
    keeper.write(world, "one", "spoilt");
    keeper.restore(world);
    assert_eq!(world.inside(HOST, "import os\nprint(open(os.environ['CONFIG_FILES'] + '/one').read())"), "1");
    let said = world.fails(2, ["backup", "attic", keeper.place(), "--keep", "7 dayly"]);
    assert!(said.contains("'7 dayly' does not say what to keep"), "{said}");
}

fn a_damaged_backup_changes_nothing(world: &World) {
    let keeper = Keeper::deployed(world);
    world.inside(HOST, ODD_FILES);
    keeper.backup(world);
    keeper.write(world, "later", "written since");
    let before = world.inside(HOST, LISTING);
    let objects: Vec<String> = names_in(&keeper.dir());
    assert!(objects.len() >= 4, "{objects:?}");
    for name in &objects {
        let path = keeper.dir().join(name);
        let whole = fs::read(&path).expect("an object");
        let manifest = name.ends_with(".json");
        // What a flipped bit makes of a manifest may well be another name: it is what the objects are held to.
        let mut flipped = whole.clone();
        flipped[if manifest { 0 } else { whole.len() / 2 }] ^= 0x10;
        let shortened = whole[..if manifest { whole.len() / 2 } else { whole.len() - 1 }].to_vec();
        for damage in [flipped, shortened] {
            fs::write(&path, damage).expect("it is written");
            let said = world.fails(1, ["restore", &format!("{}/attic", keeper.place()), HOST, "-y"]);
            assert!(said.contains(name), "{said}");
        }
        fs::remove_file(&path).expect("it is removed");
        if !name.ends_with(".json") {
            let said = world.fails(1, ["restore", &format!("{}/attic", keeper.place()), HOST, "-y"]);
            assert!(said.contains(name), "{said}");
        }
        fs::write(&path, &whole).expect("it is written");
    }
    assert_eq!(world.inside(HOST, LISTING), before);
    only_shares_in_use(world);
    keeper.restore(world);
    only_shares_in_use(world);
}

/// Whoever can write the objects can write their hashes, too. Then what is in them must not reach beyond the share.
fn a_hostile_backup_changes_nothing(world: &World) {
    let keeper = Keeper::deployed(world);
    keeper.write(world, "plain", "hello");
    let manifest = keeper.backup(world);
    let before = world.inside(HOST, LISTING);
    let tree = manifest["services"]["files"]["objects"][0].as_str().expect("a tree").to_owned();
    let content = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let file = |path: &str| json!({"path": path, "mode": 0o644, "mtime": 0, "size": 5, "sha256": content});
    let link = |path: &str, target: &str| json!({"path": path, "mode": 0o777, "mtime": 0, "link": target});
    let directory = |path: &str| json!({"path": path, "mode": 0o755, "mtime": 0, "directory": true});
    for entries in [
        vec![file("../escaped")],
        vec![file("/etc/cron.d/escaped")],
        vec![directory("a"), file("a/../../escaped")],
        vec![link("a", "/etc"), file("a/escaped")],
        vec![directory("a"), link("a", "/etc")],
        vec![file("a"), file("a")],
        vec![file("missing/escaped")],
        vec![file("")],
        vec![json!({"path": "a", "mode": "0644", "mtime": 0})],
        vec![json!({"path": "a", "mode": 0o644, "mtime": 0, "size": 5, "sha256": "00"})],
        vec![json!("a")],
    ] {
        let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        let compressed = compressed(world, text.as_bytes());
        let mut forged = manifest.clone();
        forged["objects"][&tree] =
            json!({"bytes": compressed.len(), "sha256": format!("{:x}", Sha256::digest(&compressed))});
        fs::write(keeper.dir().join(&tree), &compressed).expect("it is written");
        write_manifest(&keeper.dir(), &forged);
        let said = world.fails(1, ["restore", &format!("{}/attic", keeper.place()), HOST, "-y"]);
        assert!(said.contains("Nothing was changed") || said.contains("another backup"), "{text}: {said}");
    }
    for (field, value) in [
        ("format", json!(2)),
        ("id", json!("20200101T000000Z")),
        ("app", json!("../attic")),
        ("app", json!("other")),
        ("objects", json!({"../../etc/passwd": {"bytes": 1, "sha256": content}})),
        ("services", json!({"../evil": {"counts": {}, "objects": []}})),
        ("services", json!({"files": {"counts": {}, "objects": ["20200101T000000Z.files.tree.zst"]}})),
        ("services", json!({"couchdb": {"counts": {}, "objects": []}})),
    ] {
        let mut forged = manifest.clone();
        forged[field] = value;
        fs::write(keeper.dir().join(format!("{}.json", manifest["id"].as_str().expect("an id"))), forged.to_string())
            .expect("it is written");
        let output = world.cloudtool(["restore", &format!("{}/attic", keeper.place()), HOST, "-y"]);
        assert!(!output.status.success(), "{field}: {}", both(&output));
    }
    assert_eq!(world.inside(HOST, LISTING), before);
    assert!(world.node_says(["find", "/srv", "/etc", "-name", "escaped"]).is_empty());
    only_shares_in_use(world);
}

fn a_backup_goes_into_another_app_only_when_that_is_meant(world: &World) {
    let keeper = Keeper::deployed(world);
    keeper.write(world, "mine", "1");
    keeper.backup(world);
    let other = App::obeying("finder", "service.files =\nservice.writable_root =\n");
    world.ok(["update", other.path_str(), "--host", "finder.test"]);
    let backup = format!("{}/attic", keeper.place());
    let said = world.fails(2, ["restore", &backup, "finder.test", "-y"]);
    assert!(said.contains("the backup is of attic, not of finder") && said.contains("--other-app"), "{said}");
    world.ok(["restore", &backup, "finder.test", "--other-app", "-y"]);
    let names = "import os\nprint(*sorted(os.listdir(os.environ['CONFIG_FILES'])))";
    assert_eq!(world.inside("finder.test", names), "from-hook mine");
    let said = world.fails(2, ["restore", &format!("{}/nobody", keeper.place()), "finder.test", "--other-app", "-y"]);
    assert!(said.contains("There is no backup of nobody"), "{said}");
    world.ok(["remove", "finder", "--with-data", "-y"]);
    assert!(!world.on_node(["ls", "/srv/cloudtool/apps/finder"]).status.success());
}

fn clear_backs_up_first_and_begins_anew(world: &World) {
    let keeper = Keeper::deployed(world);
    keeper.write(world, "mine", "1");
    let said = world.fails(8, ["clear", HOST]);
    assert!(said.contains("attic") && keeper.names(world) == "from-hook mine", "{said}");
    let load = Hammer::start(&world.address, HOST, "/", 2, None);
    let said = world.ok(["clear", HOST, "-y"]);
    assert!(none_failed(load) > 0);
    assert!(said.contains("attic is backed up") && said.contains("attic is empty"), "{said}");
    assert_eq!(keeper.names(world), "from-hook", "update_fetch has run on it");
    world.ok(["restore", "attic", HOST, "-y"]);
    assert_eq!(keeper.names(world), "from-hook mine");
    only_shares_in_use(world);
}

/// An app that cannot serve from what was restored keeps what it has.
fn data_that_do_not_work_are_not_switched_to(world: &World) {
    let keeper = Keeper::deployed(world);
    keeper.write(world, "poison", "1");
    keeper.backup(world);
    world.inside(HOST, "import os\nos.remove(os.environ['CONFIG_FILES'] + '/poison')");
    let refusing =
        "import os\nif os.path.exists(os.environ['CONFIG_FILES'] + '/poison'):\n    raise SystemError('poisoned')\n";
    let app = App::obeying("attic", "service.files =\nservice.writable_root =\n");
    let source = fs::read_to_string(app.path().join("app.py")).expect("the app");
    app.write("app.py", format!("{refusing}{source}").as_bytes());
    world.ok(["update", app.path_str()]);
    let said = world.fails(7, ["restore", &format!("{}/attic", keeper.place()), HOST, "-y"]);
    assert!(said.contains("poisoned"), "{said}");
    assert_eq!(keeper.names(world), "from-hook");
    assert_eq!(get(&world.address, HOST, "/").status, 200);
    only_shares_in_use(world);
}

fn compressed(world: &World, content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut command = world.ssh();
    let mut child = command
        .arg("zstd --quiet --stdout")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("ssh starts");
    child.stdin.take().expect("a pipe").write_all(content).expect("it is written");
    child.wait_with_output().expect("it ends").stdout
}

fn write_manifest(dir: &Path, manifest: &Value) {
    let id = manifest["id"].as_str().expect("an id");
    fs::write(dir.join(format!("{id}.json")), manifest.to_string()).expect("it is written");
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}
