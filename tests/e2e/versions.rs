//! Data go to a node with a newer distribution, and with it to newer database servers: by a backup, a copy and a move.
//!
//! PostgreSQL 15 to 17 with PostGIS, MariaDB 10.11 to 11.8: Debian 12 to 13.

use crate::Test;
use crate::world::{App, World, address_of};

pub const TESTS: &[Test] = &[("data_go_to_newer_servers", data_go_to_newer_servers)];

const ELDER: &str = "e2e-elder";
const NEWER: &str = "e2e-newer";
const SERVICES: &str = "service.postgis =\nservice.mysql =\nservice.files =\n";

/// The first random database that has all kinds of things in it, and everything MariaDB has.
const FILL: &str = r#"
python3 /tmp/random_database.py 1 >/tmp/random.sql
password() { cat "/var/lib/cloudtool/secrets/elder/$1/password"; }
PGPASSWORD=$(password postgresql) psql -XqAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -U elder -d elder -f /tmp/random.sql >/dev/null 2>&1
MYSQL_PWD=$(password mysql) mariadb --no-defaults --default-character-set=utf8mb4 --skip-ssl -BN -h 127.0.0.1 -u elder elder </tmp/mysql.sql
head -c 3000000 /dev/urandom >/srv/cloudtool/apps/elder/data/files/noise
"#;

/// All that is in the databases and files of `$app`, in words that no server's version changes.
const CONTENT: &str = r#"
psql() { runuser -u postgres -- psql -XAtq -p 5432 "$@"; }
share=$(psql -c "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = '$app'")
psql -d "$share" <<'SQL'
CREATE TEMPORARY VIEW own AS
SELECT c.oid, nspname, relname, relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE pg_get_userbyid(relowner) <> 'postgres' AND nspname !~ '^pg_';
SELECT relname, query_to_xml(format(
    'SELECT count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"), chr(10))) FROM %I.%I t',
    nspname, relname), true, true, '')
  FROM own WHERE relkind IN ('r', 'm', 'p') ORDER BY relname COLLATE "C";
SELECT relkind, relname FROM own ORDER BY 1, relname COLLATE "C";
SELECT sequencename, last_value FROM pg_sequences ORDER BY sequencename COLLATE "C";
SELECT md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1;
SELECT proname FROM pg_proc WHERE pg_get_userbyid(proowner) <> 'postgres' ORDER BY proname COLLATE "C";
SELECT extname FROM pg_extension ORDER BY extname COLLATE "C";
SQL
mariadb-dump --no-create-info --hex-blob --skip-comments --compact --skip-extended-insert --skip-triggers "$share" | grep ^INSERT | LC_ALL=C sort | sha256sum
mariadb -BN "$share" -e "SELECT f(1), COUNT(*) FROM seen_twice; SHOW TABLES"
mariadb -BN "$share" -e "SHOW TRIGGERS" | cut -f 1-3
find /srv/cloudtool/apps/$app/data/files* -type f -exec sha256sum {} + | sed 's, .*/, ,'
"#;

fn content(world: &World, address: &str, app: &str) -> String {
    World::script(world.ssh_to("root", address), &format!("app={app}\n{CONTENT}"))
}

fn servers(world: &World, address: &str) -> String {
    let script = "runuser -u postgres -- psql -XAtc 'SHOW server_version' | cut -d. -f1\nmariadb -BNe 'SELECT VERSION()' | cut -d. -f1-2\n";
    World::script(world.ssh_to("root", address), script)
}

fn data_go_to_newer_servers(world: &World) {
    let old = address_of(&world.create_node(ELDER, "debian-12"));
    let newer = address_of(&world.create_node(NEWER, "debian-13"));
    let on_old = |script: &str| World::script(world.ssh_to("root", &old), script);
    let elder = App::obeying("elder", SERVICES);
    world.ok(["update", elder.path_str(), "--host", "elder.test", "--node", ELDER]);
    for (path, text) in [
        ("/tmp/random_database.py", include_str!("random_database.py")),
        ("/tmp/mysql.sql", include_str!("mysql_database.sql")),
    ] {
        on_old(&format!("cat >{path} <<'END_OF_FILE'\n{text}\nEND_OF_FILE\n"));
    }
    on_old(FILL);
    let before = content(world, &old, "elder");
    assert!(before.lines().count() > 30, "{before}");
    let place = world.home.path().join("backups");
    world.ok(["backup", "elder", place.to_str().expect("UTF-8")]);

    let younger = App::obeying("younger", SERVICES);
    world.ok(["update", younger.path_str(), "--host", "younger.test", "--node", NEWER]);
    println!("{} to {}", servers(world, &old).replace('\n', ", "), servers(world, &newer).replace('\n', ", "));
    assert_ne!(servers(world, &newer), servers(world, &old));
    world.ok(["restore", &format!("{}/elder", place.display()), "younger", "--other-app", "-y"]);
    assert_eq!(content(world, &newer, "younger"), before);
    world.ok(["clone-app", "elder", "eldest", "--node", NEWER, "--host", "eldest.test"]);
    assert_eq!(content(world, &newer, "eldest"), before);
    world.ok(["move-app", "elder", "--node", NEWER]);
    assert_eq!(content(world, &newer, "elder"), before);
    world.ok(["verify-backup", &format!("{}/elder", place.display())]);
    world.ok(["remove", "elder", "--with-data", "-y", "--node", ELDER]);

    // And not back: a dump of a newer server is refused before anything changes.
    world.ok(["backup", "younger", place.to_str().expect("UTF-8")]);
    world.ok(["update", elder.path_str(), "--host", "again.test", "--node", ELDER]);
    let said = world.fails(1, ["restore", &format!("{}/younger", place.display()), "again.test", "--other-app", "-y"]);
    assert!(said.contains("the dump was made by a newer PostgreSQL than the "), "{said}");
    for (app, node) in [("elder", ELDER), ("elder", NEWER), ("eldest", NEWER), ("younger", NEWER)] {
        world.ok(["remove", app, "--with-data", "-y", "--node", node]);
    }
}
