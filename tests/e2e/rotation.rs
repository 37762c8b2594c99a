//! `service-rotate`: a new password for each kind of database, under load and killed in the middle.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::Test;
use crate::faults::{killed_in_the_middle, moment, rounds};
use crate::hammer::Hammer;
use crate::http::get;
use crate::secrets::Argv;
use crate::whole::{await_that, none_failed};
use crate::world::{App, World};

pub const TESTS: &[Test] = &[
    ("a_password_is_changed_under_load_and_the_old_one_is_refused", a_password_is_changed),
    ("a_rotation_killed_at_any_moment_leaves_one_login", a_rotation_killed_at_any_moment_leaves_one_login),
];

const HOST: &str = "keys.test";
pub const SERVICES: [&str; 3] = ["postgresql", "mysql", "redis"];

/// Logs in everywhere at every request.
const SOURCE: &str = r#"
import contextlib
import io
import os

import MySQLdb
import psycopg2
import redis


def log_in(e):
    psycopg2.connect(e["DATABASE_URL"]).close()
    MySQLdb.connect(host=e["CONFIG_MYSQL_HOST"], port=int(e["CONFIG_MYSQL_PORT"]), user=e["CONFIG_MYSQL_USER"],
                    passwd=e["CONFIG_MYSQL_PASSWORD"], db=e["CONFIG_MYSQL_DBNAME"]).close()
    redis.from_url(e["REDIS_URL"]).ping()


def application(environ, start_response):
    code = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    printed = io.StringIO()
    log_in(os.environ)
    with contextlib.redirect_stdout(printed):
        exec(code, {"environ": environ, "psycopg2": psycopg2, "os": os})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [printed.getvalue().encode()]
"#;

/// Deployed with two releases; the next time nothing has changed.
fn deployed(world: &World) -> App {
    let app = App::new("keys", "runner = app.py\nservice.postgresql =\nservice.mysql =\nservice.redis =\n");
    let app = app.file("app.py", SOURCE);
    world.ok(["update", app.path_str(), "--host", HOST]);
    let app = app.file("second.txt", "another release\n");
    world.ok(["update", app.path_str()]);
    app
}

pub type Variables = serde_json::Map<String, Value>;

fn variables(world: &World) -> Variables {
    let said = world.inside(HOST, "import json\nprint(json.dumps(dict(os.environ)))");
    serde_json::from_str(&said).expect("JSON")
}

/// The passwords among them.
fn passwords(variables: &Variables) -> [&str; 3] {
    ["CONFIG_PG_PASSWORD", "CONFIG_MYSQL_PASSWORD", "CONFIG_REDIS_PASSWORD"]
        .map(|name| variables[name].as_str().expect("a text"))
}

fn a_password_is_changed(world: &World) {
    let _app = deployed(world);
    all_statements_are_logged(world, true);
    let before = variables(world);
    world.inside(HOST, "c = psycopg2.connect(os.environ['DATABASE_URL'])\nc.cursor().execute('CREATE TABLE mine (a int); ALTER ROLE keys SET work_mem = 8192; ALTER ROLE keys SET search_path = public, \"a b\"')\nc.commit()");
    let thieves = SERVICES.map(|service| logged_in(world.ssh(), &before, service));
    let argv = Argv::watch();
    let load = Hammer::start(&world.address, HOST, "/", 2, None);
    for service in SERVICES {
        let said = world.ok(["service-rotate", "keys", service, "--json"]);
        assert!(said.contains(&format!("\"service\":\"{service}\"")), "{said}");
    }
    println!("{} requests during three rotations, none failed", none_failed(load));
    let after = variables(world);
    for (old, new) in passwords(&before).into_iter().zip(passwords(&after)) {
        assert!(old != new && new.len() == 48);
    }
    for name in
        ["CONFIG_PG_DBNAME", "CONFIG_MYSQL_DBNAME", "CONFIG_MYSQL_USER", "CONFIG_REDIS_USER", "CLOUDTOOL_RELEASE"]
    {
        assert_eq!(before[name], after[name]);
    }
    refused(world, &before);
    for mut thief in thieves {
        let thrown_out =
            await_that("who was logged in with the old password is thrown out", || thief.try_wait().expect("ssh"));
        assert!(!thrown_out.success());
    }
    what_is_made_is_the_apps(world);
    a_kept_release_starts_with_the_new_password(world);
    // Once more, from a login that is no longer the first.
    for service in SERVICES {
        world.ok(["service-rotate", HOST, service]);
    }
    refused(world, &before);
    refused(world, &after);
    let said = world.inside(HOST, "c = psycopg2.connect(os.environ['DATABASE_URL']).cursor()\nc.execute(\"SELECT tablename || ' ' || tableowner FROM pg_tables WHERE schemaname = 'public' ORDER BY 1\")\nprint(*c.fetchall())");
    assert_eq!(said, "('given_back keys',) ('later keys',) ('mine keys',)");
    let now = variables(world);
    all_statements_are_logged(world, false);
    world.node_script(
        "grep -q \"SET @app = 'keys'\" /var/lib/mysql/general.log; grep -rq 'CREATE ROLE.*keys.r' /var/log/postgresql",
    );
    let seen = argv.stop();
    for password in [&before, &after, &now].into_iter().flat_map(passwords) {
        assert!(!seen.iter().any(|line| line.contains(password)), "a password was on a command line");
        let logs = world.node_script(&format!(
            "journalctl --no-pager -o export | grep -caF {password} || true; grep -rlaF {password} /var/log /var/lib/mysql/*.log || true"
        ));
        assert_eq!(logs, "0", "in the logs");
    }
    one_login_each(world);
    backed_up_and_refused(world);
}

/// Everything that PostgreSQL and MariaDB are told goes into a file.
fn all_statements_are_logged(world: &World, all: bool) {
    let (postgresql, mysql) = if all { ("SET log_statement = 'all'", "ON") } else { ("RESET log_statement", "OFF") };
    world.node_script(&format!(
        "cd /; runuser -u postgres -- psql -Xqp 5432 -c \"ALTER SYSTEM {postgresql}\" -c 'SELECT pg_reload_conf()' >/dev/null
         mariadb -e \"SET GLOBAL general_log_file = '/var/lib/mysql/general.log', GLOBAL general_log = {mysql}\""
    ));
}

/// A session that was opened with a password that is about to be changed, and stays.
pub fn logged_in(mut ssh: Command, variables: &Variables, service: &str) -> Child {
    ssh.args(["python3", "-", service]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = ssh.spawn().expect("ssh starts");
    let script = format!("import json\ne = json.loads({:?})\n{THIEF}", Value::from(variables.clone()).to_string());
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), script.as_bytes()).expect("written");
    let mut said = [0; 2];
    std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut said).expect("it is logged in");
    child
}

/// Python that logs in to one of the services with the variables `e`, says so, and waits.
const THIEF: &str = r#"
import sys
if sys.argv[1] == "mysql":
    import MySQLdb
    tls = {"ssl": {"ca": e["CONFIG_MYSQL_SSL_CA"]}} if "CONFIG_MYSQL_SSL_CA" in e else {}
    session = MySQLdb.connect(host=e["CONFIG_MYSQL_HOST"], user=e["CONFIG_MYSQL_USER"], passwd=e["CONFIG_MYSQL_PASSWORD"], **tls)
    waits = lambda: session.query("DO SLEEP(600)")
elif sys.argv[1] == "redis":
    import redis
    session = redis.from_url(e["REDIS_URL"])
    session.ping()
    waits = lambda: session.blpop(e["CONFIG_REDIS_PREFIX"] + "never", 600)
else:
    import psycopg2
    session = psycopg2.connect(e["DATABASE_URL"]).cursor()
    waits = lambda: session.execute("SELECT pg_sleep(600)")
print("1", flush=True)
waits()
"#;

/// All of these logins are.
fn refused(world: &World, variables: &Variables) {
    let code = format!(
        "import json, MySQLdb, redis\ne = json.loads({:?})
def tried(open):
    try:
        open()
        return 'let in'
    except Exception as error:
        words = ('password', 'Access denied', 'WRONGPASS')
        return 'refused' if any(word in str(error) for word in words) else repr(error)
print(tried(lambda: psycopg2.connect(e['DATABASE_URL'])))
print(tried(lambda: MySQLdb.connect(host='127.0.0.1', user=e['CONFIG_MYSQL_USER'], passwd=e['CONFIG_MYSQL_PASSWORD'], db=e['CONFIG_MYSQL_DBNAME'])))
print(tried(lambda: redis.from_url(e['REDIS_URL']).ping()))",
        serde_json::to_string(variables).expect("JSON")
    );
    assert_eq!(world.inside(HOST, &code), "refused\nrefused\nrefused");
}

/// Whichever login it was made with, also by a session that has given the app's role back.
fn what_is_made_is_the_apps(world: &World) {
    let said = world.inside(
        HOST,
        "c = psycopg2.connect(os.environ['DATABASE_URL'])\nc.autocommit = True\nc = c.cursor()
c.execute(\"INSERT INTO mine VALUES (1); CREATE TABLE later (a int); SELECT current_user, current_setting('work_mem'), current_setting('search_path')\")
print(*c.fetchone())
c.execute('DISCARD ALL')\nc.execute('CREATE TABLE public.given_back (a int)')",
    );
    assert_eq!(said, "keys 8MB public, \"a b\"");
}

fn a_kept_release_starts_with_the_new_password(world: &World) {
    let load = Hammer::start(&world.address, HOST, "/", 1, None);
    world.ok(["rollback", "keys"]);
    assert_eq!(world.inside(HOST, "print(os.environ['CLOUDTOOL_RELEASE'])"), "v1");
    // It slept since before the rotation.
    assert_eq!(get(&world.address, &format!("prev.{HOST}"), "/").status, 200);
    world.ok(["rollback", "keys", "--to", "v2"]);
    none_failed(load);
}

/// Nothing is left of those before.
fn one_login_each(world: &World) {
    let left = world.node_script(
        "cd /; runuser -u postgres -- psql -XqAtp 5432 -c \"SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname ~ '^keys(\\.r[0-9]+)?$'\"
         mariadb -BNe \"SELECT Priv FROM mysql.global_priv WHERE User = 'keys'\" | grep -o '\"\\*' | wc -l
         grep '^user ct-keys ' /var/lib/redis/cloudtool.acl | grep -o ' #' | wc -l
         ls /var/lib/cloudtool/secrets/keys/* | grep -c '^password'
         python3 -c \"import json; s = json.load(open('/var/lib/cloudtool/apps/keys.json')); print(s['doomed'], s['doomed_logins'])\"",
    );
    assert_eq!(left, "1\n1\n1\n3\n[] []");
}

fn backed_up_and_refused(world: &World) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let dest = place.path().to_str().expect("UTF-8");
    world.ok(["backup", "keys", dest]);
    let verified = world.ok(["verify-backup", &format!("{dest}/keys")]);
    assert!(verified.contains("can be restored"), "{verified}");
    let said = world.fails(2, ["service-rotate", "keys", "files"]);
    assert!(said.contains("no service \"files\" with a password that can be changed"), "{said}");
    let said = world.fails(2, ["service-rotate", "keys"]);
    assert!(said.contains("say one of mysql, postgresql, redis"), "{said}");
}

/// Killed on the node, the app serves; the next command ends what is left, and rotates as if nothing had been.
fn a_rotation_killed_at_any_moment_leaves_one_login(world: &World) {
    let _app = deployed(world);
    let started = Instant::now();
    world.ok(["service-rotate", "keys", "postgresql"]);
    let duration = started.elapsed();
    let load = Hammer::start(&world.address, HOST, "/", 1, None);
    let count = rounds(3);
    for round in 0..count {
        let service = SERVICES[round as usize % 3];
        let rotation = ["service-rotate", "keys", service];
        let said = killed_in_the_middle(world, &rotation, round, moment(round, count, duration));
        assert_eq!(get(&world.address, HOST, "/").status, 200, "{said}");
        world.ok(["service-rotate", "keys", service]);
        one_login_each(world);
    }
    println!("{count} kills; {} requests, none failed", none_failed(load));
    world.ok(["remove", "keys", "--with-data", "-y"]);
    let left = world.node_script(
        "cd /; runuser -u postgres -- psql -XqAtp 5432 -c \"SELECT rolname FROM pg_roles WHERE rolname ~ '^keys'\"
         mariadb -BNe \"SELECT User FROM mysql.global_priv WHERE User = 'keys'\"; grep '^user ct-keys ' /var/lib/redis/cloudtool.acl || true",
    );
    assert_eq!(left, "");
}
