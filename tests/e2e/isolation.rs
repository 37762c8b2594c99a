//! What one app can do to another, to the node and to itself: tried from inside.

use serde_json::{Value, json};

use crate::Test;
use crate::http::get;
use crate::probe;
use crate::world::World;

pub const TESTS: &[Test] =
    &[("an_app_reaches_nothing_that_is_not_its_own", an_app_reaches_nothing_that_is_not_its_own)];

/// Python that tries one thing after the other: each `attempt` prints its name when it was NOT refused.
const TOOLS: &str = r#"
import os, signal, socket, subprocess, sys
def attempt(name, work):
    try:
        found = work()
    except (OSError, ValueError) as error:
        return
    print("SUCCEEDED:", name, repr(found)[:200])
def read(path):
    return open(path, "rb").read()
def entries(path):
    return os.listdir(path)
def write(path):
    with open(path, "ab") as file:
        file.write(b"x")
def command(*words):
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
    if done.returncode:
        raise OSError(done.stderr)
    return done.stdout
def connects(*address):
    family = socket.AF_INET if len(address) == 2 else socket.AF_UNIX
    with socket.socket(family) as s:
        s.settimeout(3)
        s.connect(address if family == socket.AF_INET else address[0])
        return True
"#;

fn an_app_reaches_nothing_that_is_not_its_own(world: &World) {
    let victim = probe::app("victim", "service.postgresql =\nservice.files =\nmemory = 300M\n");
    let spy = probe::app("spy", "service.postgresql =\nservice.files =\n");
    world.ok(["update", victim.path_str(), "--host", "victim.test"]);
    world.ok(["update", spy.path_str(), "--host", "spy.test"]);
    victim.write("more.txt", b"so that there is a previous release and a port that wakes it");
    world.ok(["update", victim.path_str()]);
    let theirs = probe::environment(world, "victim.test");
    let own = probe::environment(world, "spy.test");
    let facts = json!({
        "theirs": theirs, "own": own,
        "their_pid": probe::ask(world, "victim.test", "import os; print(os.getpid())"),
        "spied": world.node_script("systemctl show -P MainPID cloudtool-app-blue@spy.service"),
    });
    probe::ask(world, "victim.test", "import os; open(os.environ['CONFIG_FILES'] + '/diary', 'w').write('private')");

    let all = [others(), itself(), the_node()].concat();
    let said = probe::ask(
        world,
        "spy.test",
        &format!("facts = {facts}\n{TOOLS}\n{all}\nprint('tried everything')").replace(":null", ":None"),
    );
    assert_eq!(said, "tried everything", "{said}");

    databases(world, &theirs, &own);
    assert_eq!(
        world.node_says(["systemctl", "show", "-P", "MemoryMax", "cloudtool-app-green@victim.service"]),
        (300 << 20).to_string()
    );
    files_of_a_hostile_app_do_not_hold_the_node(world);
    // What was tried changed nothing: both still serve, and what is allowed works.
    for host in ["victim.test", "spy.test"] {
        assert_eq!(get(&world.address, host, "/").status, 200, "{host}");
    }
    let allowed = "import os, tempfile\nfor d in (os.environ['CONFIG_FILES'], os.environ['TEMP'], os.environ['CLOUDTOOL_LOGS']):\n    with tempfile.TemporaryFile(dir=d) as f: f.write(b'x')\nprint(len(open(os.environ['CLOUDTOOL_SECRET_FILE']).read()))";
    assert_eq!(probe::ask(world, "spy.test", allowed), "64");
    for app in ["spy", "victim"] {
        world.ok(["remove", app, "-y", "--with-data"]);
    }
}

/// Another app's code, data, environment, logs, secrets, processes, ports, temporary files.
fn others() -> String {
    r#"
for path in ("/srv/cloudtool/apps/victim", "/srv/cloudtool/apps/victim/releases", facts["theirs"]["CLOUDTOOL_RELEASE_DIR"],
             "/srv/cloudtool/apps/victim/data", facts["theirs"]["CONFIG_FILES"], "/etc/cloudtool/apps/victim",
             "/var/log/cloudtool/victim", "/run/cloudtool/blue-victim", "/run/cloudtool/green-victim",
             "/var/lib/cloudtool", "/var/lib/cloudtool/secrets/victim", "/var/lib/cloudtool/apps", "/root", "/home/x",
             "/var/lib/postgresql/15/main", "/etc/cloudtool/services", "/run/cloudtool/services"):
    attempt(f"list {path}", lambda: entries(path))
for path in (facts["theirs"]["CLOUDTOOL_RELEASE_DIR"] + "/app.py", facts["theirs"]["CLOUDTOOL_RELEASE_DIR"] + "/app.ini",
             facts["theirs"]["CONFIG_FILES"] + "/diary", facts["theirs"]["CLOUDTOOL_SECRET_FILE"],
             "/etc/cloudtool/apps/victim/blue.env", "/etc/cloudtool/apps/victim/green.env", "/etc/cloudtool/apps/victim/green.conf",
             "/var/log/cloudtool/victim/error.log", "/var/log/cloudtool/victim/access.log", "/var/log/cloudtool/victim/hooks.log",
             "/etc/cloudtool/apps/spy/blue.env", "/var/lib/cloudtool/audit.log", "/etc/shadow", "/root/.ssh/authorized_keys",
             "/etc/ssh/ssh_host_ed25519_key", "/var/log/haproxy.log", f"/proc/{facts['their_pid']}/environ",
             f"/proc/{facts['their_pid']}/cmdline", f"/proc/{facts['their_pid']}/root/etc/shadow", "/proc/1/environ"):
    attempt(f"read {path}", lambda: read(path))
attempt("signal the other app", lambda: os.kill(int(facts["their_pid"]), signal.SIGTERM))
attempt("see other processes", lambda: [p for p in entries("/proc") if p.isdigit() and os.stat("/proc/" + p).st_uid != os.getuid()] or int("none"))
index = int(facts["theirs"]["CLOUDTOOL_PORT"]) // 4 * 4
for port in range(index, index + 4):
    attempt(f"connect to port {port} of the other app", lambda: connects("127.0.0.1", port))
    attempt(f"connect to port {port} by another address", lambda: connects("127.0.0.2", port))
attempt("the metadata of a cloud", lambda: connects("169.254.169.254", 80))
"#
    .to_owned()
}

/// Its own code and configuration.
fn itself() -> String {
    r#"
own = facts["own"]
for path in (own["CLOUDTOOL_RELEASE_DIR"] + "/app.py", own["CLOUDTOOL_RELEASE_DIR"] + "/new", "/srv/cloudtool/apps/spy/new",
             "/srv/cloudtool/apps/spy/releases/new", "/srv/cloudtool/apps/spy/venvs/new", "/srv/cloudtool/apps/spy/data/new",
             "/etc/cloudtool/apps/spy/blue.conf", "/etc/cloudtool/apps/spy/blue.env", "/etc/cloudtool/apps/spy/new",
             own["CLOUDTOOL_SECRET_FILE"], "/new", "/etc/new", "/usr/local/bin/new", "/var/new", "/var/lib/new", "/var/log/new",
             "/run/new", "/dev/new", "/dev/shm/../new", "/srv/new", "/usr/local/lib/cloudtool/runtime/wsgi.py", "/proc/sys/kernel/hostname"):
    attempt(f"write {path}", lambda: write(path))
attempt("chmod its code", lambda: os.chmod(own["CLOUDTOOL_RELEASE_DIR"] + "/app.py", 0o777) or "done")
attempt("remove its code", lambda: os.unlink(own["CLOUDTOOL_RELEASE_DIR"] + "/app.py") or "done")
attempt("replace its release", lambda: os.rename(own["CLOUDTOOL_RELEASE_DIR"], own["CLOUDTOOL_RELEASE_DIR"] + "x") or "done")
"#
    .to_owned()
}

/// Becoming root, and the programs that run the node.
fn the_node() -> String {
    r#"
attempt("setuid", lambda: os.setuid(0) or "done")
for words in (("sudo", "-n", "id"), ("su", "-c", "id"), ("pkexec", "id"), ("systemctl", "stop", "cloudtool-app-green@victim.service"),
              ("systemctl", "start", "cloudtool-app-blue@victim.service"), ("systemctl", "daemon-reload"), ("systemctl", "poweroff"),
              ("systemctl", "set-property", "cloudtool-app-blue@spy.service", "MemoryMax=infinity"),
              ("systemd-run", "--quiet", "--wait", "id"), ("systemd-run", "--quiet", "--wait", "--user", "id"),
              ("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "KillUnit", "ssi", "cloudtool-app-green@victim.service", "all", "9"),
              ("/usr/local/lib/cloudtool/cloudtool-node", "boot"), ("unshare", "-U", "id"), ("mount", "-t", "tmpfs", "x", "/tmp"),
              ("nft", "list", "ruleset"), ("ip", "link", "add", "x", "type", "dummy"), ("crontab", "-l"), ("at", "now"),
              ("chsh", "-s", "/bin/sh")):
    attempt(f"run {words}", lambda: command(*words))
def no_new_privileges():
    if "NoNewPrivs:\t1" in open("/proc/self/status").read():
        raise OSError
attempt("gain privileges by a program", no_new_privileges)
def capabilities():
    lines = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
    if int(lines["CapEff"], 16) or int(lines["CapBnd"], 16):
        return lines["CapEff"], lines["CapBnd"]
    raise OSError
attempt("have capabilities", capabilities)
attempt("the front's socket", lambda: connects("/run/haproxy/cloudtool.sock"))
attempt("the front's admin socket", lambda: connects("/run/haproxy/admin.sock"))
attempt("systemd's private socket", lambda: connects("/run/systemd/private"))
attempt("the journal", lambda: command("journalctl", "-q", "-n", "5", "-u", "cloudtool-app-green@victim") or int("nothing"))
attempt("a set-user-id file", lambda: (write("/tmp/x"), os.chmod("/tmp/x", 0o4755), os.stat("/tmp/x").st_mode & 0o4000 or int("none")))
"#
    .to_owned()
}

/// The other's database: with the own role, with the other's role and no password, or a wrong one.
fn databases(world: &World, theirs: &Value, own: &Value) {
    let code = format!(
        r#"
import psycopg2
theirs, own = {theirs}, {own}
def connects(**options):
    try:
        psycopg2.connect(host="127.0.0.1", port=own["CONFIG_PG_PORT"], connect_timeout=5, **options).close()
        return "yes"
    except psycopg2.OperationalError as error:
        return "no"
print("own", connects(dbname=own["CONFIG_PG_DBNAME"], user=own["CONFIG_PG_USER"], password=own["CONFIG_PG_PASSWORD"]))
print("other", connects(dbname=theirs["CONFIG_PG_DBNAME"], user=own["CONFIG_PG_USER"], password=own["CONFIG_PG_PASSWORD"]))
print("postgres", connects(dbname="postgres", user=own["CONFIG_PG_USER"], password=own["CONFIG_PG_PASSWORD"]))
print("template1", connects(dbname="template1", user=own["CONFIG_PG_USER"], password=own["CONFIG_PG_PASSWORD"]))
print("no password", connects(dbname=theirs["CONFIG_PG_DBNAME"], user=theirs["CONFIG_PG_USER"]))
print("own password", connects(dbname=theirs["CONFIG_PG_DBNAME"], user=theirs["CONFIG_PG_USER"], password=own["CONFIG_PG_PASSWORD"]))
print("superuser", connects(dbname="postgres", user="postgres"))
def by_socket(user):
    try:
        psycopg2.connect(host="/var/run/postgresql", dbname=theirs["CONFIG_PG_DBNAME"], user=user).close()
        return "yes"
    except psycopg2.OperationalError:
        return "no"
print("socket", by_socket("postgres"), by_socket(theirs["CONFIG_PG_USER"]), by_socket(own["CONFIG_PG_USER"]))
connection = psycopg2.connect(own["DATABASE_URL"])
def runs(sql):
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
        return "yes"
    except psycopg2.Error:
        return "no"
for sql in ("SELECT rolpassword FROM pg_authid", "COPY (SELECT 1) TO PROGRAM 'id'", "SELECT pg_read_file('/etc/passwd')",
            "CREATE ROLE x SUPERUSER", "ALTER ROLE victim PASSWORD 'x'", "CREATE DATABASE x", "SET ROLE postgres"):
    print(sql.split("(")[0].split(" ")[0], runs(sql))
"#
    );
    let said = probe::ask(world, "spy.test", &code);
    let expected = "own yes\nother no\npostgres no\ntemplate1 no\nno password no\nown password no\nsuperuser no\nsocket no no no\n\
        SELECT no\nCOPY no\nSELECT no\nCREATE no\nALTER no\nCREATE no\nSET no";
    assert_eq!(said, expected, "{said}");
}

/// In the one directory that is its own and that root looks into, an app puts what would lead root elsewhere.
fn files_of_a_hostile_app_do_not_hold_the_node(world: &World) {
    world.node_script("echo secret >/root/ct_secret; chmod 600 /root/ct_secret");
    let traps = [("a pipe", "os.mkfifo(path)"), ("a link to a file of root", "os.symlink('/root/ct_secret', path)")];
    let spy =
        probe::app("spy", "service.postgresql =\nservice.files =\nhealth_timeout = 2\nupdate_fetch = script:hook.py\n");
    spy.write("hook.py", b"print('the script ran')\n");
    for (number, (what, trap)) in traps.into_iter().enumerate() {
        for log in ["hooks.log", "error.log"] {
            let code = format!(
                "import os, shutil\npath = os.environ['CLOUDTOOL_LOGS'] + '/{log}'\nif os.path.lexists(path): os.rename(path, path + '.{number}')\n{trap}"
            );
            assert_eq!(probe::ask(world, "spy.test", &code), "", "{what}");
        }
        let logs = world.ok(["logs", "spy"]);
        assert!(!logs.contains("secret"), "{what}: {logs}");
        // Without error.log an Apache does not start: the deploy fails or not, but it ends, and the old release serves.
        spy.write("trap.txt", what.as_bytes());
        let output = world.cloudtool(["update", spy.path_str()]);
        assert!(matches!(output.status.code(), Some(0 | 1 | 7)), "{what}: {}", crate::world::both(&output));
        assert_eq!(get(&world.address, "spy.test", "/").status, 200, "{what}");
        let code = "import os, shutil\nfor log in ('hooks.log', 'error.log'):\n    path = os.environ['CLOUDTOOL_LOGS'] + '/' + log\n    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.path.lexists(path) and os.unlink(path)\n    open(path, 'a').close()";
        assert_eq!(probe::ask(world, "spy.test", code), "");
    }
    assert_eq!(
        world.node_script("cat /root/ct_secret; stat -c '%U %a' /root/ct_secret; rm /root/ct_secret"),
        "secret\nroot 600"
    );
}
