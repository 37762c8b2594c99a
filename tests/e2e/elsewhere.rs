//! MariaDB and Redis on another node: the app is on the second node, its data on the one that all tests share.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use crate::Test;
use crate::hammer::Hammer;
use crate::http::get;
use crate::rotation::{SERVICES, Variables, logged_in};
use crate::whole::{await_that, none_failed};
use crate::world::{App, World, address_of, both, image, node};

pub const TESTS: &[Test] = &[
    ("mysql_and_redis_are_on_another_node", mysql_and_redis_are_on_another_node),
    (
        "what_is_on_another_node_is_copied_and_outlives_a_lost_one",
        what_is_on_another_node_is_copied_and_outlives_a_lost_one,
    ),
    ("an_app_moves_and_its_data_stay", an_app_moves_and_its_data_stay),
    ("mysql_and_redis_are_where_addresses_say", mysql_and_redis_are_where_addresses_say),
];

/// The name has a character that stands for any other in a right of MariaDB's.
const APP: &str = "far_off";
const HOST: &str = "far-off.localhost";

/// Keeps a connection to each of its servers from the first request on, and never opens another one: whoever ends one of those makes
/// all later requests fail. What is posted is run; `my(...)` opens a new connection.
const SOURCE: &str = r#"
import contextlib
import io
import os
import threading
import traceback

import MySQLdb
import psycopg2
import redis

e = os.environ
lock = threading.Lock()
kept = []


def my(**more):
    how = {"host": e["CONFIG_MYSQL_HOST"], "port": int(e["CONFIG_MYSQL_PORT"]), "user": e["CONFIG_MYSQL_USER"],
           "passwd": e["CONFIG_MYSQL_PASSWORD"], "db": e["CONFIG_MYSQL_DBNAME"], "charset": "utf8mb4",
           "ssl": {"ca": e["CONFIG_MYSQL_SSL_CA"]}}
    return MySQLdb.connect(**{**how, **more})


def application(environ, start_response):
    code = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    printed, status = io.StringIO(), "200 OK"
    with contextlib.redirect_stdout(printed):
        try:
            with lock:
                if not kept:
                    kept.extend([my(), psycopg2.connect(e["DATABASE_URL"]), redis.from_url(e["REDIS_URL"]).client()])
                kept[0].query("SELECT 1")
                kept[0].store_result()
                kept[1].cursor().execute("SELECT 1")
                kept[1].rollback()
                kept[2].ping()
            exec(code, {"environ": environ, "my": my, "e": e, "r": redis.from_url(e["REDIS_URL"]), "p": e["CONFIG_REDIS_PREFIX"]})
        except BaseException:
            status = "500 Internal Server Error"
            traceback.print_exc(file=printed)
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [printed.getvalue().encode()]
"#;

/// Everything that has a definer: who that is must be somebody who is there.
const FILL: &str = r#"
c = my().cursor()
for statement in [
    "CREATE TABLE notes (a INT)", "INSERT INTO notes VALUES (1), (2), (3)", "CREATE VIEW seen AS SELECT a FROM notes",
    "CREATE TRIGGER next BEFORE INSERT ON notes FOR EACH ROW SET NEW.a = NEW.a + 1", "CREATE FUNCTION seven() RETURNS INT RETURN 7",
    "CREATE PROCEDURE add_one() INSERT INTO notes VALUES (4)"]:
    c.execute(statement)
c.connection.commit()
r.set(p + "colour", "green")
"#;
const SEE: &str = r#"
c = my().cursor()
c.execute("SELECT DATABASE(), COUNT(*), seven() FROM seen")
print(*c.fetchone(), r.get(p + "colour"))
"#;

/// The app on the second node: it, and what deploys it.
fn deployed(world: &World) -> (App, [String; 4]) {
    let ini = SERVICES.map(|service| format!("service.{service} = node:{}\n", node())).concat();
    let app = App::new(APP, &format!("runner = app.py\nservice.files =\n{ini}")).file("app.py", SOURCE);
    let update = ["update", app.path_str(), "--node", &world.second_name()].map(str::to_owned);
    world.ok(&update);
    World::inside_at(world.second(), HOST, FILL);
    (app, update)
}

fn mysql_and_redis_are_on_another_node(world: &World) {
    let (address, second) = (world.second().to_owned(), world.second_name());
    let inside = |code: &str| World::inside_at(&address, HOST, code);
    let (_app, _) = deployed(world);
    assert_eq!(inside(SEE), "far_off 3 7 b'green'");
    nobody_else_is_let_in(world, &address);

    // New shares are made, filled and dropped over there.
    let backups = world.home.path().join("far-off");
    let backups = backups.to_str().expect("UTF-8");
    world.ok(["backup", APP, backups]);
    inside("my().query('DROP TABLE notes')\nr.delete(p + 'colour')");
    world.ok(["restore", &format!("{backups}/{APP}"), APP, "-y"]);
    assert_eq!(inside(SEE), "far_off.2 3 7 b'green'");
    inside("c = my()\nc.cursor().execute('CALL add_one()')\nc.commit()");
    passwords_are_changed(world, &address);
    world.ok(["remove", APP, "--with-data", "--node", &second, "-y"]);
    nothing_is_left(world);
}

fn nothing_is_left(world: &World) {
    let left = world.node_script(
        "mariadb -BNe \"SHOW DATABASES LIKE 'far%'; SELECT User FROM mysql.global_priv WHERE User LIKE 'far%'; SELECT Db FROM mysql.db WHERE User LIKE 'far%'; SELECT name FROM mysql.proc WHERE name LIKE 'far%'\"
         systemctl list-units --all --no-legend 'cloudtool-redis@*'; ss -Hltn 'sport >= 13000 and sport < 14000'
         cd / && runuser -u postgres -- psql -p 5432 -Atc \"SELECT rolname FROM pg_roles WHERE rolname ~ '^far'\"
         find /var/lib/redis /etc/redis /etc/cloudtool/firewall.d /var/lib/cloudtool/lent -name '*far_*'",
    );
    assert_eq!(left, "");
}

fn what_is_on_another_node_is_copied_and_outlives_a_lost_one(world: &World) {
    let (address, second) = (world.second().to_owned(), world.second_name());
    let inside = |code: &str| World::inside_at(&address, HOST, code);
    let (app, update) = deployed(world);
    world.ok(["clear", APP, "--no-backup", "-y"]);
    assert_eq!(
        inside("c = my().cursor()\nc.execute('SHOW TABLES')\nprint(c.fetchall(), r.get(p + 'colour'))"),
        "() None"
    );
    inside(FILL);
    assert_eq!(inside(SEE), "far_off.2 3 7 b'green'");
    let backups = world.home.path().join("far-off-too");
    let backups = backups.to_str().expect("UTF-8");
    world.ok(["backup", APP, backups]);
    let said = world.ok(["verify-backup", &format!("{backups}/{APP}")]);
    assert!(said.contains("3 in notes") && said.contains("1 in keys"), "{said}");
    a_copy_has_its_own(world, &address, &second);
    a_new_address_is_followed(world, &address, &app);
    a_lost_node_s_data_are_taken_over(world, &address, &update);

    // An app of the other node cannot take the names for its own.
    let taken = App::obeying(APP, "service.mysql =\n");
    let said = world.fails(1, ["update", taken.path_str(), "--host", "taken.test", "--node", node()]);
    assert!(said.contains("is of an app of another node"), "{said}");
    world.ok(["remove", APP, "--with-data", "--node", node(), "-y"]);
    assert_eq!(inside(SEE), "far_off.2 3 7 b'green'");
    world.ok(["remove", APP, "--with-data", "--node", &second, "-y"]);
    nothing_is_left(world);
}

/// On the same node, and what did not come about leaves nothing.
fn a_copy_has_its_own(world: &World, address: &str, second: &str) {
    let clone = ["clone-app", APP, "far_copy", "--from-node", second, "--node", second];
    let said = world.fails(1, clone.iter().chain(&["--scrub", "no-such-script"]));
    assert!(said.contains("Nothing is left of the copy"), "{said}");
    let known =
        "ls /var/lib/cloudtool/lent/*/ | grep -c far_copy || true; mariadb -BNe \"SHOW DATABASES LIKE 'far_copy%'\"";
    assert_eq!(world.node_script(known), "0");
    // One that the node removed by itself left names over there, which are taken up again.
    world.ok(clone);
    assert_eq!(World::inside_at(address, "far-copy.localhost", SEE), "far_copy 3 7 b'green'");
    World::script(
        world.ssh_to("root", address),
        "sed -i 's/\"app\": \"far_copy\",/&\"expires\": \"2020-01-01T00:00:00Z\",/' /var/lib/cloudtool/apps/far_copy.json
         /usr/local/lib/cloudtool/cloudtool-node expire far_copy; ! test -e /var/lib/cloudtool/apps/far_copy.json",
    );
    assert_eq!(world.node_script(known), "3");
    world.ok(clone);
    world.ok(["remove", "far_copy", "--with-data", "--node", second, "-y"]);
    assert_eq!(world.node_script(known), "0");
}

/// Of the app's node: its accounts are bound to it, and definers are accounts.
fn a_new_address_is_followed(world: &World, address: &str, app: &App) {
    let renamed = ["", ".owner", ".loader"]
        .map(|part| format!("RENAME USER 'far_off{part}'@'{address}' TO 'far_off{part}'@'10.9.9.9';"))
        .concat();
    world.node_script(&format!(
        "mariadb -e \"{renamed} CREATE OR REPLACE DEFINER=far_off@10.9.9.9 FUNCTION \\`far_off.2\\`.seven() RETURNS INT RETURN 7; CREATE OR REPLACE DEFINER=far_off@10.9.9.9 VIEW \\`far_off.2\\`.seen AS SELECT a FROM \\`far_off.2\\`.notes\""
    ));
    world.ok(["update", app.path_str(), "--force"]);
    assert_eq!(World::inside_at(address, HOST, SEE), "far_off.2 3 7 b'green'");
    let definers = "SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA LIKE 'far%' UNION SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA LIKE 'far%'";
    let hosts = "SELECT DISTINCT Host FROM mysql.global_priv WHERE User LIKE 'far\\_off%'";
    let said = world.node_script(&format!("mariadb -BNe \"{definers}; {hosts}\""));
    assert_eq!(said, format!("far_off@{address}\n{address}"));
}

/// One that knows nothing of the app gets at them only where somebody says so.
fn a_lost_node_s_data_are_taken_over(world: &World, address: &str, update: &[String]) {
    for service in SERVICES {
        world.ok(["service-rotate", APP, service]);
    }
    World::script(
        world.ssh_to("root", address),
        "systemctl stop cloudtool-app-blue@far_off cloudtool-app-green@far_off
         cd /var/lib/cloudtool; rm -r apps/far_off.json manifests/far_off secrets/far_off secrets/_node/*/borrower
         rm -r /srv/cloudtool/apps/far_off /etc/cloudtool/apps/far_off",
    );
    let said = world.fails(2, update);
    assert!(said.contains("of another app far_off") && said.contains("--take-over"), "{said}");
    world.ok(update.iter().map(String::as_str).chain(["--take-over", "-y"]));
    assert_eq!(World::inside_at(address, HOST, SEE), "far_off.2 3 7 b'green'");
    assert_eq!(world.node_script(LOGINS), "1\n1\n1", "nobody knows a password that the lost node had");
}

/// How many passwords are good for each of its servers.
const LOGINS: &str = r#"mariadb -BNe "SELECT Priv FROM mysql.global_priv WHERE User = 'far_off'" | grep -o '"\*' | wc -l
grep '^user ct-far_off ' /var/lib/redis/cloudtool-lent/far_off/users.acl | grep -o ' #' | wc -l
cd / && runuser -u postgres -- psql -p 5432 -Atc "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname ~ '^far_off([.]r[0-9]+)?$'""#;

fn nobody_else_is_let_in(world: &World, address: &str) {
    let refused = World::inside_at(
        address,
        HOST,
        r#"
import redis
others = "/etc/ssl/certs/ca-certificates.crt"
url = e["REDIS_URL"]
def tried(what):
    try:
        what()
        print("let in")
    except Exception as problem:
        print(problem)
tried(lambda: my(ssl={"ca": others}))
tried(lambda: my(db="mysql"))
tried(lambda: my(db="cloudtool.lobby"))
tried(lambda: my().query("CREATE DATABASE `far_off.9`"))
tried(lambda: my().query("CREATE DATABASE farxoff"))
tried(lambda: my().query("CALL `cloudtool.lobby`.far_off('', '')"))
tried(lambda: redis.from_url(url.replace(e["CONFIG_REDIS_SSL_CA"], others)).ping())
tried(lambda: redis.from_url(url.replace("rediss://", "redis://").partition("?")[0]).ping())
tried(lambda: redis.from_url(url).keys("*"))
tried(lambda: redis.from_url(url).get("other:key"))
c = my().cursor()
c.execute("SHOW STATUS LIKE 'Ssl_version'")
print(c.fetchone()[1][:4])
"#,
    );
    let words = [
        "local issuer certificate",
        "Access denied",
        "Access denied",
        "Access denied",
        "Access denied",
        "denied",
        "CERTIFICATE_VERIFY_FAILED",
        "",
        "no permissions",
        "no permissions",
        "TLSv",
    ];
    let lines: Vec<&str> = refused.lines().collect();
    assert_eq!(lines.len(), words.len(), "{refused}");
    for (line, word) in lines.iter().zip(words) {
        assert!(line.to_lowercase().contains(&word.to_lowercase()) && *line != "let in", "{line}: {word}\n{refused}");
    }
    // Not even to a connection, but from the app's node.
    let port = |port: u16| SocketAddr::new(world.address.parse().expect("an address"), port);
    assert!(TcpStream::connect_timeout(&port(80), Duration::from_secs(30)).is_ok());
    for closed in [3306, 6379, 13000] {
        assert!(TcpStream::connect_timeout(&port(closed), Duration::from_secs(1)).is_err(), "{closed}");
    }
    // Whoever has the owner's password can do nothing to the server itself.
    let commands = world.node_script(
        "cd /var/lib/redis/cloudtool-lent/far_off; cat users.acl | cut -d' ' -f2 | sort | tr '\\n' ' '; grep -c rename-command /etc/redis/cloudtool-lent/far_off.conf",
    );
    assert_eq!(commands, "cloudtool.owner ct-far_off default 7");
}

/// Without a failed request of an app whose connections stay open; those of whoever else knows the old password do not.
fn passwords_are_changed(world: &World, address: &str) {
    let variables = World::inside_at(address, HOST, "import json\nprint(json.dumps(dict(e)))");
    let variables: Variables = serde_json::from_str(&variables).expect("JSON");
    let thieves = SERVICES.map(|service| logged_in(world.ssh_to("root", address), &variables, service));
    let load = Hammer::start(address, HOST, "/", 2, None);
    for (service, mut thief) in SERVICES.into_iter().zip(thieves) {
        world.ok(["service-rotate", APP, service]);
        let end =
            await_that("who was logged in with the old password is thrown out", || thief.try_wait().expect("ssh"));
        assert!(!end.success(), "{service}");
    }
    println!("{} requests during three rotations, none failed", none_failed(load));
    assert_eq!(World::inside_at(address, HOST, SEE), "far_off.2 4 7 b'green'");
    world.ok(["rollback", APP, "--to", "v1"]);
    for service in SERVICES {
        world.ok(["service-rotate", APP, service]);
    }
    assert_eq!(world.node_script(LOGINS), "1\n1\n1");
}

/// To a third node. Nothing of what is on the first one is copied, and nobody destroys it.
fn an_app_moves_and_its_data_stay(world: &World) {
    let (old, second) = (world.second().to_owned(), world.second_name());
    let third = format!("{}-third", node());
    let new = address_of(&world.create_node(&third, &image()));
    let (app, _) = deployed(world);
    // Another share and other logins than an app begins with, and a password that its record at the first node does not have.
    world.ok(["clear", APP, "--no-backup", "-y"]);
    World::inside_at(&old, HOST, FILL);
    for service in SERVICES {
        world.ok(["service-rotate", APP, service]);
    }
    let said = world.fails(2, ["move-app", APP, "--node", node(), "--from-node", &second]);
    assert!(said.contains("to a node itself nothing is lent"), "{said}");

    // A client that is killed when the other node may get in as well, and the app has stopped.
    let move_app = ["move-app", APP, "--node", &third, "--from-node", &second];
    let mut killed = world.command(move_app).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let steps = BufReader::new(killed.stderr.take().expect("a pipe")).lines();
    assert!(steps.map_while(Result::ok).any(|line| line.contains(" s  hold")), "it came to that");
    killed.kill().expect("it is killed");
    killed.wait().expect("it ends");
    await_that("it serves again", || Some(get(&old, HOST, "/")).filter(|answer| answer.status == 200));
    assert_eq!(World::inside_at(&old, HOST, SEE), "far_off.2 3 7 b'green'");
    // What is on its way there destroys nothing, whatever is asked of it.
    for wrong in
        [["clear", APP, "--no-backup", "-y"].as_slice(), &["service-rotate", APP, "mysql"], &["update", app.path_str()]]
    {
        let said = world.fails(2, wrong.iter().chain(&["--node", third.as_str()]));
        assert!(said.contains("is on its way to this node"), "{said}");
    }
    let arrived = world.home.path().join("far-arrived");
    let arrived = arrived.to_str().expect("UTF-8");
    world.ok(["backup", APP, arrived, "--node", &third]);
    let listed = world.ok(["list-backups", arrived, "--json"]);
    assert!(listed.contains("it is on another server"), "{listed}");
    world.ok(["remove", APP, "--with-data", "--node", &third, "-y"]);
    assert_eq!(World::inside_at(&old, HOST, SEE), "far_off.2 3 7 b'green'");

    let load = Hammer::start(&old, HOST, "/", 2, None);
    let said = world.ok(move_app);
    let outcome = load.stop();
    assert!(outcome.failures.iter().all(|failure| failure.contains("503")), "{:?}", outcome.failures.first());
    assert!(!said.contains("copy mysql") && !said.contains("still lets"), "{said}");
    println!("{}", said.lines().filter(|line| line.contains("503")).collect::<Vec<_>>().join("\n"));
    // The same databases, from another address, which is that of the definers now.
    assert_eq!(World::inside_at(&new, HOST, SEE), "far_off.2 3 7 b'green'");
    let hosts = "SELECT DISTINCT Host FROM mysql.global_priv WHERE User LIKE 'far\\_off%' UNION SELECT SUBSTRING_INDEX(DEFINER, '@', -1) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA LIKE 'far%'";
    assert_eq!(world.node_script(&format!("mariadb -BNe \"{hosts}\"")), new);
    let let_in = "grep -c ADDRESS /etc/postgresql/*/main/pg_hba.conf /etc/cloudtool/firewall.d/input-lent-*-far_off.nft | cut -d: -f2 | xargs";
    assert_eq!(world.node_script(&let_in.replace("ADDRESS", &old)), "0 0 0 0");
    assert_eq!(world.node_script(&let_in.replace("ADDRESS", &new)), "3 1 1 1");

    // The node that it has left has nothing to destroy any more; on the other one all goes on.
    world.ok(["remove", APP, "--with-data", "--node", &second, "-y"]);
    assert_eq!(World::inside_at(&new, HOST, SEE), "far_off.2 3 7 b'green'");
    world.ok(["update", app.path_str(), "--force", "--node", &third]);
    let backups = world.home.path().join("far-away");
    let backups = backups.to_str().expect("UTF-8");
    world.ok(["backup", APP, backups, "--node", &third]);
    world.ok(["restore", &format!("{backups}/{APP}"), APP, "-y", "--node", &third]);
    assert_eq!(World::inside_at(&new, HOST, SEE), "far_off.4 3 7 b'green'");
    for service in SERVICES {
        world.ok(["service-rotate", APP, service, "--node", &third]);
    }
    assert_eq!(World::inside_at(&new, HOST, SEE), "far_off.4 3 7 b'green'");
    world.ok(["remove", APP, "--with-data", "--node", &third, "-y"]);
    nothing_is_left(world);
    world.ok(["destroy-node", &third, "-y"]);
}

/// Servers that were there before, with an account each. They happen to be on the app's node, which the app does not know.
fn mysql_and_redis_are_where_addresses_say(world: &World) {
    let ours = App::obeying("addressed-server", "service.mysql =\nservice.redis =\n");
    world.ok(["update", ours.path_str(), "--host", "server.test", "--node", node()]);
    world.node_script(
        "mariadb -e \"CREATE USER 'the shop'@'%' IDENTIFIED BY 'a#b'; CREATE DATABASE \\`old.shop\\`; GRANT ALL ON \\`old.shop\\`.* TO 'the shop'@'%'; GRANT ALL ON \\`old.shop.%\\`.* TO 'the shop'@'%'\"
         systemd-run -q --unit=addressed-redis redis-server --port 7777 --bind 0.0.0.0 --requirepass sesame --dir /tmp --save ''
         echo 'tcp dport 7777 accept' >/etc/cloudtool/firewall.d/input-test.nft; systemctl reload cloudtool-firewall",
    );
    an_addressed_app_moves(world);
    let (host, ini) = ("addressed.test", "service.mysql = env:SHOP\nservice.redis = env:KEYS\n");
    let app = App::obeying("addressed", ini);
    let with = |address: &str, args: &[&str]| {
        let mut command = world.command(args);
        command.env("SHOP", address).env("KEYS", "redis://:sesame@127.0.0.1:7777/0");
        let output = command.output().expect("it starts");
        (output.status.success(), both(&output))
    };
    let update = ["update", app.path_str(), "--host", host, "--node", node()];
    let address = "mysql://the%20shop:a%23b@127.0.0.1/old.shop";
    // By TLS, to somebody known, if nothing else is said.
    let (done, said) = with(address, &update);
    assert!(!done && said.to_lowercase().contains("ssl") && !said.contains("a#b"), "{said}");
    let (done, said) = with(&format!("{address}?ssl-mode=disabled"), &update);
    assert!(done, "{said}");
    let inside = |rest: &str| {
        let begin = "import os, MySQLdb, redis\ne = os.environ\nr = redis.from_url(e['REDIS_URL'])\np = e['CONFIG_REDIS_PREFIX']
c = MySQLdb.connect(host=e['CONFIG_MYSQL_HOST'], user=e['CONFIG_MYSQL_USER'], passwd=e['CONFIG_MYSQL_PASSWORD'], db=e['CONFIG_MYSQL_DBNAME']).cursor()\n";
        world.inside(host, &format!("{begin}{rest}"))
    };
    inside(
        "c.execute('CREATE TABLE t AS SELECT 1 AS a')\nc.execute('CREATE VIEW v AS SELECT a FROM t')\nr.set(p + 'k', 'v')",
    );
    let backups = world.home.path().join("addressed");
    let backups = backups.to_str().expect("UTF-8");
    world.ok(["backup", "addressed", backups]);
    inside("c.execute('DROP TABLE t')\nr.delete(p + 'k')");
    world.ok(["restore", &format!("{backups}/addressed"), "addressed", "-y"]);
    assert_eq!(
        inside("c.execute('SELECT DATABASE(), a FROM v')\nprint(*c.fetchone(), p, r.get(p + 'k'))"),
        "old.shop.2 1 addressed.2: b'v'"
    );
    let said = world.fails(2, ["service-rotate", "addressed", "mysql"]);
    assert!(said.contains("password that can be changed"), "{said}");
    world.ok(["remove", "addressed", "--with-data", "-y"]);
    let left = world.node_script(
        "mariadb -BNe \"SHOW DATABASES LIKE 'old%'\"; REDISCLI_AUTH=sesame redis-cli -p 7777 DBSIZE
         systemctl stop addressed-redis; rm /etc/cloudtool/firewall.d/input-test.nft; systemctl reload cloudtool-firewall; mariadb -e \"DROP DATABASE \\`old.shop\\`; DROP USER 'the shop'@'%'\"",
    );
    assert_eq!(left, "old.shop\n0", "what was there before stays, and nothing else");
    world.ok(["remove", "addressed-server", "--with-data", "-y"]);
}

/// To another node, where it uses the same account, which is nobody's to destroy but the new node's.
fn an_addressed_app_moves(world: &World) {
    let second = world.second_name();
    let (app, host) = (App::obeying("addressed_too", "service.redis = env:KEYS\n"), "addressed-too.localhost");
    let mut update = world.command(["update", app.path_str(), "--node", node()]);
    let output = update.env("KEYS", format!("redis://:sesame@{}:7777/0", world.address)).output().expect("it starts");
    assert!(output.status.success(), "{}", both(&output));
    let keys = "import os, redis\nr = redis.from_url(os.environ['REDIS_URL'])\np = os.environ['CONFIG_REDIS_PREFIX']\n";
    let inside = |address: &str, rest: &str| World::inside_at(address, host, &format!("{keys}{rest}"));
    inside(&world.address, "r.set(p + 'k', 'v')");
    world.ok(["move-app", "addressed_too", "--node", &second, "--from-node", node()]);
    inside(world.second(), "r.set(p + 'l', 'w')");
    world.ok(["remove", "addressed_too", "--with-data", "--node", node(), "-y"]);
    assert_eq!(inside(world.second(), "print(p, r.get(p + 'k'), r.get(p + 'l'))"), "addressed_too: b'v' b'w'");
    world.ok(["remove", "addressed_too", "--with-data", "--node", &second, "-y"]);
}
