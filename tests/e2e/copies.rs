//! Data together with code: snapshots before updates.

use std::fs;

use crate::Test;
use crate::hammer::Hammer;
use crate::http::{get, request};
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[("an_update_is_undone_with_its_data", an_update_is_undone_with_its_data)];

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
    assert_eq!(world.node_says(["ls /var/lib/cloudtool/snapshots"]), "");
}
