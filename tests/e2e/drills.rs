//! Drills: something befalls a backup, a restore, a clear or a move at any moment of it, and is over later.
//!
//! The database servers are killed (systemd brings them back), the line between client and node is cut for a while or for good, a
//! disk fills up. Whatever the command makes of that: the app serves one whole set of data throughout, what is listed can be
//! restored, the next command just works, and nothing is left behind. The app answers 500 while its database server is away: those
//! answers, and the 503 of a move, are counted and told; any other that is not 200 fails the drill.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::Test;
use crate::faults::{NetworkCut, noise, rounds};
use crate::hammer::Hammer;
use crate::http::{get, request};
use crate::small_disk::SmallDisk;
use crate::whole::{await_that, nothing_left_at};
use crate::world::{App, World, assert_success, both, node};

pub const TESTS: &[Test] = &[("at_one_node", at_one_node), ("between_two_nodes", between_two_nodes)];

const APP: &str = "drilled";
const HOST: &str = "drilled.test";
/// Longer than a client takes to notice that a line is dead.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Backup,
    Restore,
    Clear,
    Move,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The server's process, by its name, killed.
    Server(&'static str),
    /// All packets of the client's connection are dropped, for two seconds.
    Hiccup,
    /// The same until the client has given up.
    Cut,
    /// No room is left in these directories of the node.
    NodeDisk(&'static [&'static str]),
    /// No room is left where the client has backups, and what it brings from node to node.
    ClientDisk,
}

const SERVERS: [&str; 2] = ["postgres", "mariadbd"];
const DISKS: [&[&str]; 3] =
    [&["/srv/cloudtool/apps"], &["/var/lib/cloudtool"], &["/var/lib/postgresql", "/var/lib/mysql"]];
/// For a few times what the app has, while nothing befalls it.
const ROOM_MB: u32 = 160;
/// What remains of a full disk, by turns.
const LEFT_KB: [u32; 3] = [0, 64, 2048];

/// The faults of one kind, which take turns.
const KILLS: &[Fault] = &[Fault::Server(SERVERS[0]), Fault::Server(SERVERS[1])];
const LINES: &[Fault] = &[Fault::Hiccup, Fault::Cut, Fault::Hiccup, Fault::Hiccup];
const FULL: &[Fault] = &[Fault::NodeDisk(DISKS[0]), Fault::NodeDisk(DISKS[2]), Fault::NodeDisk(DISKS[1])];
const FULL_HERE: &[Fault] = &[Fault::ClientDisk];

/// What befalls what, the most important first; and whether it does in a small run.
const AT_ONE_NODE: &[(Verb, &[Fault], bool)] = &[
    (Verb::Backup, KILLS, true),
    (Verb::Restore, KILLS, false),
    (Verb::Clear, KILLS, false),
    (Verb::Backup, FULL, false),
    (Verb::Restore, FULL, true),
    (Verb::Clear, FULL, false),
    (Verb::Backup, LINES, false),
    (Verb::Restore, LINES, false),
    (Verb::Clear, LINES, false),
    (Verb::Backup, FULL_HERE, false),
];
const BETWEEN_NODES: &[(Verb, &[Fault], bool)] =
    &[(Verb::Move, KILLS, true), (Verb::Move, FULL, false), (Verb::Move, LINES, false), (Verb::Move, FULL_HERE, false)];

#[derive(Debug)]
struct Drill {
    verb: Verb,
    fault: Fault,
    /// How much of the verb's time has passed.
    share: f64,
    left_kb: u32,
    /// Of a move: the new node is meant, not the old one.
    there: bool,
}

/// All drills of a run: `rounds` moments of each pair, or one of those of a small run.
fn drawn(pairs: &[(Verb, &[Fault], bool)], rounds: u32, seed: u64) -> Vec<Drill> {
    let mut drills = Vec::new();
    for round in 0..rounds {
        for (pair, (verb, faults, always)) in pairs.iter().enumerate() {
            if rounds > 1 || *always {
                let number = random(seed, pair as u64, round);
                let within = f64::from(number % 1000) / 1000.0;
                let turn = round as usize + if rounds > 1 { 0 } else { pair };
                drills.push(Drill {
                    verb: *verb,
                    fault: faults[turn % faults.len()],
                    share: (f64::from(round) + within) / f64::from(rounds),
                    left_kb: LEFT_KB[number as usize / 1000 % LEFT_KB.len()],
                    there: number / 8000 % 2 == 1,
                });
            }
        }
    }
    drills
}

/// The same for the same numbers, so that a run can be repeated.
fn random(seed: u64, pair: u64, round: u32) -> u32 {
    let mut mixed = seed ^ (pair << 32 | u64::from(round)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 33) as u32
}

/// `CLOUDTOOL_E2E_SEED` repeats a run.
fn seed() -> u64 {
    let drawn = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) % 1_000_000;
    std::env::var("CLOUDTOOL_E2E_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(drawn)
}

/// Its page is "whole N" when both databases and all files hold the same number, and "whole None" when all are empty.
const SOURCE: &str = r#"
import os

import MySQLdb
import psycopg2

FILES = os.environ["CONFIG_FILES"]


def connections():
    mysql = MySQLdb.connect(
        host=os.environ["CONFIG_MYSQL_HOST"], port=int(os.environ["CONFIG_MYSQL_PORT"]),
        user=os.environ["CONFIG_MYSQL_USER"], password=os.environ["CONFIG_MYSQL_PASSWORD"],
        database=os.environ["CONFIG_MYSQL_DBNAME"], connect_timeout=5,
    )
    postgres = psycopg2.connect(os.environ["CONFIG_PG_SQLALCHEMY"], connect_timeout=5)
    return mysql, postgres


def show():
    found = set()
    for connection in connections():
        cursor = connection.cursor()
        cursor.execute("SELECT n FROM kept")
        rows = [row[0] for row in cursor.fetchall()]
        found |= set(rows) or {None}
        found |= set() if len(rows) in (0, 50) else {"rows lost"}
        connection.close()
    names = [name for name in os.listdir(FILES) if name.isdigit()]
    found |= {int(open(f"{FILES}/{name}").read()) for name in names} or {None}
    found |= set() if len(names) in (0, 20) else {"files lost"}
    return f"whole {found.pop()}" if len(found) == 1 else f"a mix of {found}"


def write(number):
    for connection in connections():
        cursor = connection.cursor()
        cursor.execute("DELETE FROM kept")
        for _ in range(50):
            cursor.execute("INSERT INTO kept VALUES (%s, %s)", (number, "x" * 1000))
        connection.commit()
        connection.close()
    for name in range(20):
        with open(f"{FILES}/{name}", "w") as file:
            file.write(str(number))


def application(environ, start_response):
    try:
        if environ["REQUEST_METHOD"] == "POST":
            write(int(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
        status, answer = "200 OK", show()
    except (MySQLdb.Error, psycopg2.Error) as error:
        status, answer = "500 Internal Server Error", f"no database: {error}"
    start_response(status, [("Content-Type", "text/plain")])
    return [answer.encode()]
"#;

/// Empty tables, and something in the files that takes a while to travel.
const MIGRATION: &str = r#"
import os
import shutil
import sys

sys.path.insert(0, ".")
from app import FILES, connections

for connection in connections():
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS kept (n integer NOT NULL, padding text)")
    connection.commit()
shutil.copy("large", f"{FILES}/large")
"#;

const INI: &str = "runner = app.py\ndrain_timeout = 2\nservice.postgresql =\nservice.mysql =\nservice.files =\nupdate_fetch = script:migrate.py\n";

fn app() -> App {
    let app = App::new(APP, INI).file("app.py", SOURCE).file("migrate.py", MIGRATION);
    app.write("large", &noise(8 << 20));
    app
}

fn write(address: &str, number: u32) {
    let answer = request(address, "POST", HOST, "/", "", number.to_string().as_bytes());
    assert_eq!((answer.status, answer.body), (200, format!("whole {number}")));
}

/// What the app serves, as soon as it does.
fn served(address: &str) -> String {
    await_that("the app serves", || Some(get(address, HOST, "/")).filter(|answer| answer.status == 200)).body
}

/// Some file systems of a node, each small enough to be filled, the client's own, and the servers that go on in them.
struct Disks<'w> {
    world: &'w World,
    address: String,
    disks: Vec<SmallDisk<'w>>,
}

impl<'w> Disks<'w> {
    fn of_node(world: &'w World, address: &str) -> Self {
        let mut disks = Disks { world, address: address.to_owned(), disks: Vec::new() };
        disks.servers("stop");
        for (number, directories) in DISKS.iter().enumerate() {
            let of = address.to_owned();
            let machine = Box::new(move || world.ssh_to("root", &of));
            disks.disks.push(SmallDisk::under(machine, &format!("/mnt/small-{number}"), ROOM_MB, directories));
        }
        disks.servers("start");
        disks
    }

    fn servers(&self, verb: &str) {
        let script = format!("systemctl {verb} postgresql.service mariadb.service\n");
        World::script(self.world.ssh_to("root", &self.address), &script);
    }

    fn under(&self, directories: &[&str]) -> &SmallDisk<'w> {
        let at = DISKS.iter().position(|known| *known == directories).expect("a small disk");
        &self.disks[at]
    }
}

impl Drop for Disks<'_> {
    fn drop(&mut self) {
        self.servers("stop");
        self.disks.clear();
        self.servers("start");
    }
}

fn client_disk(world: &World) -> SmallDisk<'_> {
    let data = world.home.path().join("data");
    let at = world.home.path().join("small");
    let local = Box::new(|| Command::new("env"));
    SmallDisk::under(local, at.to_str().expect("UTF-8"), ROOM_MB, &[data.to_str().expect("UTF-8")])
}

/// Runs a command that a fault befalls; it has ended, and the fault is over, when this returns.
fn befallen(
    world: &World,
    args: &[&str],
    drill: &Drill,
    whole: Duration,
    nodes: &[&Disks<'_>],
    here: &SmallDisk<'_>,
) -> Output {
    let of = nodes[usize::from(drill.there) % nodes.len()];
    let mut command = world.command(args);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let run = command.spawn().expect("the binary starts");
    std::thread::sleep(whole.mul_f64(drill.share));
    let mut cut = None;
    match drill.fault {
        Fault::Server(name) => {
            // The oldest of that name is the server; the others are its children.
            let output = world.ssh_to("root", &of.address).args(["pkill", "-KILL", "-o", "-x", name]).output();
            output.expect("ssh starts");
        }
        Fault::Hiccup | Fault::Cut => cut = NetworkCut::of_one_that_is(&of.address, run.id()),
        Fault::NodeDisk(directories) => of.under(directories).leave(drill.left_kb),
        Fault::ClientDisk => here.leave(drill.left_kb),
    }
    if drill.fault == Fault::Hiccup {
        std::thread::sleep(Duration::from_secs(2));
        cut = None;
    }
    let id = run.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(run.wait_with_output()));
    let output = receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        crate::faults::kill(id);
        panic!("{drill:?}: the command does not end")
    });
    drop(cut);
    match drill.fault {
        Fault::NodeDisk(directories) => of.under(directories).free(),
        Fault::ClientDisk => here.free(),
        _ => {}
    }
    output.expect("it ends")
}

/// What the requests during a drill got.
#[derive(Default)]
struct Tally {
    requests: u64,
    without_database: usize,
    while_moving: usize,
}

impl Tally {
    /// Fails when an answer is neither whole nor excused.
    fn add(&mut self, load: Hammer, drill: &Drill, said: &str) {
        let outcome = load.stop();
        self.requests += outcome.requests;
        for failure in outcome.failures {
            let no_database = failure.starts_with("500 \"no database");
            let server_gone = matches!(drill.fault, Fault::Server(_)) || drill.fault == Fault::NodeDisk(DISKS[2]);
            if no_database && server_gone {
                self.without_database += 1;
            } else if failure.starts_with("503 ") && drill.verb == Verb::Move {
                self.while_moving += 1;
            } else {
                panic!("{drill:?}: a visitor got {failure}\n{said}");
            }
        }
    }
}

fn load(address: &str) -> Hammer {
    Hammer::start(address, HOST, "/", 1, Some(|body| body.starts_with("whole ")))
}

fn timed(world: &World, args: &[&str]) -> Duration {
    let start = Instant::now();
    assert_success(&world.cloudtool(args));
    start.elapsed()
}

fn at_one_node(world: &World) {
    let (seed, rounds) = (seed(), rounds(1));
    let app = app();
    world.ok(["update", app.path_str(), "--host", HOST]);
    let address = world.address.as_str();
    write(address, 0);
    let disks = Disks::of_node(world, address);
    let here = client_disk(world);
    // The slot has begun on other disks.
    world.ok(["update", app.path_str(), "--force"]);
    let verbs = |verb| match verb {
        Verb::Backup => ["backup", APP].as_slice(),
        Verb::Restore => &["restore", APP, HOST, "-y"],
        _ => &["clear", HOST, "--no-backup", "-y"],
    };
    // Each of them undisturbed.
    let took = [Verb::Backup, Verb::Restore, Verb::Clear].map(|verb| (verb, timed(world, verbs(verb))));
    let mut tally = Tally::default();
    let mut number = 0;
    let mut told = Told::default();
    for drill in drawn(AT_ONE_NODE, rounds, seed) {
        number += 2;
        write(address, number);
        world.ok(["backup", APP, "--keep", "3 last"]);
        write(address, number + 1);
        let whole = took.iter().find(|(verb, _)| *verb == drill.verb).expect("it was measured").1;
        let load = load(address);
        let output = befallen(world, verbs(drill.verb), &drill, whole, &[&disks], &here);
        let said = both(&output);
        let now = served(address);
        tally.add(load, &drill, &said);
        let (old, new) = (
            format!("whole {}", number + 1),
            match drill.verb {
                Verb::Backup => format!("whole {}", number + 1),
                Verb::Restore => format!("whole {number}"),
                _ => "whole None".to_owned(),
            },
        );
        told.line(&drill, &output, seed);
        assert!(now == old || now == new, "{drill:?}: {now}, neither {old} nor {new}\n{said}");
        assert!(!output.status.success() || now == new, "{drill:?}: {now}, but it succeeded\n{said}");
        // What is listed can be restored, and the next commands just work.
        let listed = world.ok(["list-backups", APP, "--json"]);
        assert!(listed.contains("\"backups\""), "{listed}");
        let verified = world.ok(["verify-backup", APP, "--lock-timeout", "60"]);
        assert!(verified.contains("can be restored"), "{drill:?}: {verified}");
        world.ok(["restore", APP, HOST, "-y", "--lock-timeout", "60"]);
        let now = served(address);
        assert!(
            now == format!("whole {number}") || now == old && drill.verb == Verb::Backup,
            "{drill:?}: {now}\n{said}"
        );
        nothing_of_data_left(world, address, &drill);
        let partial = partial_objects(&world.home.path().join("data/backups").join(APP));
        assert!(partial.is_empty(), "{drill:?}: {partial:?}\n{said}");
    }
    told.end(&tally);
    world.ok(["remove", APP, "--with-data", "-y"]);
    drop(disks);
    drop(here);
}

/// What was done so far.
#[derive(Default)]
struct Told {
    succeeded: u32,
    failed: u32,
}

impl Told {
    fn line(&mut self, drill: &Drill, output: &Output, seed: u64) {
        let fine = output.status.success();
        *(if fine { &mut self.succeeded } else { &mut self.failed }) += 1;
        let said = both(output);
        let reason = said.lines().find(|line| line.starts_with("error")).unwrap_or("it succeeded");
        println!("{} (seed {seed}) {drill:?}: {reason}", self.succeeded + self.failed);
    }

    fn end(&self, tally: &Tally) {
        println!(
            "{} drills, {} commands of them failed; {} requests, {} without the database, {} while moving",
            self.succeeded + self.failed,
            self.failed,
            tally.requests,
            tally.without_database,
            tally.while_moving
        );
    }
}

/// One share of each service on the node, and nothing that is half done.
fn nothing_of_data_left(world: &World, address: &str, drill: &Drill) {
    nothing_left_at(world, address, APP);
    let script = format!(
        "ls -A /srv/cloudtool/apps/{APP}/data
         runuser -u postgres -- psql -Atc \"SELECT datname FROM pg_database WHERE datname LIKE '{APP}%'\"
         mariadb -NBe \"SHOW DATABASES LIKE '{APP}%'\"
         ls -A /var/lib/cloudtool/copies 2>/dev/null || true
         grep -o '\"doomed\": \\[[^]]*\\]' /var/lib/cloudtool/apps/{APP}.json | grep -v '\\[\\]' || true
         systemctl list-units --plain --no-legend 'cloudtool-guard-*' || true
         pgrep -x zstd || true"
    );
    let left = World::script(world.ssh_to("root", address), &script);
    assert_eq!(left.lines().count(), 3, "{drill:?}: {left}");
}

/// Objects that are neither whole nor going to be.
fn partial_objects(place: &Path) -> Vec<String> {
    let names = std::fs::read_dir(place).into_iter().flatten().flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name.starts_with('.')).collect()
}

fn between_two_nodes(world: &World) {
    let (seed, rounds) = (seed(), rounds(1));
    let app = app();
    let second = world.second_name();
    let names = [node(), &second];
    let addresses = [world.address.as_str(), world.second()];
    // So that both have the servers.
    for name in [names[1], names[0]] {
        world.ok(["update", app.path_str(), "--host", HOST, "--node", name]);
        if name != names[0] {
            world.ok(["remove", APP, "--with-data", "-y", "--node", name]);
        }
    }
    let disks = addresses.map(|address| Disks::of_node(world, address));
    let here = client_disk(world);
    world.ok(["update", app.path_str(), "--force"]);
    let (mut number, mut at) = (0, 0);
    let mut tally = Tally::default();
    let mut told = Told::default();
    let mut whole = None;
    for drill in drawn(BETWEEN_NODES, rounds, seed) {
        number += 1;
        write(addresses[at], number);
        let (old, new) = (addresses[at], addresses[1 - at]);
        let move_app = ["move-app", APP, "--node", names[1 - at]];
        let measured = match whole {
            Some(measured) => measured,
            None => {
                // Undisturbed, and back.
                timed(world, &move_app);
                world.ok(["remove", APP, "--with-data", "-y", "--node", names[at]]);
                let took = timed(world, &["move-app", APP, "--node", names[at]]);
                world.ok(["remove", APP, "--with-data", "-y", "--node", names[1 - at]]);
                *whole.insert(took)
            }
        };
        let load = load(old);
        let of = if at == 0 { [&disks[0], &disks[1]] } else { [&disks[1], &disks[0]] };
        let output = befallen(world, &move_app, &drill, measured, &of, &here);
        let said = both(&output);
        told.line(&drill, &output, seed);
        let expected = format!("whole {number}");
        assert_eq!(served(old), expected, "{drill:?}\n{said}");
        if !output.status.success() {
            let output = world.cloudtool(move_app);
            assert!(output.status.success(), "{drill:?}: the next one: {}\nafter\n{said}", both(&output));
        }
        assert_eq!(served(new), expected, "{drill:?}\n{said}");
        assert_eq!(served(old), expected, "{drill:?}: sent on\n{said}");
        tally.add(load, &drill, &said);
        world.ok(["remove", APP, "--with-data", "-y", "--node", names[at]]);
        assert_eq!(served(new), expected, "{drill:?}\n{said}");
        nothing_of_data_left(world, new, &drill);
        nothing_left_at(world, old, APP);
        at = 1 - at;
    }
    told.end(&tally);
    world.ok(["remove", APP, "--with-data", "-y"]);
    drop(disks);
    drop(here);
}
