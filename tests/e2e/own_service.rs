//! The service that the book writes in ten minutes: taken from its page, used by apps, backed up and restored.

use std::fs;
use std::path::Path;

use crate::Test;
use crate::http::request;
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[("the_service_of_the_book_works", the_service_of_the_book_works)];

const PAGE: &str = include_str!("../../docs/book/src/writing-a-service.md");

/// The files that the page shows: the block of code after a heading that is a file's name.
fn files() -> Vec<(&'static str, &'static str)> {
    let sections = PAGE.split("\n### `").skip(1);
    let file = |section: &'static str| {
        let (name, rest) = section.split_once("`\n").expect("a name");
        let (_, rest) = rest.split_once("\n```").expect("a block of code");
        let (_, code) = rest.split_once('\n').expect("its first line");
        (name, code.split_once("\n```\n").expect("its end").0)
    };
    sections.map(file).collect()
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    fs::create_dir_all(folder).expect("the folder");
    for (name, code) in files {
        fs::write(folder.join(name), format!("{code}\n")).expect("a file");
    }
}

fn the_service_of_the_book_works(world: &World) {
    let folder = world.home.path().join("services/sqlite");
    let files = files();
    assert_eq!(files.len(), 9, "{:?}", files.iter().map(|file| file.0).collect::<Vec<_>>());
    write(&folder, &files);
    let app = App::obeying("own", "service.sqlite =\n");
    world.ok(["update", app.path_str(), "--host", "own.test"]);
    let neighbour = App::obeying_php("own-php", "service.sqlite =\n");
    world.ok(["update", neighbour.path_str(), "--host", "php.own.test"]);
    let run = |statements: &str| {
        let code = format!(
            "import os, sqlite3\nwith sqlite3.connect(os.environ['CONFIG_SQLITE']) as c:\n    print(*[c.execute(s).fetchall() for s in {statements}])"
        );
        world.inside("own.test", &code)
    };
    run(
        r#"["CREATE TABLE \"odd \"\" name\" (text)", "INSERT INTO \"odd \"\" name\" VALUES ('größer\n;'), (x'00ff'), (NULL)", "CREATE TABLE empty (x)"]"#,
    );
    each_has_its_own(world);
    its_data_come_back(world, run);
    it_goes_along_with_its_app(world, &app, &folder);
    it_goes_along_to_another_node(world, &app);
    for app in ["own", "own-php", "own-copy"] {
        world.ok(["remove", app, "-y", "--with-data"]);
    }
    assert_eq!(
        world.node_script("find /srv/cloudtool /var/lib/cloudtool/secrets/own* -name '*sqlite*' 2>/dev/null || true"),
        ""
    );
    fs::remove_dir_all(world.home.path().join("services")).expect("the folder");
    world.node_script("rm -r /var/lib/cloudtool/own-services /var/lib/cloudtool/secrets/_node/sqlite");
}

fn each_has_its_own(world: &World) {
    let path = "/srv/cloudtool/apps/own/data/sqlite/own.db";
    assert_eq!(world.inside("own.test", "import os; print(os.environ['CONFIG_SQLITE'])"), path);
    let php = |code: &str| {
        world.inside("php.own.test", &format!("try {{ {code} }} catch (Throwable $e) {{ echo get_class($e); }}"))
    };
    let own = "$d = new SQLite3(getenv('CONFIG_SQLITE')); $d->exec('CREATE TABLE t (x)'); echo $d->querySingle('SELECT count(*) FROM sqlite_master');";
    assert_eq!(php(own), "1");
    assert_eq!(php(&format!("new SQLite3('{path}', SQLITE3_OPEN_READONLY); echo 'let in';")), "Exception");
    // A link in the place of the own database: the programs, which are run by root, do not follow it to the neighbour's.
    let led = format!("unlink(getenv('CONFIG_SQLITE')); symlink('{path}', getenv('CONFIG_SQLITE')); echo 'linked';");
    assert_eq!(php(&led), "linked");
    let place = world.home.path().join("backups");
    let said = world.fails(1, ["backup", "own-php", place.to_str().expect("UTF-8")]);
    assert!(said.contains("sqlite") && !said.contains("größer"), "{said}");
    assert_eq!(php("unlink(getenv('CONFIG_SQLITE')); echo 'gone';"), "gone");
}

fn its_data_come_back(world: &World, run: impl Fn(&str) -> String) {
    let place = world.home.path().join("backups");
    let place = place.to_str().expect("UTF-8");
    let all = r#"["SELECT * FROM \"odd \"\" name\""]"#;
    let before = run(all);
    assert_eq!(before, "[('größer\\n;',), (b'\\x00\\xff',), (None,)]");
    world.ok(["backup", "own", place]);
    run(r#"["DROP TABLE \"odd \"\" name\"", "CREATE TABLE later (x)"]"#);
    world.ok(["restore", &format!("{place}/own"), "own", "-y"]);
    assert_eq!(run(all), before);
    assert_eq!(world.node_script("ls /srv/cloudtool/apps/own/data/sqlite"), "own.2.db");
    let verified = world.ok(["verify-backup", &format!("{place}/own")]);
    assert!(verified.contains("3"), "{verified}");
    world.ok(["clear", "own", "-y", "--no-backup"]);
    assert_eq!(run(r#"["SELECT count(*) FROM sqlite_master"]"#), "[(0,)]");
}

/// Somebody without the folder can do all but deploy; a changed folder is a new release; a name is nobody's twice.
fn it_goes_along_with_its_app(world: &World, app: &App, folder: &Path) {
    let away = folder.with_file_name(".sqlite");
    fs::rename(folder, &away).expect("it is moved");
    let said = world.fails(2, ["update", app.path_str()]);
    assert!(said.contains("sqlite"), "{said}");
    world.ok(["setup-node", crate::world::node()]);
    let place = world.home.path().join("backups");
    world.ok(["backup", "own", place.to_str().expect("UTF-8")]);
    fs::rename(&away, folder).expect("it is moved back");
    assert!(both(&world.cloudtool(["update", app.path_str()])).contains("nothing changed"));
    let description = fs::read_to_string(folder.join("service.ini")).expect("service.ini");
    fs::write(folder.join("service.ini"), format!("{description}CONFIG_MORE = More.\n")).expect("written");
    fs::write(
        folder.join("provision"),
        format!("{}print('CONFIG_MORE=more')\n", fs::read_to_string(folder.join("provision")).expect("provision")),
    )
    .expect("written");
    fs::rename(folder.join("check"), folder.join("checked")).expect("it is renamed");
    world.ok(["update", app.path_str()]);
    assert_eq!(world.inside("own.test", "import os; print(os.environ['CONFIG_MORE'])"), "more");
    let there = world.node_script("ls /var/lib/cloudtool/own-services/sqlite | tr '\\n' ' '");
    assert_eq!(there, "checked count drop dump load provision remove service.ini share.py");
    let taken = folder.with_file_name("files");
    fs::rename(folder, &taken).expect("it is renamed");
    let said = world.fails(2, ["validate", app.path_str()]);
    assert!(said.contains("cloudtool has a service of this name"), "{said}");
    fs::rename(&taken, folder).expect("it is renamed back");
}

/// The new node has never heard of the service: a copy, a backup of another node and the app itself arrive there with their data.
fn it_goes_along_to_another_node(world: &World, app: &App) {
    let second = world.second_name();
    let told = |address: &str, host: &str, statement: &str| {
        let code = format!(
            "import os, sqlite3\nwith sqlite3.connect(os.environ['CONFIG_SQLITE']) as c:\n    print(c.execute('{statement}').fetchall())"
        );
        let answer = request(address, "POST", host, "/", "", code.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body.trim().to_owned()
    };
    let all = "SELECT x FROM along";
    told(&world.address, "own.test", "CREATE TABLE along AS SELECT 1 AS x");
    let place = world.home.path().join("backups");
    world.ok(["backup", "own", place.to_str().expect("UTF-8")]);
    world.ok(["clone-app", "own", "own-copy", "--node", &second, "--host", "own-copy.test"]);
    assert_eq!(told(world.second(), "own-copy.test", all), "[(1,)]");
    told(world.second(), "own-copy.test", "DELETE FROM along");
    world.ok(["restore", &format!("{}/own", place.display()), "own-copy", "--other-app", "-y"]);
    assert_eq!(told(world.second(), "own-copy.test", all), "[(1,)]");
    world.ok(["move-app", "own", "--node", &second]);
    assert_eq!(told(world.second(), "own.test", all), "[(1,)]");
    world.ok(["update", app.path_str(), "--force"]);
    world.ok(["remove", "own", "-y", "--with-data", "--node", crate::world::node()]);
    assert_eq!(told(world.second(), "own.test", all), "[(1,)]");
}
