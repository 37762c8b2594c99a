//! Services on another node: the app is on the second node, its database on the one that all tests share.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Test;
use crate::databases::FUNCTIONS;
use crate::world::{App, World, both, node};

pub const TESTS: &[Test] = &[
    ("an_app_s_database_is_on_another_node_and_nobody_else_s", an_app_s_database_is_on_another_node_and_nobody_else_s),
    ("a_database_is_where_an_address_says", a_database_is_where_an_address_says),
];

const HOST: &str = "apart.localhost";
/// What only a superuser may make is in its database: PostGIS.
const POSTGIS: &str = "CREATE TABLE notes AS SELECT n, ST_Point(n, n) AS place FROM generate_series(1, 500) n";

/// Python that connects as the app's variables say, and runs `rest` with a cursor.
fn connected(how: &str, rest: &str) -> String {
    format!("import os, psycopg2\nconnection = psycopg2.connect({how})\ncursor = connection.cursor()\n{rest}\n")
}

/// Python that runs SQL as the app does, and prints what it selects.
fn selecting(statement: &str) -> String {
    let rest = format!(
        "cursor.execute({statement:?})\nprint(cursor.fetchall() if cursor.description else '')\nconnection.commit()"
    );
    connected("os.environ['DATABASE_URL']", &rest)
}

/// Asks the server as its superuser.
fn superuser(world: &World, statement: &str) -> String {
    world.node_script(&format!("cd / && runuser -u postgres -- psql -p 5432 -Atc \"{statement}\""))
}

fn an_app_s_database_is_on_another_node_and_nobody_else_s(world: &World) {
    let (address, second) = (world.second().to_owned(), world.second_name());
    let sql = |statement: &str| World::inside_at(&address, HOST, &selecting(statement));
    let app = App::obeying("apart", &format!("service.postgis = node:{}\nservice.files =\n", node()));
    let update = ["update", app.path_str(), "--node", &second];
    world.ok(update);

    // The app does what it always does, and no server is where it is.
    sql(POSTGIS);
    let here =
        World::script(world.ssh_to("root", &address), "ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null || echo none");
    assert_eq!(here, "none");
    // By TLS, to the server that was meant: also for who puts the connection together from its parts.
    let by_tls = "cursor.execute('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')\nprint(cursor.fetchone()[0], os.environ['PGSSLMODE'])";
    let parts = "host=os.environ['CONFIG_PG_HOST'], port=os.environ['CONFIG_PG_PORT'], user=os.environ['CONFIG_PG_USER'], password=os.environ['CONFIG_PG_PASSWORD'], dbname=os.environ['CONFIG_PG_DBNAME']";
    for how in ["os.environ['DATABASE_URL']", parts] {
        assert_eq!(World::inside_at(&address, HOST, &connected(how, by_tls)), "True verify-ca");
    }
    let refused = |how: &str| {
        let code = format!(
            "import os, psycopg2\ntry:\n    psycopg2.connect({how})\nexcept Exception as problem:\n    print(problem)\n"
        );
        World::inside_at(&address, HOST, &code)
    };
    let other = refused("os.environ['DATABASE_URL'], sslrootcert='/etc/ssl/certs/ca-certificates.crt'");
    assert!(other.contains("certificate verify failed"), "{other}");
    let in_the_clear = refused("os.environ['DATABASE_URL'], sslmode='disable'");
    assert!(in_the_clear.contains("no encryption"), "{in_the_clear}");
    for database in ["postgres", "template1", "cloudtool.lobby", "cloudtool.postgis"] {
        let said = refused(&format!("os.environ['DATABASE_URL'], dbname='{database}'"));
        assert!(said.contains("FATAL"), "{database}: {said}");
    }

    // The server answers nobody but the app's node, and knows nothing of it that is more than an app's.
    let port = |port: u16| SocketAddr::new(world.address.parse().expect("an address"), port);
    assert!(TcpStream::connect_timeout(&port(80), Duration::from_secs(30)).is_ok());
    assert!(TcpStream::connect_timeout(&port(5432), Duration::from_secs(1)).is_err());
    let rights =
        "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname ~ '^apart' ORDER BY 1";
    assert_eq!(superuser(world, rights), "apart|f|f|f\napart.owner|f|f|t\napart.reader|f|f|f");
    let taken = App::obeying("apart", "service.postgresql =\n");
    let said = world.fails(1, ["update", taken.path_str(), "--host", "taken.test", "--node", node()]);
    assert!(said.contains("The role apart exists already"), "{said}");
    world.ok(["remove", "apart", "--with-data", "--node", node(), "-y"]);

    // New shares are made and dropped over there.
    let backups = world.home.path().join("apart");
    let backups = backups.to_str().expect("UTF-8");
    world.ok(["backup", "apart", backups]);
    sql("DELETE FROM notes");
    world.ok(["restore", &format!("{backups}/apart"), "apart", "-y"]);
    assert_eq!(sql("SELECT current_database(), count(*), max(ST_X(place)) FROM notes"), "[('apart.2', 500, 500.0)]");
    let said = world.ok(["verify-backup", &format!("{backups}/apart")]);
    assert!(said.contains("500 in public.notes"), "{said}");
    a_dump_reaches_nothing_but_its_share(world, &address);
    assert_eq!(superuser(world, rights), "apart|f|f|f\napart.owner|f|f|t\napart.reader|f|f|f");
    world.ok(["clear", "apart", "--no-backup", "-y"]);
    assert_eq!(sql("SELECT current_database(), to_regclass('notes')"), "[('apart.4', None)]");
    let databases = "SELECT datname FROM pg_database WHERE datname ~ '^apart'";
    assert_eq!(superuser(world, databases), "apart.4");
    world.ok(["update", app.path_str(), "--force"]);
    assert_eq!(sql("SELECT current_database()"), "[('apart.4',)]");

    // Data are not left behind by a word in app.ini.
    let ini = app.path().join("app.ini");
    let text = std::fs::read_to_string(&ini).expect("it is there");
    app.write("app.ini", text.replace(&format!("node:{}", node()), "").as_bytes());
    let said = world.fails(1, update);
    assert!(said.contains(&format!("The data of apart in postgresql are on {}", node())), "{said}");
    let said = world.fails(2, ["move-app", "apart", "--from-node", &second, "--node", node()]);
    assert!(said.contains("to a node itself nothing is lent"), "{said}");

    // A copy has its databases there too, and nobody else's password opens them.
    sql("CREATE TABLE copied AS SELECT 1 AS a");
    world.ok(["clone-app", "apart", "apart-copy", "--from-node", &second, "--node", &second]);
    let copy = |statement: &str| World::inside_at(&address, "apart-copy.localhost", &selecting(statement));
    assert_eq!(copy("SELECT current_database(), a FROM copied"), "[('apart-copy', 1)]");
    assert_eq!(copy("SELECT PostGIS_Lib_Version() <> ''"), "[(True,)]");
    world.ok(["remove", "apart-copy", "--with-data", "--node", &second, "-y"]);
    assert_eq!(superuser(world, databases), "apart.4");

    // Nothing is left of it, and nobody is let in any more.
    world.ok(["remove", "apart", "--with-data", "--node", &second, "-y"]);
    assert_eq!(superuser(world, databases), "");
    assert_eq!(superuser(world, "SELECT count(*) FROM pg_roles WHERE rolname ~ '^apart'"), "0");
    let left = world
        .node_script("grep -rl apart /etc/postgresql /etc/cloudtool/firewall.d /var/lib/cloudtool/lent || echo none");
    assert_eq!(left, "none");
}

/// A server that was there before, as a managed one is: one database, one account. It happens to be on the app's node, which the
/// app does not know.
fn a_database_is_where_an_address_says(world: &World) {
    let app = App::obeying("managed", "service.postgis = env:MANAGED\nservice.files =\n");
    let host = "managed.test";
    let ours = App::obeying("managed-server", "service.postgis =\n");
    world.ok(["update", ours.path_str(), "--host", "server.test", "--node", node()]);
    let words = "db's #1: ä/?";
    world.node_script(&format!(
        "cd / && runuser -u postgres -- psql -p 5432 -q -v ON_ERROR_STOP=1 <<'SQL'
DROP DATABASE IF EXISTS \"old.shop\" WITH (FORCE); DROP DATABASE IF EXISTS \"old.shop.2\" WITH (FORCE); DROP ROLE IF EXISTS \"the shop\";
CREATE ROLE \"the shop\" LOGIN PASSWORD '{}';
CREATE DATABASE \"old.shop\" OWNER \"the shop\";
\\connect \"old.shop\"
CREATE EXTENSION postgis;
SQL",
        words.replace('\'', "''")
    ));
    let password = "db%27s%20%231%3A%20%C3%A4%2F%3F";
    let address = format!("postgresql://the%20shop:{password}@127.0.0.1/old.shop?sslmode=require");
    let with = |address: &str, args: &[&str]| {
        let mut command = world.command(args);
        command.env("MANAGED", address);
        let output = command.output().expect("it starts");
        (output.status.success(), both(&output))
    };
    let update = ["update", app.path_str(), "--host", host, "--node", node(), "-vv"];
    let (_, said) = with("", &update);
    assert!(said.contains("env gives nothing"), "{said}");
    let (_, said) = with("mysql://a:b@c/d", &update);
    assert!(said.contains("begins with postgresql://"), "{said}");
    let (done, said) = with(&address, &update);
    assert!(done && !said.contains(password) && !said.contains(words), "{said}");
    let sql = |statement: &str| world.inside(host, &selecting(statement));
    sql(POSTGIS);
    let ssl = "SELECT current_user, current_database(), ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(sql(ssl), "[('the shop', 'old.shop', True)]");

    // A backup needs nothing but the connection; new data a database beside it, which the account may not make, then may.
    let backups = world.home.path().join("managed");
    let backups = backups.to_str().expect("UTF-8");
    world.ok(["backup", "managed", backups]);
    sql("DELETE FROM notes");
    let restore = ["restore", &format!("{backups}/managed"), "managed", "-y"];
    let said = world.fails(1, restore);
    assert!(said.contains("The account the shop may make no databases"), "{said}");
    superuser(world, "ALTER ROLE \\\"the shop\\\" CREATEDB");
    // PostGIS is made in the new database by whoever may: here that is nobody but a superuser.
    superuser(world, "ALTER ROLE \\\"the shop\\\" SUPERUSER");
    world.ok(restore);
    assert_eq!(sql("SELECT current_database(), count(*) FROM notes"), "[('old.shop.3', 500)]");
    let node_of = "SELECT datname FROM pg_database WHERE datname ~ '^old.shop' ORDER BY 1";
    assert_eq!(superuser(world, node_of), "old.shop\nold.shop.3", "what was there before stays");
    let (done, said) = with(&address.replace("old.shop?", "other?"), &["update", app.path_str(), "--force"]);
    assert!(
        !done && said.contains("The data of managed in postgresql are on postgresql://127.0.0.1:/old.shop"),
        "{said}"
    );
    world.ok(["remove", "managed", "--with-data", "-y"]);
    assert_eq!(superuser(world, node_of), "old.shop");
    let left =
        world.node_script("grep -rlF 'db%27s' /var/lib/cloudtool /etc/cloudtool /var/log/cloudtool || echo none");
    assert_eq!(left, "none");
    superuser(world, "DROP DATABASE \\\"old.shop\\\"");
    superuser(world, "DROP ROLE \\\"the shop\\\"");
    world.ok(["remove", "managed-server", "--with-data", "-y"]);
}

/// Runs scripts of the service as a restore does, with a dump in which one statement is another one.
const LOADS: &str = r#"
ELSEWHERE=/var/lib/cloudtool/secrets/apart/postgresql/elsewhere.2.json
forged() {
    python3 -c '
import sys
dump = open("/tmp/dump", "rb").read()
at = dump.index(b"CREATE VIEW public.forged AS")
end = dump.index(b";", at)
sys.stdout.buffer.write(dump[:at] + sys.argv[1].encode().ljust(end - at) + dump[end:])' "$1"
}
load() {
    fresh postgresql apart apart.9
    forged "$1" | svc postgresql load apart apart.9 2>&1
}
"#;

/// Whatever a dump has the server do: it is done by somebody who knows the new database alone, and who is gone afterwards.
fn a_dump_reaches_nothing_but_its_share(world: &World, address: &str) {
    let there = |text: &str| World::script(world.ssh_to("root", address), &format!("{FUNCTIONS}{LOADS}{text}"));
    let room = "room".repeat(15);
    let view = format!("CREATE VIEW forged AS SELECT 1 AS \"{room}\", 2 AS \"{}\"", room.to_uppercase());
    World::inside_at(address, HOST, &selecting(&view));
    there("svc postgresql dump apart apart.2 >/tmp/dump");
    let about_the_app = "SELECT datconnlimit, datname, pg_get_userbyid(datdba), datacl FROM pg_database WHERE datname = 'apart.2'; \
        SELECT rolname, rolcanlogin, rolconnlimit, rolpassword FROM pg_authid WHERE rolname ~ '^apart'; \
        SELECT * FROM pg_db_role_setting; SELECT roleid, member FROM pg_auth_members";
    let before = superuser(world, about_the_app);
    for evil in ["DROP DATABASE \"apart.2\" WITH (FORCE)", "ALTER ROLE apart PASSWORD 'mine'", "SET ROLE apart"] {
        let said = there(&format!("load '{}' || svc postgresql drop apart apart.9", evil.replace('\'', "'\\''")));
        assert!(said.starts_with("the dump could not be loaded: "), "{evil}: {said}");
        assert_eq!(superuser(world, about_the_app), before, "{evil}");
    }
    // What it may do to itself goes with it, and what it has made is the app's.
    for own in [
        "ALTER ROLE CURRENT_USER SET search_path = 'nothing'",
        "CREATE TABLE public.reached AS SELECT current_user AS who",
    ] {
        assert_eq!(there(&format!("load '{}'", own.replace('\'', "'\\''"))), "");
        assert_eq!(superuser(world, about_the_app), before, "{own}");
    }
    let who = "SELECT who || ' ' || tableowner FROM public.reached, pg_tables WHERE tablename = 'reached'";
    let seen = world.node_script(&format!("cd / && runuser -u postgres -- psql -p 5432 -d apart.9 -Atc \"{who}\""));
    assert_eq!(seen, "apart.loader apart");
    there("svc postgresql drop apart apart.9; rm /tmp/dump /tmp/facts");
    World::inside_at(address, HOST, &selecting("DROP VIEW forged"));
}
