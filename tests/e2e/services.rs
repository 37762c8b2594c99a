//! What services give an app: its own share, the same variables everywhere, and nothing of another app's.

use std::collections::BTreeMap;

use crate::Test;
use crate::http::get;
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[
    ("variables_are_the_same_everywhere", variables_are_the_same_everywhere),
    ("each_app_has_its_own_share_of_services", each_app_has_its_own_share_of_services),
    ("postgresql_asks_for_passwords_on_loopback_only", postgresql_asks_for_passwords_on_loopback_only),
    ("data_outlive_releases_and_an_update_repeats_nothing", data_outlive_releases_and_an_update_repeats_nothing),
    ("writable_root_is_served_and_never_run", writable_root_is_served_and_never_run),
    ("the_book_names_every_file_on_the_node", the_book_names_every_file_on_the_node),
    ("remove_keeps_data_unless_told_otherwise", remove_keeps_data_unless_told_otherwise),
];

/// Everything that can go wrong between app.ini, JSON and systemd's EnvironmentFile.
const ODD: &str = r#"a "b" $HOME ${HOME} \d %e 'f' #g ;h é"#;

fn ini(hooks: &str) -> String {
    format!(
        "service.postgis =\nservice.files =\nservice.writable_root =\nupdate_fetch =\n{hooks}\n[env]\nGREETING = hello\nODD = {ODD}\n"
    )
}

/// The Python app of these tests. Deployed once: the next time nothing has changed.
fn python_app(world: &World) -> App {
    let app = App::obeying("teller", &ini("    script:hook.py\n    script:hook.sh \"two words\" three"))
        .file(
            "hook.py",
            "import json, os\nopen(os.environ['CONFIG_FILES'] + '/py.json', 'w').write(json.dumps(dict(os.environ)))\n",
        )
        .file("hook.sh", "printf '%s|' \"$#\" \"$@\" >\"$CONFIG_FILES/arguments\"\nenv -0 >\"$CONFIG_FILES/sh.env\"\n");
    world.ok(["update", app.path_str(), "--host", "teller.test"]);
    app
}

fn php_app(world: &World) -> App {
    let app = App::obeying_php("teller-php", &ini("    script:hook.php"))
        .file("hook.php", "<?php file_put_contents(getenv('CONFIG_FILES') . '/php.json', json_encode(getenv()));\n");
    world.ok(["update", app.path_str(), "--host", "php.teller.test"]);
    app
}

type Variables = BTreeMap<String, String>;

/// What `code` printed as JSON, without what a shell, Apache or systemd adds for itself.
fn variables(world: &World, host: &str, code: &str) -> Variables {
    let text = world.inside(host, code);
    let all: Variables = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let ours = |name: &str| {
        ["CLOUDTOOL_", "CONFIG_"].iter().any(|prefix| name.starts_with(prefix))
            || ["DATABASE_URL", "GREETING", "ODD", "TEMP", "HOME", "PATH", "PYTHONPATH", "LANG"].contains(&name)
    };
    all.into_iter().filter(|(name, _)| ours(name)).collect()
}

fn variables_are_the_same_everywhere(world: &World) {
    let _app = python_app(world);
    let host = "teller.test";
    let wsgi = variables(world, host, "import json, os; print(json.dumps(dict(os.environ)))");
    for name in [
        "CLOUDTOOL_APP_NAME",
        "CLOUDTOOL_RELEASE",
        "CLOUDTOOL_NODE",
        "CLOUDTOOL_CANONICAL_HOSTNAME",
        "CLOUDTOOL_LOGS",
        "CLOUDTOOL_SECRET_FILE",
        "TEMP",
        "HOME",
        "PYTHONPATH",
        "CONFIG_PG_DBNAME",
        "CONFIG_PG_USER",
        "CONFIG_PG_PASSWORD",
        "CONFIG_PG_HOST",
        "CONFIG_PG_PORT",
        "CONFIG_PG_SQLALCHEMY",
        "DATABASE_URL",
        "CONFIG_FILES",
        "CONFIG_WRITABLE_ROOT",
    ] {
        assert!(wsgi.get(name).is_some_and(|value| !value.is_empty()), "{name} is missing: {:?}", wsgi.keys());
    }
    assert_eq!(wsgi["ODD"], ODD);
    assert_eq!(wsgi["CLOUDTOOL_APP_NAME"], "teller");
    assert_eq!(wsgi["CLOUDTOOL_CANONICAL_HOSTNAME"], "teller.test");
    let env_0 = |read: &str| {
        format!(
            "import json, os, subprocess\nprint(json.dumps(dict(line.split('=', 1) for line in {read}.strip('\\0').split('\\0'))))"
        )
    };
    let child = variables(world, host, &env_0("subprocess.run(['env', '-0'], capture_output=True, text=True).stdout"));
    assert_eq!(child, wsgi, "a subprocess");
    let script = variables(world, host, "import os; print(open(os.environ['CONFIG_FILES'] + '/py.json').read())");
    assert_eq!(script, wsgi, "a Python script of update_fetch");
    let script = variables(world, host, &env_0("open(os.environ['CONFIG_FILES'] + '/sh.env').read()"));
    assert_eq!(script, wsgi, "a shell script of update_fetch");
    let arguments = world.inside(host, "import os; print(open(os.environ['CONFIG_FILES'] + '/arguments').read())");
    assert_eq!(arguments, "2|two words|three|");

    let _app = php_app(world);
    let host = "php.teller.test";
    let getenv = variables(world, host, "echo json_encode(getenv());");
    assert_eq!(getenv["ODD"], ODD);
    let script = variables(world, host, "readfile(getenv('CONFIG_FILES') . '/php.json');");
    assert_eq!(script, getenv, "a PHP script of update_fetch");
    let server = variables(world, host, "echo json_encode(array_filter($_SERVER, 'is_string'));");
    assert_eq!(server, getenv, "$_SERVER");
    let names = |variables: &Variables| variables.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&getenv), names(&wsgi), "the same names in PHP and Python");
}

fn each_app_has_its_own_share_of_services(world: &World) {
    let (_python, _php) = (python_app(world), php_app(world));
    let tell = "import json, os; print(json.dumps(dict(os.environ)))";
    let (one, two) =
        (variables(world, "teller.test", tell), variables(world, "php.teller.test", "echo json_encode(getenv());"));
    for name in ["CONFIG_PG_DBNAME", "CONFIG_PG_USER", "CONFIG_PG_PASSWORD", "CONFIG_FILES", "CLOUDTOOL_SECRET_FILE"] {
        assert_ne!(one[name], two[name], "{name}");
    }
    assert_eq!(one["CONFIG_PG_PASSWORD"].len(), 48);
    // As the app's role, from inside the app.
    let version = "import os, psycopg2\nc = psycopg2.connect(os.environ['DATABASE_URL']).cursor()\nc.execute('SELECT PostGIS_Version(), current_user')\nprint(c.fetchone())";
    let said = world.inside("teller.test", version);
    assert!(said.starts_with("('3.") && said.ends_with(" 'teller')"), "{said}");
    let php = "$p = new PDO('pgsql:host=' . getenv('CONFIG_PG_HOST') . ';dbname=' . getenv('CONFIG_PG_DBNAME'), getenv('CONFIG_PG_USER'), getenv('CONFIG_PG_PASSWORD')); echo $p->query('SELECT PostGIS_Version()')->fetchColumn();";
    assert!(world.inside("php.teller.test", php).starts_with("3."));
    // Another app's database: refused with its own role, refused with the other's role and no or its own password.
    for (user, password, database) in [
        ("teller", one["CONFIG_PG_PASSWORD"].as_str(), "teller-php"),
        ("teller-php", one["CONFIG_PG_PASSWORD"].as_str(), "teller-php"),
        ("teller-php", "", "teller-php"),
        ("postgres", "", "postgres"),
        ("teller", one["CONFIG_PG_PASSWORD"].as_str(), "postgres"),
        ("teller", one["CONFIG_PG_PASSWORD"].as_str(), "template1"),
    ] {
        for server in ["127.0.0.1", "/var/run/postgresql"] {
            let code = format!(
                "import psycopg2\ntry:\n    psycopg2.connect(host={server:?}, user={user:?}, password={password:?} or None, dbname={database:?})\n    print('let in')\nexcept psycopg2.OperationalError as error:\n    print('refused', error)"
            );
            let said = world.inside("teller.test", &code);
            assert!(said.starts_with("refused"), "{user} in {database} by {server}: {said}");
        }
    }
    // The secret: readable by the app alone, its own, long enough.
    let secret = world.inside("teller.test", "import os; print(open(os.environ['CLOUDTOOL_SECRET_FILE']).read())");
    let other = world.inside("php.teller.test", "readfile(getenv('CLOUDTOOL_SECRET_FILE'));");
    assert!(
        secret.len() >= 32 && other.len() >= 32 && secret != other,
        "secrets of {} and {} characters",
        secret.len(),
        other.len()
    );
    let modes = world.node_script(
        "stat -c '%a %U:%G' /etc/cloudtool/apps/teller/secret /etc/cloudtool/apps/teller/*.env\n\
         find /var/lib/cloudtool/secrets -type d -exec stat -c '%a %U:%G' {} +\n\
         find /var/lib/cloudtool/secrets -type f -exec stat -c '%a %U:%G' {} +",
    );
    let (secret_mode, others) = modes.split_once('\n').expect("several lines");
    assert_eq!(secret_mode, "640 root:ct-teller");
    for mode in others.lines() {
        assert!(mode == "600 root:root" || mode == "700 root:root", "{modes}");
    }
    // A place for temporary files, which nobody else sees.
    let code = "import os, tempfile\nassert tempfile.gettempdir() == os.environ['TEMP']\nopen(os.environ['TEMP'] + '/mine', 'w').write('x')\nprint(os.listdir(os.environ['TEMP']))";
    assert!(world.inside("teller.test", code).contains("mine"));
    assert!(!world.inside("php.teller.test", "echo json_encode(scandir(getenv('TEMP')));").contains("mine"));
    assert_eq!(world.node_script("test -e /tmp/mine && echo there || true"), "");
}

fn postgresql_asks_for_passwords_on_loopback_only(world: &World) {
    let _app = python_app(world);
    let as_postgres = "cd /; psql() { runuser -u postgres -- psql --no-psqlrc -At -p 5432 \"$@\"; }\n";
    let listens = world.node_script("ss -Hltn 'sport = 5432' | awk '{print $4}'");
    assert_eq!(listens, "127.0.0.1:5432");
    let rules = world.node_script(&format!(
        "{as_postgres} psql -c \"SELECT type || ' ' || auth_method FROM pg_hba_file_rules WHERE error IS NULL\""
    ));
    for rule in rules.lines() {
        assert!(["local peer", "host scram-sha-256"].contains(&rule), "{rules}");
    }
    let stored = world.node_script(&format!(
        "{as_postgres} psql -c \"SELECT DISTINCT left(rolpassword, 14) FROM pg_authid WHERE rolpassword IS NOT NULL\""
    ));
    assert_eq!(stored, "SCRAM-SHA-256$");
    let rights = world.node_script(&format!("{as_postgres} psql -c \"SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = 'teller'\""));
    assert_eq!(rights, "f");
}

fn data_outlive_releases_and_an_update_repeats_nothing(world: &World) {
    let app = python_app(world);
    let tell = "import json, os; print(json.dumps(dict(os.environ)))";
    let before = variables(world, "teller.test", tell);
    let secret = "import os; print(open(os.environ['CLOUDTOOL_SECRET_FILE']).read())";
    let secret_before = world.inside("teller.test", secret);
    world.inside("teller.test", "import os; open(os.environ['CONFIG_FILES'] + '/kept', 'w').write('kept')");
    // What a repeated provisioning must leave alone.
    let looks = "find /var/lib/cloudtool/secrets/teller /etc/cloudtool/services /var/lib/cloudtool/services -type f -not -path '*/.releases/*' -exec stat -c '%n %i %y' {} + | sort\n\
                 ls -d --time-style=full-iso -l /etc/postgresql/*/main/conf.d/* /etc/postgresql/*/main/*\n\
                 systemctl show -p ExecMainStartTimestampMonotonic --value 'postgresql@*'\n";
    let server = world.node_script(looks);
    let app = app.file("more.txt", "another release\n");
    let output = world.cloudtool(["update", app.path_str(), "--json"]);
    let said = both(&output);
    assert!(output.status.success(), "{said}");
    let step = said.lines().find(|line| line.contains("\"services\"") && line.contains("\"done\"")).expect("the step");
    println!("services, nothing to do: {step}");
    assert_eq!(world.node_script(looks), server);
    let mut after = variables(world, "teller.test", tell);
    assert_ne!(after["CLOUDTOOL_RELEASE"], before["CLOUDTOOL_RELEASE"]);
    for name in ["RELEASE", "RELEASE_DIR", "SLOT", "PORT", "RUN_DIR"].map(|name| format!("CLOUDTOOL_{name}")) {
        after.insert(name.clone(), before[&name].clone());
    }
    after.insert("PYTHONPATH".to_owned(), before["PYTHONPATH"].clone());
    assert_eq!(after, before);
    assert_eq!(world.inside("teller.test", secret), secret_before);
    let kept = "import os; print(open(os.environ['CONFIG_FILES'] + '/kept').read())";
    assert_eq!(world.inside("teller.test", kept), "kept");
}

fn writable_root_is_served_and_never_run(world: &World) {
    let _app = php_app(world);
    world.ok(["activate", "other.teller.test", "teller-php"]);
    let put = "$r = getenv('CONFIG_WRITABLE_ROOT'); mkdir(\"$r/other.teller.test\"); mkdir(\"$r/dir\");
        file_put_contents(\"$r/page.html\", 'for all'); file_put_contents(\"$r/other.teller.test/page.html\", 'for one');
        file_put_contents(\"$r/dir/index.html\", 'the index'); file_put_contents(\"$r/evil.php\", '<?php echo 6 * 7;');
        file_put_contents(\"$r/evil.phtml\", '<?php echo 6 * 7;'); file_put_contents(\"$r/.hidden\", 'hidden');";
    world.inside("php.teller.test", put);
    let body = |host: &str, path: &str| get(&world.address, host, path).body;
    assert_eq!(body("php.teller.test", "/page.html"), "for all");
    assert_eq!(body("other.teller.test", "/page.html"), "for one");
    assert_eq!(body("php.teller.test", "/dir/"), "the index");
    for path in ["/evil.php", "/evil.phtml", "/evil.php/x", "/.hidden", "/dir/../evil.php"] {
        let answer = get(&world.address, "php.teller.test", path);
        assert!(!answer.body.contains("42") && !answer.body.contains("hidden"), "{path}: {answer:?}");
    }
    world.ok(["deactivate", "other.teller.test"]);
}

fn remove_keeps_data_unless_told_otherwise(world: &World) {
    let app = python_app(world);
    let tell = "import os; print(os.environ['CONFIG_PG_PASSWORD'], open(os.environ['CLOUDTOOL_SECRET_FILE']).read())";
    world.inside("teller.test", "import os; open(os.environ['CONFIG_FILES'] + '/precious', 'w').write('x')");
    let before = world.inside("teller.test", tell);
    let query = "cd /; runuser -u postgres -- psql --no-psqlrc -At -p 5432 -c \"SELECT count(*) FROM pg_database WHERE datname = 'teller'\" -c \"SELECT count(*) FROM pg_roles WHERE rolname = 'teller'\"; ls /srv/cloudtool/apps/teller/data/files/precious 2>/dev/null || true";
    let said = world.ok(["remove", "teller", "-y"]);
    assert!(said.contains("postgis") && said.contains("files"), "it says what it kept: {said}");
    assert_eq!(world.node_script(query), "1\n1\n/srv/cloudtool/apps/teller/data/files/precious");
    world.ok(["update", app.path_str(), "--host", "teller.test"]);
    assert_eq!(world.inside("teller.test", tell), before, "it finds what it had");
    world.ok(["remove", "teller", "--with-data", "-y"]);
    assert_eq!(world.node_script(query), "0\n0");
    assert_eq!(world.node_script("find / -xdev -path '*teller*' -not -path '*teller-php*' -not -path '/proc/*' -not -path '/var/log/*' | head"), "");
    world.ok(["remove", "teller-php", "--with-data", "-y"]);
}

fn the_book_names_every_file_on_the_node(world: &World) {
    let _apps = (python_app(world), php_app(world));
    let page = include_str!("../../docs/book/src/node.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let rows = rows.flat_map(|row| row.split("`, `")).filter_map(|path| path.trim_matches('`').strip_prefix('/'));
    let named: Vec<Vec<&str>> = rows.map(|path| path.trim_end_matches('/').split('/').collect()).collect();
    assert!(named.len() > 20, "only {} files are named", named.len());
    let find = "find /etc /usr /opt /srv /var /run /root /home -xdev -path '*cloudtool*' -not -path '*/__pycache__*' -not -path '*/systemd-private-*' -not -path '/run/systemd/*' -not -path '/var/lib/systemd/*' -not -path '/var/lib/dpkg/*'";
    let files = world.node_script(find);
    let unknown: Vec<&str> = files.lines().filter(|file| !named.iter().any(|named| is_named(named, file))).collect();
    assert!(unknown.is_empty(), "docs/book/src/node.md does not name these: {unknown:#?}");
}

/// Whether a file is what the book names, lies below it, or is a directory on the way to it.
fn is_named(named: &[&str], file: &str) -> bool {
    let parts = file.trim_start_matches('/').split('/');
    named.iter().zip(parts).all(|(named, part)| {
        let pattern = ["APP", "NAME", "SERVICE", "HASH", "VERSION", "vN", "{blue,green}"]
            .iter()
            .fold((*named).to_owned(), |pattern, placeholder| pattern.replace(placeholder, "*"));
        let mut rest = part;
        let mut pieces = pattern.split('*');
        rest.strip_prefix(pieces.next().unwrap_or_default()).is_some_and(|after| {
            rest = after;
            pieces.all(|piece| match rest.rfind(piece) {
                Some(at) => {
                    rest = &rest[at + piece.len()..];
                    true
                }
                None => false,
            })
        }) && (rest.is_empty() || pattern.ends_with('*'))
    })
}
