//! What the databases' scripts promise: a share of the app's own, a dump that loads into any share of any app as it was, and no
//! more rights for what is in a dump than its app has.
//!
//! The scripts are run by themselves here, with the environment of docs/architecture.md: which share is filled and when it is
//! switched to is the node program's. `CLOUDTOOL_E2E_ROUNDS` says how many random databases are dumped and loaded.

use crate::Test;
use crate::faults::rounds;
use crate::service_scripts::Share;
use crate::small_disk::SmallDisk;
use crate::whole::await_that;
use crate::world::{App, World, assert_success, both};

pub const TESTS: &[Test] = &[
    ("an_app_has_a_mysql_database_of_its_own", an_app_has_a_mysql_database_of_its_own),
    ("mysql_is_left_alone_by_the_next_update", mysql_is_left_alone_by_the_next_update),
    ("a_mysql_dump_loads_into_another_app", a_mysql_dump_loads_into_another_app),
    ("random_postgresql_dumps_load_into_another_app", random_postgresql_dumps_load_into_another_app),
    ("no_dump_has_a_superusers_rights", no_dump_has_a_superusers_rights),
    ("a_forged_dump_does_not_reach_the_share_in_use", a_forged_dump_does_not_reach_the_share_in_use),
    ("a_forged_mysql_dump_does_not_reach_the_share_in_use", a_forged_mysql_dump_does_not_reach_the_share_in_use),
    ("damaged_and_foreign_dumps_are_refused", damaged_and_foreign_dumps_are_refused),
    ("mariadb_starts_again_after_a_full_disk", mariadb_starts_again_after_a_full_disk),
    ("drop_and_remove_leave_nothing", drop_and_remove_leave_nothing),
];

/// The names differ where a right of MariaDB's for `led_ger` would hold for both, were `_` not escaped.
const ONE: &str = "led_ger";
const TWO: &str = "ledxger";

/// Two apps with all databases. Deployed once: the next time nothing has changed.
fn apps(world: &World) -> (App, App) {
    let one = App::obeying(ONE, "service.postgis =\nservice.mysql =\n");
    let two = App::obeying_php(TWO, "service.postgis =\nservice.mysql =\n");
    world.ok(["update", one.path_str(), "--host", "one.ledger.test"]);
    world.ok(["update", two.path_str(), "--host", "two.ledger.test"]);
    (one, two)
}

/// Shell functions: `svc SERVICE SCRIPT APP SHARE` runs a script as the node program does, `fresh SERVICE APP SHARE` makes
/// the share anew, `as_one` and `as_root` are sessions of the databases.
/// `ELSEWHERE` names the file about a share that is on another node.
pub const FUNCTIONS: &str = r#"
cd /tmp
svc() {
    env -i PATH="$PATH" HOME=/root LANG=C.UTF-8 PYTHONPATH=/usr/local/lib/cloudtool/common CLOUDTOOL_SERVICE="$1" CLOUDTOOL_APP="$3" CLOUDTOOL_APP_USER="ct-$3" \
        CLOUDTOOL_PLATFORM=python CLOUDTOOL_SHARE="$4" CLOUDTOOL_SERVICES="${SERVICES:-mysql postgresql postgis}" \
        CLOUDTOOL_SERVICE_VALUE= CLOUDTOOL_FACTS=/tmp/facts CLOUDTOOL_SERVICE_SETTINGS="/run/cloudtool/services/$1.json" \
        CLOUDTOOL_SERVICE_SECRETS="/var/lib/cloudtool/secrets/$3/$1" CLOUDTOOL_LOGIN="$3" \
        CLOUDTOOL_SERVICE_PASSWORD="/var/lib/cloudtool/secrets/$3/$1/password" \
        CLOUDTOOL_SERVICE_PASSWORDS="/var/lib/cloudtool/secrets/$3/$1/password" \
        CLOUDTOOL_SERVICE_NODE_SECRETS="/var/lib/cloudtool/secrets/_node/$1" \
        ${ELSEWHERE:+"CLOUDTOOL_SERVICE_ELSEWHERE=$ELSEWHERE"} "/usr/local/lib/cloudtool/services/$1/$2"
}
fresh() {
    svc "$1" drop "$2" "$3"
    svc "$1" provision "$2" "$3" >/dev/null
}
password() { cat "/var/lib/cloudtool/secrets/$1/$2/password"; }
pg_as() { # APP SHARE ARGUMENTS: psql as the app
    app=$1 share=$2; shift 2
    PGPASSWORD=$(password "$app" postgresql) psql -XqAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -U "$app" -d "$share" "$@"
}
my_as() { # APP SHARE ARGUMENTS: mariadb as the app
    app=$1 share=$2; shift 2
    MYSQL_PWD=$(password "$app" mysql) mariadb --no-defaults --default-character-set=utf8mb4 --skip-ssl -BN -h 127.0.0.1 -u "$app" "$@" "$share"
}
pg_root() { runuser -u postgres -- psql -XAtq -p 5432 "$@"; }
"#;

fn script(world: &World, text: &str) -> String {
    world.node_script(&format!("{FUNCTIONS}{text}"))
}

/// A share by its name, `APP.N`.
fn share<'a>(world: &'a World, service: &'a str, share: &'a str) -> Share<'a> {
    Share { world, service, app: share.split('.').next().expect("a name"), share }
}

fn an_app_has_a_mysql_database_of_its_own(world: &World) {
    let _apps = apps(world);
    let python = "import os, MySQLdb\nfrom urllib.parse import urlsplit\ne = os.environ\nurl = urlsplit(e['CONFIG_MYSQL_SQLALCHEMY'])
assert (url.scheme, url.username, url.password, url.port, url.query) == ('mysql+mysqldb', e['CONFIG_MYSQL_USER'], e['CONFIG_MYSQL_PASSWORD'], 3306, 'charset=utf8mb4')
db = MySQLdb.connect(host=e['CONFIG_MYSQL_HOST'], port=int(e['CONFIG_MYSQL_PORT']), user=e['CONFIG_MYSQL_USER'], passwd=e['CONFIG_MYSQL_PASSWORD'], db=e['CONFIG_MYSQL_DBNAME'], charset='utf8mb4')
c = db.cursor()\nc.execute('CREATE TABLE IF NOT EXISTS mine (t TEXT)')\nc.execute('DELETE FROM mine')\nc.execute('INSERT INTO mine VALUES (%s)', ['😀'])\ndb.commit()
c.execute('SELECT t, @@character_set_database, CURRENT_USER() FROM mine')\nprint(*c.fetchone())\nc.execute('SHOW DATABASES')\nprint(*sorted(r[0] for r in c))
for name in ['ledxger', 'mysql', 'led.ger']:
    for what in ['SELECT * FROM `%s`.mine', 'CREATE TABLE `%s`.stolen (a INT)', 'CREATE DATABASE `%s`', 'USE `%s`']:
        try:
            c.execute(what % name)
            print('let in:', what % name)
        except MySQLdb.Error as error:
            assert error.args[0] in (1044, 1142), error
for secret in ['', 'root', e['CONFIG_MYSQL_PASSWORD']]:
    for user in ['ledxger', 'root', 'mysql', '']:
        for host in ['127.0.0.1', 'localhost']:
            try:
                MySQLdb.connect(host=host, user=user, passwd=secret)
                print('logged in as', user, 'on', host)
            except MySQLdb.OperationalError:
                pass
print(e['DATABASE_URL'].split(':')[0])";
    assert_eq!(
        world.inside("one.ledger.test", python),
        "😀 utf8mb4 led_ger@127.0.0.1\ninformation_schema led_ger\npostgresql"
    );
    let php = "$p = new PDO('mysql:host=' . getenv('CONFIG_MYSQL_HOST') . ';charset=utf8mb4;dbname=' . getenv('CONFIG_MYSQL_DBNAME'), getenv('CONFIG_MYSQL_USER'), getenv('CONFIG_MYSQL_PASSWORD')); echo $p->query('SELECT CURRENT_USER()')->fetchColumn();";
    assert_eq!(world.inside("two.ledger.test", php), "ledxger@127.0.0.1");
    // The only database of an app gives the URL; beside PostgreSQL it does not.
    let url = script(world, "SERVICES='files mysql' svc mysql provision ledxger ledxger | grep '^DATABASE_URL'");
    assert!(
        url.starts_with("DATABASE_URL=mysql://ledxger:") && url.ends_with("@127.0.0.1:3306/ledxger?charset=utf8mb4")
    );
    let both = script(world, "svc mysql provision ledxger ledxger | grep -c '^DATABASE_URL' || true");
    assert_eq!(both, "0");
    assert_eq!(world.node_script("ss -Hltn 'sport = 3306' | awk '{print $4}'"), "127.0.0.1:3306");
    let running = world.node_script("tr '\\0' '\\n' </proc/*/cmdline 2>/dev/null | cat");
    let secrets = script(world, "password led_ger mysql; password ledxger mysql");
    assert!(secrets.lines().all(|secret| !running.contains(secret)));
    // What somebody else has made is not taken over.
    for (make, unmake) in [
        ("CREATE DATABASE \\`led_ger.9\\`", "DROP DATABASE \\`led_ger.9\\`"),
        ("CREATE USER stranger@127.0.0.1 IDENTIFIED BY \"x\"", "DROP USER stranger@127.0.0.1"),
    ] {
        let app = if make.contains("USER") { "stranger stranger" } else { "led_ger led_ger.9" };
        let said = script(
            world,
            &format!(
                "mkdir -p /var/lib/cloudtool/secrets/stranger/mysql; echo y >/var/lib/cloudtool/secrets/stranger/mysql/password
                 mariadb -e '{}'; svc mysql provision {app} 2>&1 && echo taken; mariadb -e '{}'; rm -r /var/lib/cloudtool/secrets/stranger",
                make.replace('\\', ""),
                unmake.replace('\\', "")
            ),
        );
        assert!(said.contains("exists already and was not made by cloudtool") && !said.contains("taken"), "{said}");
    }
}

fn mysql_is_left_alone_by_the_next_update(world: &World) {
    let (one, _two) = apps(world);
    let looks = "find /var/lib/cloudtool/secrets/led_ger /etc/mysql /var/lib/cloudtool/services -type f -not -path '*/.releases/*' -exec stat -c '%n %i %y' {} + | sort
        systemctl show -p ExecMainStartTimestampMonotonic --value mariadb; mariadb -BNe 'SELECT * FROM mysql.global_priv; SELECT * FROM mysql.db'";
    let before = world.node_script(looks);
    let one = one.file("more.txt", "another release\n");
    let output = world.cloudtool(["update", one.path_str(), "--json"]);
    assert_success(&output);
    let said = both(&output);
    let step = said.lines().find(|line| line.contains("\"services\"") && line.contains("\"done\"")).expect("the step");
    println!("postgis and mysql, nothing to do: {step}");
    assert_eq!(world.node_script(looks), before);
}

/// Everything that MariaDB has and a dump must bring over.
const MYSQL: &str = include_str!("mysql_database.sql");

fn a_mysql_dump_loads_into_another_app(world: &World) {
    let _apps = apps(world);
    script(world, &format!("fresh mysql led_ger led_ger.2\nmy_as led_ger led_ger.2 <<'SQL'\n{MYSQL}\nSQL"));
    let (dump, facts) = share(world, "mysql", "led_ger.2").dump();
    assert!(facts["version"].as_str().expect("a text").starts_with("MariaDB 1"), "{facts}");
    let expected = serde_json::json!({
        "kinds": 3, "empty": 0, "odd `\"ä.name": 2, "parent": 1, "child": 1, "versioned": 1, "parts": 3, "latin": 1,
        "exotic": 1, "memory": 1, "aria": 1, "myisam": 3, "big": 1
    });
    assert_eq!(facts["counts"], expected);
    for name in ["ledxger.2", "led_ger.3"] {
        let share = share(world, "mysql", name);
        let app = share.app;
        script(world, &format!("fresh mysql {app} {name}"));
        share.ok("load", &dump);
        assert_eq!(share.count(), facts);
        // As a dump of each says it, but for the names of the databases and of the one who has defined all.
        let compared = script(
            world,
            &format!(
                r#"
plain() {{
    mariadb-dump --skip-dump-date --routines --events --hex-blob "$1" |
        sed -e 's/DEFINER=`led_ger`@/DEFINER=`{app}`@/' -e '/^-- .* for database/d' -e '/^-- Host/d' >"/tmp/$1.sql"
}}
plain led_ger.2; plain {name}
cmp /tmp/led_ger.2.sql /tmp/{name}.sql
wc -c </tmp/{name}.sql
"#
            ),
        );
        assert!(compared.parse::<u64>().expect("a size") > 2_000_000, "{compared}");
        let defaults = script(
            world,
            &format!("my_as {app} {name} -e 'SELECT @@collation_database, f(1), (SELECT COUNT(*) FROM seen_twice)'"),
        );
        assert_eq!(defaults, "utf8mb4_bin\t2\t3");
    }
}

fn random_postgresql_dumps_load_into_another_app(world: &World) {
    let _apps = apps(world);
    let generator = include_str!("random_database.py");
    world.node_script(&format!("cat >/tmp/random_database.py <<'PYTHON'\n{generator}\nPYTHON"));
    for seed in 0..rounds(2) {
        let said = script(
            world,
            &format!(
                r#"
for share in led_ger.2 ledxger.2; do fresh postgresql ${{share%.*}} $share; svc postgis provision ${{share%.*}} $share; done
python3 /tmp/random_database.py {seed} >/tmp/random.sql
pg_as led_ger led_ger.2 -f /tmp/random.sql >/dev/null 2>/tmp/said || {{ cat /tmp/said; exit 1; }}
svc postgresql dump led_ger led_ger.2 | svc postgresql load ledxger ledxger.2
svc postgresql count ledxger ledxger.2 | python3 -c 'import json, sys; assert json.load(sys.stdin) == json.load(open("/tmp/facts")), "counts"'
for share in led_ger.2 ledxger.2; do
    runuser -u postgres -- pg_dump -p 5432 --no-owner --no-privileges $share | grep -Ev '^.(un)?restrict ' >/tmp/$share.sql
    pg_root -d $share -c "SELECT unnest(setconfig) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = '$share'" >>/tmp/$share.sql
done
cmp /tmp/led_ger.2.sql /tmp/ledxger.2.sql
wc -c </tmp/ledxger.2.sql
pg_root -d ledxger.2 -c "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'S', 'i') AND pg_get_userbyid(relowner) NOT IN ('postgres', 'ledxger')"
"#
            ),
        );
        let (size, strangers) = said.split_once('\n').expect("two lines");
        assert!(size.trim().parse::<u64>().expect("a size") > 5000, "seed {seed}: {said}");
        assert_eq!(strangers, "0", "seed {seed}: all of it is the app's");
    }
}

fn no_dump_has_a_superusers_rights(world: &World) {
    let _apps = apps(world);
    let hostile = r#"
CREATE TABLE ran (who text, superuser text);
CREATE FUNCTION note() RETURNS void LANGUAGE plpgsql AS $$
DECLARE became text := 'no';
BEGIN
    BEGIN
        EXECUTE 'ALTER ROLE ledxger SUPERUSER';
        became := 'yes';
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
    INSERT INTO public.ran SELECT current_user, became || rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user;
END $$;
CREATE FUNCTION evil(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM public.note(); RETURN $1; END';
CREATE TABLE bait (id integer CHECK (evil(id) > 0));
INSERT INTO bait VALUES (1), (2);
CREATE INDEX ON bait (evil(id));
CREATE MATERIALIZED VIEW view AS SELECT evil(3);
"#;
    let said = script(
        world,
        &format!(
            r#"
fresh postgresql led_ger led_ger.2; fresh postgresql ledxger ledxger.2
pg_as led_ger led_ger.2 <<'SQL'
{hostile}
SQL
svc postgresql dump led_ger led_ger.2 >/tmp/ledger.dump
svc postgresql load ledxger ledxger.2 </tmp/ledger.dump
pg_as ledxger ledxger.2 -c "SELECT DISTINCT who, superuser FROM ran WHERE who <> 'led_ger'"
pg_root -c "SELECT bool_or(rolsuper OR rolcreaterole OR rolcreatedb) FROM pg_roles WHERE rolname ~ '^led'"
"#
        ),
    );
    assert_eq!(said, "ledxger.2.loader|nofalse\nf");
    // MariaDB's client has commands of its own: none of them is obeyed, and no other app's database is reached.
    script(world, "my_as ledxger ledxger -e 'CREATE OR REPLACE TABLE kept (a INT)'");
    for evil in [
        r"\! touch /tmp/evil",
        "system touch /tmp/evil",
        r"\T /tmp/evil",
        "source /etc/passwd",
        "CREATE TABLE t (a TEXT); LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t;",
        "SELECT 1 INTO OUTFILE '/tmp/evil';",
        "DROP TABLE ledxger.kept;",
        "CREATE DEFINER=root@localhost VIEW v AS SELECT 1;",
        "SET GLOBAL event_scheduler = ON;",
    ] {
        script(world, "fresh mysql led_ger led_ger.2");
        let dump = format!("-- cloudtool: a dump of MariaDB 10.11.0\n{evil}\n-- Dump completed\n");
        let said = share(world, "mysql", "led_ger.2").fails("load", dump.as_bytes());
        assert!(said.starts_with("the dump, of MariaDB 10.11.0, could not be loaded"), "{evil}: {said}");
    }
    assert_eq!(script(world, "ls /tmp/evil 2>/dev/null || true; my_as ledxger ledxger -e 'SHOW TABLES'"), "kept");
}

/// Statements in the place of one that pg_dump has written.
fn a_forged_dump_does_not_reach_the_share_in_use(world: &World) {
    let _apps = apps(world);
    let room = "room".repeat(100);
    let live = "pg_as led_ger led_ger";
    script(
        world,
        &format!(
            "fresh postgresql led_ger led_ger.2; pg_as led_ger led_ger.2 -c 'CREATE VIEW forged AS SELECT 1 AS \"{}\", 2 AS \"{}\"'
             {live} -c 'CREATE TABLE precious AS SELECT 1 AS a'",
            &room[..60],
            &room[1..61],
        ),
    );
    let (whole, _) = share(world, "postgresql", "led_ger.2").dump();
    let begins = b"CREATE VIEW public.forged AS";
    let at = whole.windows(begins.len()).position(|window| window == begins).expect("the view is in the dump");
    let end = at + whole[at..].iter().position(|byte| *byte == b';').expect("its statement ends");
    let forge = |sql: &str| {
        let mut dump = whole.clone();
        dump[at..end].fill(b' ');
        dump[at..at + sql.len()].copy_from_slice(sql.as_bytes());
        dump
    };
    let about_the_app = "pg_root -c \"SELECT datconnlimit, datname, pg_get_userbyid(datdba), datacl FROM pg_database WHERE datname = 'led_ger'\" \
        -c \"SELECT rolname, rolcanlogin, rolconnlimit, rolpassword FROM pg_authid WHERE rolname ~ '^led_ger' AND rolname <> 'led_ger.reader'\" \
        -c 'SELECT * FROM pg_db_role_setting' -c 'SELECT * FROM pg_auth_members'";
    let before = script(world, about_the_app);
    let mut session = world.ssh();
    let held = format!("{FUNCTIONS}{live} -c 'SELECT 1, pg_sleep(600)'");
    let mut held = session.arg(format!("sh -c '{}'", held.replace('\'', "'\\''"))).spawn().expect("ssh starts");
    let is_held =
        "pg_root -c \"SELECT count(*) FROM pg_stat_activity WHERE usename = 'led_ger' AND query ~ 'pg_sleep'\"";
    await_that("the app is logged in", || (script(world, is_held) == "1").then_some(()));
    let target = share(world, "postgresql", "led_ger.3");
    for evil in [
        "DROP DATABASE led_ger WITH (FORCE)",
        "ALTER DATABASE led_ger CONNECTION LIMIT 0",
        "ALTER DATABASE led_ger SET default_transaction_read_only = on",
        "ALTER DATABASE led_ger OWNER TO CURRENT_USER",
        "GRANT CONNECT ON DATABASE led_ger TO PUBLIC",
        "ALTER ROLE led_ger PASSWORD 'mine'",
        "ALTER ROLE led_ger SET search_path = 'nothing'",
        "GRANT led_ger TO CURRENT_USER",
        "SET ROLE led_ger",
        "DROP OWNED BY led_ger",
        "SELECT 1 / count(nullif(pg_terminate_backend(pid), false)) FROM pg_stat_activity WHERE usename = 'led_ger'",
    ] {
        script(world, "fresh postgresql led_ger led_ger.3");
        let said = target.fails("load", &forge(evil));
        assert!(said.starts_with("the dump could not be loaded: "), "{evil}: {said}");
        assert_eq!(script(world, about_the_app), before, "{evil}");
    }
    assert_eq!(script(world, &format!("{is_held}; {live} -c 'SELECT a FROM precious'")), "1\n1");
    script(world, "pg_root -c \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'led_ger'\"");
    let _ = held.wait();
    // That such a statement is run at all, and where.
    script(world, "fresh postgresql led_ger led_ger.3");
    target.ok("load", &forge("CREATE TABLE public.reached AS SELECT current_user AS who"));
    assert_eq!(script(world, "pg_as led_ger led_ger.3 -c 'SELECT who FROM reached'"), "led_ger.3.loader");
    script(world, &format!("svc postgresql drop led_ger led_ger.3; {live} -c 'DROP TABLE precious'"));
    assert_eq!(script(world, about_the_app), before);
}

/// Whatever MariaDB is told in a dump: it is told by somebody who knows the new database alone, and who is nobody afterwards.
fn a_forged_mysql_dump_does_not_reach_the_share_in_use(world: &World) {
    let _apps = apps(world);
    script(world, "my_as led_ger led_ger -e 'CREATE OR REPLACE TABLE precious SELECT 1 AS a'");
    let about_the_app = "mariadb -BNe \"SELECT * FROM mysql.global_priv WHERE User LIKE 'led%'; SELECT * FROM mysql.db WHERE User LIKE 'led%' ORDER BY 1, 2, 3\"
        my_as led_ger led_ger -e 'SELECT a FROM precious'";
    script(world, "fresh mysql led_ger led_ger.3");
    let before = script(world, about_the_app);
    let target = share(world, "mysql", "led_ger.3");
    for evil in [
        "DROP TABLE led_ger.precious;",
        "UPDATE led_ger.precious SET a = 2;",
        "CREATE VIEW peek AS SELECT * FROM led_ger.precious;",
        "DROP DATABASE led_ger;",
        "SET PASSWORD FOR led_ger@127.0.0.1 = PASSWORD('mine');",
        "ALTER USER led_ger@127.0.0.1 IDENTIFIED BY 'mine';",
        "ALTER USER led_ger@127.0.0.1 ACCOUNT LOCK;",
        "GRANT ALL PRIVILEGES ON `led_ger.3`.* TO ledxger@127.0.0.1;",
        "CREATE DEFINER=led_ger@127.0.0.1 PROCEDURE p() DROP TABLE led_ger.precious;",
        "KILL USER led_ger@127.0.0.1; SELECT a FROM nowhere;",
        "CREATE EVENT soon ON SCHEDULE AT NOW() DO DROP TABLE led_ger.precious; CALL nowhere;",
    ] {
        let dump = format!("-- cloudtool: a dump of MariaDB 10.11.0\n{evil}\n-- Dump completed\n");
        let said = target.fails("load", dump.as_bytes());
        assert!(said.starts_with("the dump, of MariaDB 10.11.0, could not be loaded"), "{evil}: {said}");
        assert_eq!(script(world, about_the_app), before, "{evil}");
    }
    // What a body says is not run when it becomes the app's, whatever it looks like.
    let trick = "CREATE TABLE t (a INT, b TEXT DEFAULT (CURRENT_USER()));
INSERT INTO t (a) VALUES (1);
DELIMITER ;;
CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.a = 2; /* \\*/ DROP TABLE led_ger.precious */ END;;
CREATE PROCEDURE p() SQL SECURITY INVOKER BEGIN SELECT '\\'; END; DROP TABLE led_ger.precious; --'; END;;
DELIMITER ;
";
    let dump = format!("-- cloudtool: a dump of MariaDB 10.11.0\n{trick}-- Dump completed\n");
    let said = String::from_utf8_lossy(&target.run("load", dump.as_bytes()).stderr).into_owned();
    assert!(said.starts_with("the dump, of MariaDB 10.11.0, could not be loaded"), "{said}");
    assert_eq!(script(world, about_the_app), before);
    script(world, "fresh mysql led_ger led_ger.3");
    let dump = format!(
        "-- cloudtool: a dump of MariaDB 10.11.0\n{}-- Dump completed\n",
        trick.lines().filter(|line| !line.contains("precious")).map(|line| format!("{line}\n")).collect::<String>()
            + "CREATE VIEW who AS SELECT b FROM t;\n"
    );
    target.ok("load", dump.as_bytes());
    let loaded = "my_as led_ger led_ger.3 -e \"SELECT b FROM who; SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'led_ger.3'\"";
    assert_eq!(script(world, loaded), "led_ger.3.loader@127.0.0.1\nled_ger@127.0.0.1");
    script(world, "svc mysql drop led_ger led_ger.3; my_as led_ger led_ger -e 'DROP TABLE precious'");
}

fn damaged_and_foreign_dumps_are_refused(world: &World) {
    let _apps = apps(world);
    let fill = r#"
fresh postgresql led_ger led_ger.2; fresh mysql led_ger led_ger.2
pg_as led_ger led_ger.2 -c "CREATE TABLE notes AS SELECT n, repeat('x', 1000) FROM generate_series(1, 500) n; SELECT lo_from_bytea(0, 'abc')" >/dev/null
my_as led_ger led_ger.2 -e "CREATE TABLE notes (n INT, t TEXT); INSERT INTO notes SELECT seq, REPEAT('x', 1000) FROM seq_1_to_500"
"#;
    script(world, fill);
    for service in ["postgresql", "mysql"] {
        let (whole, _) = share(world, service, "led_ger.2").dump();
        let target = share(world, service, "led_ger.3");
        let mut version = whole.clone();
        version[6] = 99; // of the format of PostgreSQL's archives; a letter of the first line of MariaDB's
        let mut magic = whole.clone();
        magic[0] ^= 1;
        let mut end = whole.clone();
        *end.last_mut().expect("it is not empty") ^= 1;
        let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let refused = |what: &str, dump: &[u8]| {
            let said = target.fails("load", dump);
            let ours = [
                "this is no dump of a",
                "the dump could not be loaded: ",
                "the dump, of MariaDB ",
                "the dump was made by a newer",
            ];
            assert!(ours.iter().any(|ours| said.starts_with(ours)), "{service}, {what}: {said}");
        };
        let fresh = || script(world, &format!("fresh {service} led_ger led_ger.3"));
        fresh();
        refused("nothing", &[]);
        refused("noise", &noise);
        refused("a flipped bit at the beginning", &magic);
        refused("another version", &version);
        refused("a hundred bytes", &whole[..100]);
        assert_eq!(target.count()["counts"], serde_json::json!({}), "{service}: nothing was loaded");
        refused("half", &whole[..whole.len() / 2]);
        fresh();
        refused("all but the last byte", &whole[..whole.len() - 1]);
        fresh();
        refused("a flipped bit at the end", &end);
        fresh();
        let loaded = target.run("load", &whole);
        assert_success(&loaded);
        assert_eq!(both(&loaded), "", "{service}: there is nothing to say");
        let notes = if service == "mysql" { "notes" } else { "public.notes" };
        assert_eq!(target.count()["counts"][notes], 500, "{service}");
    }
    // Of a PostgreSQL that is newer than the server: what it is called in the archive's head is all that differs.
    let (mut newer, _) = share(world, "postgresql", "led_ger.2").dump();
    let major = script(world, "pg_root -c 'SHOW server_version' | cut -d. -f1");
    for at in 0..200 {
        if newer[at..].starts_with(major.as_bytes()) && newer[at + major.len()] == b'.' {
            newer[at..at + 2].copy_from_slice(b"99");
        }
    }
    let said = share(world, "postgresql", "led_ger.3").fails("load", &newer);
    assert!(said.starts_with("the dump was made by a newer PostgreSQL than the "), "{said}");
}

/// A table that could not be made makes its crash recovery fail, for all databases of the server: `drop` prevents that.
fn mariadb_starts_again_after_a_full_disk(world: &World) {
    let _apps = apps(world);
    script(world, "fresh mysql led_ger led_ger.2\nmy_as led_ger led_ger.2 -e 'CREATE TABLE kept (n INT, t TEXT)'");
    let (dump, _) = share(world, "mysql", "led_ger.2").dump();
    let server = |verb: &str| world.node_says(["systemctl", verb, "mariadb.service"]);
    server("stop");
    let disk = SmallDisk::under(Box::new(|| world.ssh()), "/mnt/small-disk", 32, &["/var/lib/mysql"]);
    server("start");
    for left_kb in [32, 64] {
        script(world, "fresh mysql led_ger led_ger.3");
        disk.leave(left_kb);
        let said = share(world, "mysql", "led_ger.3").fails("load", &dump);
        disk.free();
        assert!(said.contains("No more room"), "{said}");
        script(world, "svc mysql drop led_ger led_ger.3");
    }
    let pid = world.node_says(["pgrep", "-x", "mariadbd"]);
    world.node_says(["kill", "-KILL", &pid]);
    await_that("MariaDB runs again", || world.on_node(["mariadb", "-e", "'DO 0'"]).status.success().then_some(()));
    server("stop");
    drop(disk);
    server("start");
}

fn drop_and_remove_leave_nothing(world: &World) {
    let _apps = apps(world);
    let what = r#"{ pg_root -c "SELECT 'database ' || datname FROM pg_database WHERE datname ~ '^led'" -c "SELECT 'role ' || rolname FROM pg_roles WHERE rolname ~ '^led'"
mariadb -BNe "SELECT CONCAT('schema ', SCHEMA_NAME) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'led%'; SELECT CONCAT('user ', User) FROM mysql.global_priv WHERE User LIKE 'led%'; SELECT DISTINCT CONCAT('right ', Db) FROM mysql.db WHERE User LIKE 'led%'"; } | sort
"#;
    // A session that uses what is dropped ends.
    let dropped = script(
        world,
        &format!(
            "fresh mysql led_ger led_ger.2
             my_as led_ger led_ger.2 -e 'CREATE TABLE t (a INT); BEGIN; INSERT INTO t VALUES (1); SELECT SLEEP(600)' >/dev/null 2>&1 & held=$!
             until mariadb -BNe 'SHOW PROCESSLIST' | grep -q 'SLEEP(600)'; do :; done
             for service in mysql postgresql; do for share in led_ger.2 led_ger.2 led_ger.3 ledxger.2; do svc $service drop ${{share%.*}} $share; done; done
             ! wait $held\n{what}"
        ),
    );
    let (one, two) = (
        "database led_ger\nrole led_ger\nrole led_ger.reader\nschema led_ger\nuser led_ger",
        "database ledxger\nrole ledxger\nrole ledxger.reader\nschema ledxger\nuser ledxger",
    );
    let mut expected: Vec<&str> =
        one.lines().chain(two.lines()).chain(["right led\\\\_ger", "right ledxger"]).collect();
    expected.sort_unstable();
    assert_eq!(dropped.lines().collect::<Vec<_>>(), expected);
    script(world, "fresh mysql led_ger led_ger.2; fresh postgresql led_ger led_ger.2");
    world.ok(["remove", ONE, "--with-data", "-y"]);
    assert!(!script(world, what).contains("led_ger"));
    world.ok(["remove", TWO, "--with-data", "-y"]);
    assert_eq!(script(world, what), "");
}
