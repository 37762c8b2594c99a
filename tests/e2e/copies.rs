//! Data together with code: snapshots before updates, copies of apps, and moves to other nodes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::Test;
use crate::hammer::Hammer;
use crate::http::{get, request};
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[
    ("an_update_is_undone_with_its_data", an_update_is_undone_with_its_data),
    ("a_copy_is_an_app_of_its_own_and_has_an_end", a_copy_is_an_app_of_its_own_and_has_an_end),
    ("an_app_is_copied_and_moved_to_another_node", an_app_is_copied_and_moved_to_another_node),
    ("what_was_said_of_an_app_moves_along", what_was_said_of_an_app_moves_along),
    ("cron_jobs_of_an_app_on_two_nodes_run_on_one", cron_jobs_of_an_app_on_two_nodes_run_on_one),
];

/// An app that keeps what is posted as a file named by the path, and shows its release and all files. Its update_fetch writes
/// the release into the file `schema`.
fn keeper(name: &str, ini: &str) -> App {
    let ini =
        format!("runner = app.py\nservice.files =\ndrain_timeout = 2\nupdate_fetch = script:bin/migrate.py\n{ini}");
    App::new(name, &ini).file("app.py", KEEPER).file("bin/migrate.py", &migration("")).file("bin/scrub.py", SCRUB)
}

const KEEPER: &str = r#"
import os


def application(environ, start_response):
    directory = os.environ["CONFIG_FILES"]
    if environ["REQUEST_METHOD"] == "POST":
        with open(directory + environ["PATH_INFO"], "wb") as file:
            file.write(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    shown = [os.environ["CLOUDTOOL_RELEASE"]]
    if environ["PATH_INFO"] == "/scheme":
        shown.append(environ["wsgi.url_scheme"])
    # What checks the service leaves hidden files for a moment.
    for name in sorted(name for name in os.listdir(directory) if not name.startswith(".")):
        with open(f"{directory}/{name}") as file:
            shown.append(f"{name}={file.read()}")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(shown).encode()]
"#;

/// Writes the release into the file `schema`, then does `more`.
fn migration(more: &str) -> String {
    format!(
        "import os\n\nwith open(os.environ['CONFIG_FILES'] + '/schema', 'w') as file:\n    file.write(os.environ['CLOUDTOOL_RELEASE'])\n{more}"
    )
}

const SCRUB: &str = r#"
import os

with open(os.environ["CONFIG_FILES"] + "/note", "w") as file:
    file.write("scrubbed")
"#;

fn shown(world: &World, host: &str) -> String {
    let answer = get(&world.address, host, "/");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn post(world: &World, host: &str, path: &str, text: &str) {
    let answer = request(&world.address, "POST", host, path, "", text.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn an_update_is_undone_with_its_data(world: &World) {
    let app = keeper("snapped", "");
    let host = "snapped.localhost";
    let update = ["update", app.path_str()];
    let releases =
        || -> serde_json::Value { serde_json::from_str(&world.ok(["releases", "snapped", "--json"])).expect("JSON") };
    world.ok(update);
    assert_eq!(releases()["releases"][0]["snapshot"], serde_json::Value::Null, "there was nothing before it");
    post(world, host, "/note", "one");
    app.write("more", b"v2");
    world.ok(update);
    post(world, host, "/note", "two");
    assert_eq!(shown(world, host), "v2 note=two schema=v2");
    assert_eq!(releases()["releases"][0]["snapshot"]["release"], "v1");

    // Both go back, and nobody notices.
    let said = world.fails(8, ["rollback", "snapped", "--with-data"]);
    assert!(said.contains("goes back to v1") && said.contains("in the last 1 min is lost"), "{said}");
    let hammer = Hammer::start(
        &world.address,
        host,
        "/",
        4,
        Some(|body| body == "v2 note=two schema=v2" || body == "v1 note=one schema=v1"),
    );
    world.ok(["rollback", "snapped", "--with-data", "-y"]);
    let outcome = hammer.stop();
    assert_eq!(outcome.failures, Vec::<String>::new(), "of {}", outcome.requests);
    assert_eq!(shown(world, host), "v1 note=one schema=v1");
    assert_eq!(releases()["previous"], "v2");
    // What the old data were in is gone.
    assert_eq!(world.node_says(["ls /srv/cloudtool/apps/snapped/data"]), "files.2");

    // An update that fails half-way leaves the release, but not the data: they can be put back.
    app.write("bin/migrate.py", migration("raise SystemExit(1)\n").as_bytes());
    world.fails(1, update);
    assert_eq!(shown(world, host), "v1 note=one schema=v3");
    let said = world.fails(2, ["rollback", "snapped", "--with-data", "-y"]);
    assert!(said.contains("there is no snapshot of the data from before snapped v1"), "{said}");
    world.ok(["rollback", "snapped", "--with-data", "--to", "v1", "-y"]);
    assert_eq!(shown(world, host), "v1 note=one schema=v1");
    assert_eq!(releases()["previous"], "v2", "it was v1 all the time");

    // Where there is no room, `auto` goes on without one, and `always` does not.
    app.write("bin/migrate.py", migration("").as_bytes());
    world.node_says(["mount -t tmpfs -o size=16m tmpfs /var/lib/cloudtool/snapshots"]);
    let output = world.cloudtool(update);
    let with_always = fs::read_to_string(app.path().join("app.ini"))
        .expect("it is there")
        .replace("update_fetch", "snapshot = always\nupdate_fetch");
    app.write("app.ini", with_always.as_bytes());
    let refused = world.cloudtool(update);
    world.node_says(["umount /var/lib/cloudtool/snapshots"]);
    let said = both(&output);
    assert!(output.status.success() && said.contains("warning: The disk has no room for a snapshot"), "{said}");
    assert!(!refused.status.success() && both(&refused).contains("The disk has no room"), "{}", both(&refused));
    assert_eq!(shown(world, host), "v4 note=one schema=v4");

    // They go with the releases they are of.
    world.ok(update);
    assert_eq!(releases()["releases"][0]["snapshot"]["release"], "v4");
    world.ok(["clean-node"]);
    let left = releases();
    let named: Vec<&str> =
        left["releases"].as_array().expect("a list").iter().filter_map(|it| it["snapshot"]["id"].as_str()).collect();
    assert_eq!(named.len(), 1, "{left}");
    let files = world.node_says(["ls /var/lib/cloudtool/snapshots/snapped"]);
    assert!(files.contains(&format!("{}.json", named[0])) && files.matches(".json").count() == 1, "{files}");
    world.ok(["remove", "snapped", "--with-data", "-y"]);
    assert!(!world.node_says(["ls /var/lib/cloudtool/snapshots"]).contains("snapped"));
}

/// Runs SQL as the app of `host` does, and gives what it selects.
fn sql(world: &World, host: &str, statement: &str) -> String {
    let code = format!(
        "import os, psycopg2\nconnection = psycopg2.connect(os.environ['DATABASE_URL'])\ncursor = connection.cursor()\ncursor.execute({statement:?})\nprint(cursor.fetchall() if cursor.description else '')\nconnection.commit()\n"
    );
    world.inside(host, &code)
}

fn a_copy_is_an_app_of_its_own_and_has_an_end(world: &World) {
    let app = App::obeying("origin", "service.postgresql =\nservice.files =\n").file(
        "bin/scrub.py",
        "import os, sys\nopen(os.environ['CONFIG_FILES'] + '/note', 'w').write(' '.join(sys.argv[1:]))\nsys.exit(len(sys.argv) > 2)\n",
    );
    let (host, copy) = ("origin.localhost", "copied.localhost");
    world.ok(["update", app.path_str()]);
    sql(world, host, "CREATE TABLE people (name text); INSERT INTO people VALUES ('Ada'), ('Bob')");
    let write = |host: &str, text: &str| {
        world.inside(host, &format!("import os\nopen(os.environ['CONFIG_FILES'] + '/note', 'w').write({text:?})"))
    };
    let read = |host: &str| world.inside(host, "import os\nprint(open(os.environ['CONFIG_FILES'] + '/note').read())");
    write(host, "private");
    let scrub = app.path().join("scrub.sql");
    fs::write(&scrub, "UPDATE people SET name = 'somebody' WHERE name = 'Ada';\n").expect("written");

    // Nobody who uses the original notices.
    let hammer = Hammer::start(&world.address, host, "/", 2, None);
    let said = world.ok(["clone-app", "origin", "copied", "--scrub", scrub.to_str().expect("UTF-8"), "--ttl", "3d"]);
    let outcome = hammer.stop();
    assert_eq!(outcome.failures, Vec::<String>::new(), "of {}", outcome.requests);
    assert!(said.contains("it is removed with all its data at 20"), "{said}");
    assert_eq!(sql(world, copy, "SELECT name FROM people ORDER BY name"), "[('Bob',), ('somebody',)]");
    assert_eq!(read(copy), "private");
    // What one does, the other does not see.
    write(copy, "of the copy");
    sql(world, copy, "INSERT INTO people VALUES ('Eve')");
    assert_eq!(sql(world, host, "SELECT name FROM people ORDER BY name"), "[('Ada',), ('Bob',)]");
    assert_eq!(read(host), "private");
    let secret = "import os\nprint(open(os.environ['CLOUDTOOL_SECRET_FILE']).read(), os.getuid())";
    assert_ne!(world.inside(host, secret), world.inside(copy, secret));
    let shown = world.ok(["query", "copied", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["apps"][0]["copy_of"], "origin");
    let said = world.fails(2, ["clone-app", "origin", "copied"]);
    assert!(said.contains("There is an app copied already"), "{said}");

    // A scrub that fails leaves nothing of the copy, whether it is SQL or a script of the release.
    fs::write(&scrub, "DELETE FROM people;\nSELECT 1 FROM nowhere;\n").expect("written");
    for scrub in [scrub.to_str().expect("UTF-8"), "bin/scrub.py two words"] {
        let said = world.fails(1, ["clone-app", "origin", "unclean", "--scrub", scrub]);
        assert!(said.contains("hint: Nothing is left of the copy"), "{said}");
        let left = world.node_script(
            "getent passwd ct-unclean || ls -d /srv/cloudtool/apps/unclean /var/lib/cloudtool/*/unclean* || \
             runuser -u postgres -- psql -Atc \"SELECT datname FROM pg_database WHERE datname LIKE 'unclean%'\"",
        );
        assert_eq!(left, "");
    }
    // Data without an app are somebody's; but what a copy left that was killed is nobody's.
    world.node_says(["mkdir -p /srv/cloudtool/apps/unclean/data/files"]);
    let said = world.fails(2, ["clone-app", "origin", "unclean"]);
    assert!(said.contains("There is no app unclean on the node, but its data are"), "{said}");
    world.node_says(["mkdir /var/lib/cloudtool/copies/unclean"]);
    world.ok(["clone-app", "origin", "unclean", "--scrub", "bin/scrub.py 'a; word'"]);
    assert_eq!(world.node_says(["ls /var/lib/cloudtool/copies"]), "");
    assert_eq!(read("unclean.localhost"), "a; word");
    world.ok(["remove", "unclean", "--with-data", "-y"]);

    // It ends when its time is over, not before; also when the node was down then.
    world.node_says(["systemctl is-active cloudtool-expire@copied.timer"]);
    world.node_says(["systemctl start --wait cloudtool-expire@copied.service"]);
    assert_eq!(read(copy), "of the copy");
    world.node_script(
        "systemctl stop cloudtool-expire@copied.timer
         sed -i 's/\"expires\": \"20../\"expires\": \"2000/' /var/lib/cloudtool/apps/copied.json
         /usr/local/lib/cloudtool/cloudtool-node boot
         systemctl start --wait cloudtool-expire@copied.service",
    );
    assert_eq!(get(&world.address, copy, "/").status, 404);
    let left = world.node_script(
        "ls -d /srv/cloudtool/apps/copied /etc/systemd/system/*copied* || \
         runuser -u postgres -- psql -Atc \"SELECT datname FROM pg_database WHERE datname LIKE 'copied%'\"",
    );
    assert_eq!(left, "");
    assert_eq!(read(host), "private");
    world.ok(["remove", "origin", "--with-data", "-y"]);
}

/// Nobody is there; a plan is checked without asking.
const OFFSITE: &str = "\n[backups:offsite]\nurl = s3://nowhere\nendpoint = http://127.0.0.1:9\nregion = eu-test-1\naccess_key = nobody\nsecret_key = nothing\n";

/// Somebody who writes one number after the other into a file of an app.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u32, Vec<u16>)>,
}

impl Writer {
    fn start(address: &str, host: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, address) = (Arc::clone(&stop), address.to_owned());
        let thread = std::thread::spawn(move || {
            let (mut number, mut others) = (0, Vec::new());
            while !ended.load(Ordering::Relaxed) {
                let answer = request(&address, "POST", host, "/count", "", (number + 1).to_string().as_bytes());
                if answer.status == 200 {
                    number += 1;
                } else {
                    others.push(answer.status);
                }
            }
            (number, others)
        });
        Writer { stop, thread }
    }

    /// The last number that was taken, and the answers that were not 200.
    fn stop(self) -> (u32, Vec<u16>) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it ends")
    }
}

/// Asks the node for `/scheme` of a host, whatever certificate it shows.
const BY_HTTPS: &str = r#"python3 - <<'END'
import ssl, urllib.request
request = urllib.request.Request("https://127.0.0.1/scheme", headers={"Host": "HOST"})
print(urllib.request.urlopen(request, context=ssl._create_unverified_context()).read().decode())
END"#;

fn an_app_is_copied_and_moved_to_another_node(world: &World) {
    let (old, new) = (world.address.clone(), world.second().to_owned());
    let second = world.second_name();
    let config = world.home.path().join("cloudtool.ini");
    let before = fs::read_to_string(&config).expect("it is there");
    fs::write(&config, format!("{before}{OFFSITE}")).expect("written");
    fs::set_permissions(&config, PermissionsExt::from_mode(0o600)).expect("its mode");
    let app = keeper("mover", "[backup]\nat = 03:15\nto = offsite\n");
    let host = "mover.localhost";
    world.ok(["config", "mover", "set", "MOOD", "command:printf calm", "--node", crate::world::node()]);
    world.ok(["update", app.path_str(), "--node", crate::world::node()]);
    post(world, host, "/note", "private");
    // What was set goes along, both to the copy and with the move.
    let mood = |address: &str, app: &str| {
        let output =
            world.ssh_to("root", address).arg(format!("grep -h ^MOOD= /etc/cloudtool/apps/{app}/*.env")).output();
        String::from_utf8(output.expect("ssh starts").stdout).expect("text")
    };
    let secret = |address: &str, app: &str| {
        let output = world.ssh_to("root", address).arg(format!("cat /etc/cloudtool/apps/{app}/secret")).output();
        String::from_utf8(output.expect("ssh starts").stdout).expect("text")
    };

    world.ok(["clone-app", "mover", "far", "--node", &second, "--scrub", "bin/scrub.py"]);
    assert_eq!(get(&new, "far.localhost", "/").body, "v1 note=scrubbed schema=v1");
    assert_ne!(secret(&new, "far"), secret(&old, "mover"));
    assert_eq!(mood(&new, "far"), "MOOD=\"calm\"\n");

    // The client is killed while the app is on its way: it serves where it was.
    let move_app = ["move-app", "mover", "--node", &second];
    let mut killed = world.command(move_app).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let steps = BufReader::new(killed.stderr.take().expect("a pipe")).lines();
    assert!(steps.map_while(Result::ok).any(|line| line.contains(" s  hold")), "it came to that");
    killed.kill().expect("it is killed");
    killed.wait().expect("it ends");
    let seen = crate::whole::await_that("it serves again", || {
        Some(get(&old, host, "/")).filter(|answer| answer.status == 200)
    });
    assert_eq!(seen.body, "v1 note=private schema=v1");
    assert_eq!(get(&new, host, "/").status, 404);

    // Nothing that was written is lost, and whoever was not served is told to come again.
    let writer = Writer::start(&old, host);
    let said = world.ok(move_app);
    let (count, others) = writer.stop();
    assert!(said.contains("mover will answer 503 for about ") && said.contains("it answered 503 for "), "{said}");
    assert!(count > 0 && others.iter().all(|status| *status == 503), "{count} {others:?}");
    let moved = get(&new, host, "/").body;
    assert_eq!(moved, format!("v1 count={count} note=private schema=v1"));
    assert_eq!(get(&old, host, "/").body, moved, "the old node sends requests on");
    // Also those that came by https: as such.
    let by_https = world.node_script(&BY_HTTPS.replace("HOST", host));
    assert!(by_https.starts_with("v1 https "), "{by_https}");
    assert_eq!(secret(&new, "mover"), secret(&old, "mover"));
    assert!(mood(&new, "mover").starts_with("MOOD=\"calm\"\n"));

    // It is the new node that backs it up.
    let scheduled = |address: &str| {
        let script = "systemctl list-timers --all --no-legend cloudtool-backup@mover.timer
             ls /var/lib/cloudtool/secrets/mover/.backup.json 2>/dev/null || true";
        World::script(world.ssh_to("root", address), script).lines().count()
    };
    assert_eq!((scheduled(&new), scheduled(&old)), (2, 0));

    // The old node has nothing to say any more; the client knows where the app is.
    let said = world.fails(2, ["update", app.path_str(), "--node", crate::world::node(), "-f"]);
    assert!(said.contains(&format!("mover has moved to the node {new}")), "{said}");
    world.ok(["update", app.path_str(), "-f"]);
    assert_eq!(get(&old, host, "/").body, moved.replace("v1", "v2"));
    world.ok(["remove", "mover", "--with-data", "--node", crate::world::node(), "-y"]);
    assert_eq!(get(&old, host, "/").status, 404);
    assert_eq!(get(&new, host, "/").body, moved.replace("v1", "v2"));
    world.ok(["remove", "mover", "--with-data", "-y"]);
    world.ok(["remove", "far", "--with-data", "-y", "--node", &second]);
    fs::write(&config, before).expect("written");
}

/// That it is disabled and for whom not, and how many of its processes there are; that it sleeps is over: it was started.
fn what_was_said_of_an_app_moves_along(world: &World) {
    let (old, new) = (world.address.clone(), world.second().to_owned());
    let app = keeper("settled", "[process:worker]\ncommand = python3 -c 'import time; time.sleep(1e6)'\ncount = 1\n");
    let app = app.file("maintenance.html", "we are moving");
    let host = "settled.localhost";
    let apps_of = |node: &str| -> serde_json::Value {
        serde_json::from_str(&world.ok(["query", "settled", "--node", node, "--json"])).expect("JSON")
    };
    let workers = |node: &str| apps_of(node)["apps"][0]["processes"].as_array().map_or(0, Vec::len);
    world.ok(["update", app.path_str(), "--node", crate::world::node()]);
    post(world, host, "/note", "kept");
    world.ok(["scale", "settled", "worker=2"]);
    world.ok(["disable", "settled", "--allow", "192.0.2.7"]);
    world.ok(["sleep", "settled"]);
    assert_eq!(apps_of(crate::world::node())["apps"][0]["state"], "asleep");

    world.ok(["move-app", "settled", "--node", &world.second_name()]);
    for address in [&new, &old] {
        let answer = get(address, host, "/");
        assert_eq!((answer.status, answer.body.as_str()), (503, "we are moving"), "at {address}");
    }
    let there = apps_of(&world.second_name());
    assert_eq!(there["apps"][0]["state"], "running");
    assert_eq!(there["apps"][0]["disabled"]["allow"], serde_json::json!(["192.0.2.7"]));
    assert_eq!(workers(&world.second_name()), 2);
    assert_eq!(workers(crate::world::node()), 0);
    world.ok(["enable", "settled"]);
    assert_eq!(get(&old, host, "/").body, "v1 note=kept schema=v1");

    // What sleeps where it is going to sleeps no more when its data are put back.
    let place = tempfile::tempdir().expect("a temporary directory");
    let dest = place.path().to_str().expect("UTF-8");
    world.ok(["sleep", "settled"]);
    world.ok(["backup", "settled", dest]);
    assert_eq!(apps_of(&world.second_name())["apps"][0]["state"], "asleep", "a backup wakes nobody");
    world.ok(["restore", &format!("{dest}/settled"), "settled", "-y"]);
    assert_eq!(apps_of(&world.second_name())["apps"][0]["state"], "running");
    assert_eq!(get(&new, host, "/").body, "v1 note=kept schema=v1");
    world.ok(["remove", "settled", "--with-data", "--node", crate::world::node(), "-y"]);
    world.ok(["remove", "settled", "--with-data", "-y"]);
}

fn cron_jobs_of_an_app_on_two_nodes_run_on_one(world: &World) {
    let (first, second) = (crate::world::node(), world.second_name());
    let app = App::hello("twice", "one of two");
    let ini = fs::read_to_string(app.path().join("app.ini")).expect("it is there");
    let with =
        |more: &str| app.write("app.ini", format!("{ini}{more}[cron:daily]\nat = 03:15\nfetch = /\n").as_bytes());
    let update = |node: &str| {
        let output = world.cloudtool(["update", app.path_str(), "--node", node, "--host", "twice.localhost"]);
        assert!(output.status.success(), "{}", both(&output));
        both(&output)
    };
    let timers = |address: &str| {
        let script = "systemctl list-timers --all --no-legend 'cloudtool-cron@twice.*'";
        World::script(world.ssh_to("root", address), script).lines().count()
    };
    with("");
    update(first);
    let said = world.fails(2, ["update", app.path_str(), "--node", &second, "--host", "twice.localhost"]);
    assert!(said.contains(&format!("{first} serves twice.localhost as well")), "{said}");
    assert!(said.contains(&format!("cron_node = {first}")), "{said}");
    with(&format!("cron_node = {first}\n"));
    let said = update(&second);
    assert!(said.contains(&format!("the cron jobs of twice run on {first}, not on {second}")), "{said}");
    update(first);
    assert_eq!((timers(&world.address), timers(world.second())), (1, 0));
    world.ok(["diff", app.path_str(), "twice", "--node", &second]);
    // When it is said anew, they go and come with the updates.
    with(&format!("cron_node = {second}\n"));
    update(first);
    update(&second);
    assert_eq!((timers(&world.address), timers(world.second())), (0, 1));
    for node in [first, &second] {
        world.ok(["remove", "twice", "--with-data", "-y", "--node", node]);
    }
}
