//! Backups at destinations that the node reaches itself, in archives, encrypted, and by a schedule.
//!
//! S3 is moto, which checks signatures and permissions; the other server is a second sshd with its own host key and account.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Test;
use crate::faults::rounds;
use crate::secrets::Argv;
use crate::server::{Server, free_port, installed};
use crate::whole::await_that;
use crate::world::{App, World, assert_success, both};

pub const TESTS: &[Test] = &[
    ("buckets_and_other_servers_hold_backups", buckets_and_other_servers_hold_backups),
    ("what_is_cut_off_is_never_listed", what_is_cut_off_is_never_listed),
    ("a_line_that_comes_back_costs_no_backup", a_line_that_comes_back_costs_no_backup),
    ("a_line_that_stays_cut_ends_a_backup", a_line_that_stays_cut_ends_a_backup),
    ("what_was_abandoned_is_taken_away", what_was_abandoned_is_taken_away),
    ("an_encrypted_backup_needs_its_key", an_encrypted_backup_needs_its_key),
    ("an_archive_is_a_whole_backup", an_archive_is_a_whole_backup),
    ("a_node_backs_up_by_itself", a_node_backs_up_by_itself),
];

const HOST: &str = "depot.test";
const RECORD: &str = "/var/lib/cloudtool/backups/depot/record.json";

/// The servers, an app with files, and a configuration that names the destinations.
struct Depot {
    app: App,
    bucket: Bucket,
    /// The private key that opens the other server.
    key: String,
    place: TempDir,
    config: PathBuf,
    before: String,
}

impl Depot {
    fn open(world: &World) -> Self {
        let bucket = Bucket::open();
        let told = world.node_script(OTHER_SERVER);
        let (key, host_key) = told.split_at(told.rfind("ssh-ed25519 ").expect("a host key"));
        let place = tempfile::tempdir().expect("a temporary directory");
        let file = |name: &str, content: &str| {
            let path = place.path().join(name);
            fs::write(&path, content).expect("it is written");
            path.display().to_string()
        };
        // This machine, on the bridge that the node is on.
        let (network, _) = world.address.rsplit_once('.').expect("an address");
        let gateway = format!("{network}.1");
        let own_key = world.node_says(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]);
        let far = |name: &str, secret: &str| {
            let (port, key) = (bucket.port, &bucket.key);
            format!(
                "[backups:{name}]\nurl = s3://ct-backups/team/a\nendpoint = http://{gateway}:{port}\nregion = eu-test-1\naccess_key = {key}\nsecret_key = {secret}\n"
            )
        };
        let vault = |name: &str, key: &str, host_key: &str| {
            let address = &world.address;
            format!(
                "[backups:{name}]\nurl = ssh://vault@{address}:{VAULT_PORT}/~/backups\nkey = {key}\nhost_key = {host_key}\n"
            )
        };
        let key_file = file("key", key);
        let config = world.home.path().join("cloudtool.ini");
        let before = fs::read_to_string(&config).expect("it is there");
        let text = [
            before.clone(),
            far("far", &format!("file:{}", file("secret", &bucket.secret))),
            far("closed", "ct-sentinel-8d1fa2c7"),
            vault("vault", &key_file, host_key),
            vault("impostor", &key_file, &own_key),
            vault("stranger", &file("other", &world.node_says(["cat", "/etc/ssh/ssh_host_ed25519_key"])), host_key),
        ];
        fs::write(&config, text.join("\n")).expect("it is written");
        Command::new("chmod").arg("600").arg(&config).status().expect("chmod");
        let app = App::obeying("depot", "service.files =\n");
        world.ok(["update", app.path_str(), "--host", HOST]);
        Depot { app, bucket, key: key.to_owned(), place, config, before }
    }

    fn path(&self, name: &str) -> String {
        self.place.path().join(name).display().to_string()
    }

    fn close(self, world: &World) {
        world.ok(["remove", "depot", "-y", "--with-data"]);
        world.node_script("kill $(cat /root/other/pid); pkill -KILL -u vault || true; userdel -rf vault 2>/dev/null || true; rm -r /root/other");
    }
}

impl Drop for Depot {
    /// Also after a test that failed: the others read the same configuration.
    fn drop(&mut self) {
        let _ = fs::write(&self.config, &self.before);
    }
}

/// A second sshd: another port, another host key, another account. It prints the account's private key and the server's public one.
const OTHER_SERVER: &str = r"
[ ! -e /root/other/pid ] || kill $(cat /root/other/pid) || true
rm -rf /root/other
pkill -KILL -u vault || true
userdel -rf vault 2>/dev/null || true
useradd --create-home --shell /bin/sh --password '*' vault
install -d -m 700 -o vault -g vault ~vault/.ssh
mkdir -p /root/other && cd /root/other
ssh-keygen -q -t ed25519 -N '' -f host
ssh-keygen -q -t ed25519 -N '' -f user
install -m 600 -o vault -g vault user.pub ~vault/.ssh/authorized_keys
printf '%s\n' 'Port 2299' 'HostKey /root/other/host' 'PidFile /root/other/pid' 'Subsystem sftp internal-sftp' 'AllowUsers vault' >conf
/usr/sbin/sshd -f /root/other/conf
cat user host.pub
rm user
";

const VAULT_PORT: u16 = 2299;

struct Bucket {
    port: u16,
    key: String,
    secret: String,
    _server: Server,
}

impl Bucket {
    fn open() -> Self {
        let port = free_port();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(installed("moto/bin/moto_server"));
        command.args(["-H", "0.0.0.0", "-p", &port.to_string()]).env("INITIAL_NO_AUTH_ACTION_COUNT", "3");
        let server = Server::start("s3", &mut command, port);
        let mut bucket = Bucket { port, key: String::new(), secret: String::new(), _server: server };
        let made = bucket.admin("prepare");
        let field = |name: &str| made[name].as_str().expect("a text").to_owned();
        (bucket.key, bucket.secret) = (field("key"), field("secret"));
        bucket
    }

    /// What Amazon's own SDK sees and does.
    fn admin(&self, command: &str) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/s3_admin.py");
        let output = Command::new(installed("moto/bin/python"))
            .env_remove("AWS_CA_BUNDLE")
            .arg(script)
            .args([&format!("http://127.0.0.1:{}", self.port), command])
            .envs([("AWS_ACCESS_KEY_ID", &self.key), ("AWS_SECRET_ACCESS_KEY", &self.secret)])
            .output()
            .expect("python");
        assert!(output.status.success(), "{}", both(&output));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

fn write(world: &World, name: &str, content: &str) {
    world.inside(HOST, &format!("import os\nopen(os.environ['CONFIG_FILES'] + '/{name}', 'w').write({content:?})"));
}

fn read(world: &World, name: &str) -> String {
    world.inside(HOST, &format!("import os\nprint(open(os.environ['CONFIG_FILES'] + '/{name}').read())"))
}

/// So many megabytes that do not compress.
fn fill(world: &World, megabytes: u32) {
    world.inside(
        HOST,
        &format!("import os\nopen(os.environ['CONFIG_FILES'] + '/big', 'wb').write(os.urandom({megabytes} << 20))"),
    );
}

fn listed(world: &World, destination: &str) -> Vec<String> {
    let answer: Value =
        serde_json::from_str(&world.ok(["list-backups", "depot", destination, "--json"])).expect("JSON");
    let backups = answer["backups"].as_array().expect("a list").iter();
    backups.map(|backup| backup["id"].as_str().expect("an id").to_owned()).collect()
}

fn record(world: &World) -> Value {
    serde_json::from_str(&world.node_says(["cat", RECORD])).expect("a record")
}

fn buckets_and_other_servers_hold_backups(world: &World) {
    let depot = Depot::open(world);
    let watch = Argv::watch();
    let mut said = String::new();
    // Two parts of S3's, and more than one window of SFTP's.
    fill(world, 12);
    for destination in ["far", "vault"] {
        let newest = format!("{destination}/depot");
        write(world, "word", "first");
        said += &world.ok(["backup", "depot", destination, "-vvv"]);
        write(world, "more", destination);
        said += &world.ok(["backup", HOST, destination, "--json"]);
        assert_eq!(listed(world, destination).len(), 2);
        let all = world.ok(["list-backups", destination, "--node", crate::world::node()]);
        // What both are in all, and what the first has sent.
        assert_eq!(all.matches("12.6 MB").count(), 3, "{all}");
        write(world, "word", "spoilt");
        said += &world.ok(["restore", &newest, HOST, "-y"]);
        assert_eq!(read(world, "word"), "first");
        let verified = world.ok(["verify-backup", &newest]);
        assert!(verified.contains("3 in files"), "{verified}");
        // The second rests on the first's pack: that stays.
        said += &world.ok(["backup", "depot", destination, "--keep", "1 last"]);
        assert_eq!(listed(world, destination).len(), 1);
        said += &world.ok(["verify-backup", &newest]);
    }
    let objects = depot.bucket.admin("objects");
    let names: Vec<&String> = objects.as_object().expect("objects").keys().collect();
    assert!(names.iter().all(|name| name.starts_with("team/a/depot/20")), "{names:?}");
    let whole = names.iter().filter(|name| name.ends_with(".pack.zst")).count();
    assert!((2..=3).contains(&whole), "{names:?}");
    assert_eq!(depot.bucket.admin("uploads"), json!([]));
    let there = world.node_says(["find", "/home/vault/backups", "-type", "f", "-not", "-perm", "600"]);
    assert_eq!(there, "", "what others than the account may read");

    for (destination, reason) in [
        ("closed", "SignatureDoesNotMatch"),
        ("impostor", "Host key verification failed"),
        ("stranger", "Permission denied"),
        ("s3://nobody-knows", "has no access_key"),
        ("ssh://nobody@example.com/x", "there is no key for"),
        ("s3://ct-backups/else", "both [backups:closed] and [backups:far]"),
        ("ftp://example.com/x", "there are s3://BUCKET/PREFIX and ssh://USER@HOST/PATH"),
    ] {
        let output = world.cloudtool(["backup", "depot", destination]);
        assert!(!output.status.success() && both(&output).contains(reason), "{destination}: {}", both(&output));
        said += &both(&output);
    }
    let seen = watch.stop();
    let line = depot.key.lines().nth(2).expect("a line of the key");
    for (what, secret) in [
        ("the bucket's secret", depot.bucket.secret.as_str()),
        ("a wrong one", "ct-sentinel-8d1fa2c7"),
        ("the key", line),
    ] {
        assert!(!said.contains(secret), "{what} was shown");
        assert!(!seen.iter().any(|line| line.contains(secret)), "{what} was on a command line");
        let files = world.node_script(&format!(
            "grep -rlaF -e '{secret}' /etc /var /srv /run /tmp /root /usr/local 2>/dev/null || true"
        ));
        assert_eq!(files, "", "{what} is on the node's disk");
    }
    depot.close(world);
}

fn what_is_cut_off_is_never_listed(world: &World) {
    let depot = Depot::open(world);
    for destination in ["far", "vault"] {
        let mut cut = 0;
        for round in 0..rounds(2) {
            for kill_node in [false, true] {
                // When a kill came too late, all of it is there already.
                fill(world, 80);
                let before = listed(world, destination);
                let mut client = world.command(["backup", "depot", destination, "-q"]).spawn().expect("it starts");
                await_that("the backup runs", || {
                    (world.on_node(["pgrep", "-x", "zstd"]).status.success()).then_some(())
                });
                std::thread::sleep(Duration::from_millis(u64::from(round) * 150));
                if kill_node {
                    world.on_node(["pkill", "-KILL", "-f", "cloudtool/node/__main__.py"]);
                }
                let _ = client.kill();
                client.wait().expect("it ends");
                await_that("the node has given up", || {
                    (!world.on_node(["pgrep", "-x", "zstd"]).status.success()).then_some(())
                });
                let after = listed(world, destination);
                if after == before {
                    cut += 1;
                } else {
                    // The kill came when it was whole.
                    world.ok(["verify-backup", &format!("{destination}/depot")]);
                }
            }
        }
        assert!(cut > 0, "{destination}: every kill came too late");
        let before = listed(world, destination).len();
        world.ok(["backup", "depot", destination]);
        assert_eq!(listed(world, destination).len(), before + 1);
        world.ok(["verify-backup", &format!("{destination}/depot")]);
    }
    depot.close(world);
}

/// Drops every packet from the node to a port as soon as a backup runs, until it is dropped.
struct LineCut<'w> {
    world: &'w World,
    watcher: Child,
}

impl<'w> LineCut<'w> {
    /// The node itself watches for the backup: whoever asks it from here comes too late.
    fn in_the_next_backup(world: &'w World, port: u16) -> Self {
        let script = format!(
            "echo ready; until pgrep -x zstd >/dev/null; do :; done
             nft 'table inet cut {{ chain output {{ type filter hook output priority 0; tcp dport {port} drop; }}; }}'"
        );
        let mut watcher = world.ssh().arg(script).stdout(Stdio::piped()).spawn().expect("ssh starts");
        let mut line = [0; 6];
        watcher.stdout.as_mut().expect("a pipe").read_exact(&mut line).expect("it is ready");
        LineCut { world, watcher }
    }

    fn wait(&mut self) {
        assert!(self.watcher.wait().expect("ssh ends").success());
    }
}

impl Drop for LineCut<'_> {
    fn drop(&mut self) {
        self.world.node_script("nft delete table inet cut");
    }
}

/// A backup, and the cut of its line to the destination in the middle of it.
fn cut_off<'w>(world: &'w World, depot: &Depot, destination: &str) -> (Child, LineCut<'w>) {
    let mut line =
        LineCut::in_the_next_backup(world, if destination == "far" { depot.bucket.port } else { VAULT_PORT });
    let mut command = world.command(["backup", "depot", destination]);
    let client = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    line.wait();
    (client, line)
}

fn a_line_that_comes_back_costs_no_backup(world: &World) {
    let depot = Depot::open(world);
    fill(world, 80);
    for destination in ["far", "vault"] {
        let (client, line) = cut_off(world, &depot, destination);
        std::thread::sleep(Duration::from_secs(2));
        drop(line);
        assert_success(&client.wait_with_output().expect("it ends"));
        world.ok(["verify-backup", &format!("{destination}/depot")]);
    }
    depot.close(world);
}

/// It takes minutes to believe that.
fn a_line_that_stays_cut_ends_a_backup(world: &World) {
    let depot = Depot::open(world);
    fill(world, 80);
    for destination in ["far", "vault"] {
        let (client, line) = cut_off(world, &depot, destination);
        let output = client.wait_with_output().expect("it ends");
        drop(line);
        assert_eq!(output.status.code(), Some(1), "{}", both(&output));
        assert_eq!(listed(world, destination), Vec::<String>::new());
        world.ok(["backup", "depot", destination]);
        world.ok(["verify-backup", &format!("{destination}/depot")]);
    }
    depot.close(world);
}

/// By the next backup, when it is old enough to be nobody's. Of this server all uploads are, whenever they were begun.
fn what_was_abandoned_is_taken_away(world: &World) {
    let depot = Depot::open(world);
    write(world, "word", "first");
    let here = depot.path("here");
    for destination in ["far", "vault", &here] {
        world.ok(["backup", "depot", destination]);
    }
    depot.bucket.admin("begin");
    let of = |place: &str| {
        format!(
            "cd {place}/depot; for name in .20200101T101500Z.files.pack.zst.partial 20200101T101500Z.files.pack.zst .mine; do
                 echo x >$name; touch -d '2 days ago' $name; done
             echo x >.20200102T101500Z.files.pack.zst.partial"
        )
    };
    world.node_script(&of("/home/vault/backups"));
    World::script(Command::new("env"), &of(&here));
    let left = |text: String| text.split_whitespace().filter(|name| !name.ends_with(".json")).count();
    let files = |place: &str| format!("ls -A {place}/depot");
    let counts = || {
        let vault = world.node_script(&files("/home/vault/backups"));
        [left(vault), left(World::script(Command::new("env"), &files(&here)))]
    };
    let before = counts();
    for destination in ["far", "vault", &here] {
        world.ok(["backup", "depot", destination]);
    }
    assert_eq!(depot.bucket.admin("uploads"), json!(["team/a/depot/holiday.jpg"]));
    // The tree of the new backup came, and two of the four went.
    assert_eq!(counts(), before.map(|count| count + 1 - 2));
    for destination in ["far", "vault", &here] {
        world.ok(["verify-backup", &format!("{destination}/depot")]);
    }
    depot.close(world);
}

fn an_encrypted_backup_needs_its_key(world: &World) {
    let depot = Depot::open(world);
    // So that it takes a moment to open, and is seen.
    fill(world, 20);
    write(world, "word", "ct-plain-secret-word");
    let dir = depot.path("there");
    // age comes to the node when it is first needed.
    let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    world.ok(["backup", "depot", &depot.path("nobodys"), "--recipient", recipient]);
    let keys = world.node_script("age-keygen 2>/dev/null; age-keygen 2>/dev/null");
    let secret = |number: usize| {
        let line = keys.lines().filter(|line| line.starts_with("AGE-SECRET-KEY-")).nth(number);
        line.expect("a key").to_owned()
    };
    let public = keys.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("a public key").to_owned();
    for (name, number) in [("right", 0), ("wrong", 1)] {
        fs::write(depot.path(name), secret(number)).expect("it is written");
    }
    let section = format!("\n[backups:sealed]\nurl = {dir}\nrecipients = {recipient}, {public}\n");
    let text = fs::read_to_string(&depot.config).expect("a configuration");
    fs::write(&depot.config, text + &section).expect("it is written");
    world.ok(["backup", "depot", "sealed"]);
    for object in fs::read_dir(Path::new(&dir).join("depot")).expect("objects") {
        let path = object.expect("an object").path();
        let sealed = fs::read(&path).expect("its bytes").starts_with(b"age-encryption.org/v1");
        assert!(sealed || path.extension().is_some_and(|extension| extension == "json"), "{}", path.display());
    }
    write(world, "word", "spoilt");
    let (right, wrong) = (depot.path("right"), depot.path("wrong"));
    let restore = |identity: &[&str]| world.cloudtool([&["restore", "sealed/depot", HOST, "-y"], identity].concat());
    for (identity, reason) in [
        (&[][..], "--identity FILE"),
        (&["--identity", &wrong], "no identity matched"),
        (&["--identity", "/nonexistent"], "cannot be read"),
    ] {
        let output = restore(identity);
        assert!(!output.status.success() && both(&output).contains(reason), "{}", both(&output));
        assert_eq!(read(world, "word"), "spoilt");
    }
    let watch = Argv::watch();
    let output = restore(&["--identity", &right, "-vvv"]);
    assert!(output.status.success(), "{}", both(&output));
    assert_eq!(read(world, "word"), "ct-plain-secret-word");
    let seen = watch.stop();
    assert!(seen.iter().any(|line| line.starts_with("age --decrypt")), "age was seen");
    assert!(!seen.iter().any(|line| line.contains("AGE-SECRET-KEY-")), "the key was on a command line");
    assert!(!both(&output).contains("AGE-SECRET-KEY-"));
    let files = world.node_script("grep -rlaF AGE-SECRET-KEY-1 /etc /var /srv /run /tmp /root 2>/dev/null || true");
    assert_eq!(files, "", "the key is on the node's disk");
    // A key that nothing needs is no mistake.
    world.ok(["backup", "depot", &depot.path("open")]);
    world.ok(["verify-backup", &format!("{}/depot", depot.path("open")), "--identity", &right]);
    depot.close(world);
}

fn an_archive_is_a_whole_backup(world: &World) {
    let depot = Depot::open(world);
    fill(world, 3);
    write(world, "word", "first");
    world.ok(["backup", "depot", &depot.path("before")]);
    let archive = depot.path("depot.tar");
    world.ok(["backup", "depot", &archive]);
    assert!(fs::metadata(&archive).expect("it is there").len() > 3 << 20, "all of it, whatever is elsewhere");
    let output = Command::new("tar").args(["-tf", &archive]).output().expect("tar");
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && names.lines().all(|name| name.starts_with("depot/20")), "{names}");
    assert!(world.fails(2, ["backup", "depot", &archive]).contains("already"));
    assert!(world.fails(2, ["backup", "depot", &depot.path("x.tar"), "--keep", "1 last"]).contains("--keep"));
    assert!(world.ok(["list-backups", &archive]).contains("depot/20"));
    world.ok(["verify-backup", &archive]);
    write(world, "word", "spoilt");
    world.ok(["restore", &archive, HOST, "-y"]);
    assert_eq!(read(world, "word"), "first");
    // Unpacked it is a directory of backups.
    let unpacked = Command::new("tar").args(["-xf", &archive, "-C", &depot.path("")]).status().expect("tar");
    assert!(unpacked.success());
    world.ok(["verify-backup", &format!("{}depot", depot.path(""))]);
    let bytes = fs::read(&archive).expect("its bytes");
    fs::write(&archive, &bytes[..bytes.len() / 2]).expect("it is written");
    assert!(!world.cloudtool(["restore", &archive, HOST, "-y"]).status.success());
    let mut client = world.command(["backup", "depot", &depot.path("cut.tar"), "-q"]).spawn().expect("it starts");
    await_that("it is begun", || (Path::new(&depot.path(".cut.tar.partial")).exists()).then_some(()));
    let _ = client.kill();
    client.wait().expect("it ends");
    assert!(!Path::new(&depot.path("cut.tar")).exists());
    depot.close(world);
}

fn a_node_backs_up_by_itself(world: &World) {
    let depot = Depot::open(world);
    let ini = |section: &str| format!("[production]\napp_name = depot\nrunner = app.py\nservice.files =\n{section}");
    let timer = "cloudtool-backup@depot.timer";
    let service = "cloudtool-backup@depot.service";
    let plan = "/var/lib/cloudtool/secrets/depot/.backup.json";
    let property = |name: &str| world.node_says(["systemctl", "show", "--value", "-p", name, timer]);
    write(world, "word", "good");
    depot.app.write("check.sh", b"echo checking; test \"$(cat \"$CONFIG_FILES/word\")\" = good\n");
    depot
        .app
        .write("app.ini", ini("[backup]\nevery = 6h\nto = far\nkeep = 2 last\ncheck = script:check.sh\n").as_bytes());
    world.ok(["update", depot.app.path_str()]);
    assert_eq!(property("ActiveState"), "active");
    assert!(property("TimersCalendar").contains("00/6:00:00"), "{}", property("TimersCalendar"));
    assert_eq!(world.node_script(&format!("stat -c '%a %U' {plan}")), "600 root");

    // The timer starts it: now, and not in hours.
    world.node_script(&format!(
        "mkdir -p /run/systemd/system/{timer}.d; printf '[Timer]\\nOnActiveSec=1ms\\nRandomizedDelaySec=0\\n' >/run/systemd/system/{timer}.d/zz.conf; systemctl daemon-reload; systemctl restart {timer}"
    ));
    await_that("a backup is taken", || (world.on_node(["test", "-e", RECORD]).status.success()).then_some(()));
    world.node_script(&format!(
        "rm -r /run/systemd/system/{timer}.d; systemctl daemon-reload; systemctl restart {timer}"
    ));
    assert_eq!(listed(world, "far").len(), 1);
    let query = |said: &str| {
        let output = world.cloudtool(["query", "depot"]);
        assert!(both(&output).contains(said), "{said}: {}", both(&output));
        let output = world.cloudtool(["list-backups", "depot", "far"]);
        assert!(both(&output).contains(said), "{said}: {}", both(&output));
    };
    query("none was ever verified");
    let verified = both(&world.cloudtool(["verify-backup", "far/depot", "-v"]));
    assert!(verified.contains("checking"), "{verified}");
    assert!(record(world)["verified"]["at"].is_string());
    assert!(!both(&world.cloudtool(["query", "depot"])).contains("warning"));
    // A copy that the app does not like is no proof.
    write(world, "word", "bad");
    world.node_says(["systemctl", "start", service]);
    assert!(world.fails(1, ["verify-backup", "far/depot"]).contains("The check script check.sh ended with status 1"));

    // A failure is seen by systemd, by query, in the audit log, and is over with the next success.
    world.node_script(&format!("sed -i s/ct-backups/ct-nothing/ {plan}"));
    assert!(!world.on_node(["systemctl", "start", service]).status.success());
    assert!(world.node_says(["systemctl", "--failed", "--no-legend"]).contains(service));
    query("the last backup, at ");
    query("NoSuchBucket");
    assert!(world.node_says(["tail", "-n1", "/var/lib/cloudtool/audit.log"]).contains("\"by\": \"schedule@"));
    // Nothing changed, but where to and with what is told anew.
    assert!(world.ok(["update", depot.app.path_str()]).contains("nothing changed"));
    world.node_says(["systemctl", "start", service]);
    assert!(record(world)["failed"].is_null());
    assert_eq!(listed(world, "far").len(), 2, "keep = 2 last");

    // After a boot it goes on.
    world.node_script(&format!("systemctl stop {timer}; /usr/local/lib/cloudtool/cloudtool-node boot"));
    await_that("the timer runs again", || (property("ActiveState") == "active").then_some(()));
    let journal =
        world.node_script(&format!("journalctl --no-pager -o export | grep -caF {} || true", depot.bucket.secret));
    assert_eq!(journal, "0", "the secret is in the journal");

    // Another time; another wish; none.
    depot.app.write("app.ini", ini("[backup]\nat = 03:15\nto = far\n").as_bytes());
    world.ok(["update", depot.app.path_str()]);
    assert!(property("TimersCalendar").contains("03:15:00"), "{}", property("TimersCalendar"));
    let here = ini(&format!("[backup]\nat = 03:15\nto = {}\n", depot.path("here")));
    depot.app.write("app.ini", here.as_bytes());
    assert!(world.fails(2, ["update", depot.app.path_str()]).contains("which is here"));
    depot.app.write("app.ini", ini("").as_bytes());
    world.ok(["update", depot.app.path_str()]);
    let gone = || {
        assert_eq!(property("ActiveState"), "inactive");
        assert_eq!(world.node_script(&format!("ls -d {plan} /etc/systemd/system/{timer}.d 2>/dev/null || true")), "");
    };
    gone();
    depot.app.write("app.ini", ini("[backup]\nevery = 1h\nto = vault\n").as_bytes());
    world.ok(["update", depot.app.path_str()]);
    assert_eq!(property("ActiveState"), "active");
    world.ok(["remove", "depot", "-y"]);
    gone();
    depot.close(world);
}
