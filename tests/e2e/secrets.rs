//! No secret in argv, logs, plans, JSON, errors or state: shown with the real ones of an app, which are looked for everywhere.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::Test;
use crate::probe;
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[("no_secret_is_shown_anywhere", no_secret_is_shown_anywhere)];

/// In the user's own configuration: what opens a CouchDB that an admin has.
const COUCH_PASSWORD: &str = "ct-sentinel-5ecad0f1";

fn no_secret_is_shown_anywhere(world: &World) {
    let talkative = "import json, os, sys\nprint(json.dumps(dict(os.environ)))\nprint(open(os.environ['CLOUDTOOL_SECRET_FILE']).read(), file=sys.stderr)\n";
    let app = probe::app(
        "keeper",
        "service.postgresql =\nupdate_fetch =\n  script:hook.py $DATABASE_URL $CONFIG_PG_PASSWORD\n  /\n",
    );
    app.write("hook.py", talkative.as_bytes());
    let watch = Argv::watch();
    let mut said = String::new();
    let mut note = |words: &[&str]| {
        let output = world.cloudtool(words);
        said.push_str(&format!("\n# cloudtool {}\n{}", words.join(" "), both(&output)));
        output.status.code()
    };
    assert_eq!(note(&["update", app.path_str(), "--host", "keeper.test", "-vvv"]), Some(0));
    let environment = probe::environment(world, "keeper.test");
    let secret = |name: &str| environment[name].as_str().unwrap_or_else(|| panic!("{name} is set")).to_owned();
    let password = secret("CONFIG_PG_PASSWORD");
    let stable = world.node_script("cat /etc/cloudtool/apps/keeper/secret");
    assert!(password.len() >= 32 && stable.len() == 64);
    assert!(secret("DATABASE_URL").contains(&password) && secret("CONFIG_PG_SQLALCHEMY").contains(&password));

    // Whatever can be asked and done, said in every way.
    app.write("again.txt", b"1");
    assert_eq!(note(&["update", app.path_str(), "--plan", "-vvv"]), Some(0));
    assert_eq!(note(&["update", app.path_str(), "--plan", "--json"]), Some(0));
    assert_eq!(note(&["update", app.path_str(), "--json", "--timings", "-vvv"]), Some(0));
    assert_eq!(note(&["rollback", "keeper", "-vvv"]), Some(0));
    for query in [["query", "keeper"], ["releases", "keeper"], ["logs", "keeper"]] {
        assert_eq!(note(&query), Some(0));
        assert_eq!(note(&[&query[..], &["--json", "-vvv"]].concat()), Some(0));
    }
    // A script that fails with its environment on its lips; an app whose traceback has a password in it.
    app.write("hook.py", format!("{talkative}sys.exit(3)\n").as_bytes());
    assert_eq!(note(&["update", app.path_str(), "-vvv"]), Some(1));
    assert_eq!(note(&["update", app.path_str(), "--json"]), Some(1));
    app.write("hook.py", b"");
    app.write("app.py", b"import os\nraise RuntimeError(os.environ['DATABASE_URL'] + ' ' + open(os.environ['CLOUDTOOL_SECRET_FILE']).read())\n");
    assert_eq!(note(&["update", app.path_str(), "-vvv"]), Some(1));
    let answers = "import os\ndef application(e, s):\n    s('500 No', [('Location', '/?' + os.environ['CONFIG_PG_PASSWORD'])])\n    return [repr(os.environ).encode()]\n";
    app.write("app.py", answers.as_bytes());
    let app = app.ini("runner = app.py\nservice.postgresql =\n");
    assert_eq!(note(&["update", app.path_str(), "-vvv"]), Some(7));
    assert_eq!(note(&["update", app.path_str(), "--json"]), Some(7));
    assert_eq!(
        note(&["logs", "keeper", "-n", "500", "--stream", "error", "--stream", "deploy", "--stream", "access"]),
        Some(0)
    );
    assert_eq!(note(&["releases", "keeper", "--json"]), Some(0));

    // A password of the admin's own, for a server that is not there.
    let config = world.home.path().join("cloudtool.ini");
    let before = fs::read_to_string(&config).expect("it is there");
    fs::write(
        &config,
        format!(
            "{before}\n[service:couchdb]\nurl = http://127.0.0.1:1/\nusername = admin\npassword = {COUCH_PASSWORD}\n"
        ),
    )
    .expect("it is written");
    run_private(&config);
    let notes = App::hello("keepnotes", "x").ini("runner = app.py\nservice.couchdb =\n");
    for words in [
        &["update", notes.path_str(), "--host", "keepnotes.test", "-vvv"][..],
        &["update", notes.path_str(), "--json"],
        &["update", notes.path_str(), "--plan", "-vvv"],
    ] {
        note(words);
    }
    fs::write(&config, before).expect("it is written");
    assert!(said.contains("couchdb"), "the service was tried");

    let secrets = [
        ("the database's password", password.as_str()),
        ("the app's secret", &stable),
        ("the admin's password", COUCH_PASSWORD),
    ];
    let seen = watch.stop();
    assert!(seen.iter().any(|line| line.contains("hook.py")), "the script was seen among {} command lines", seen.len());
    for (what, value) in secrets {
        if let Some(place) = said.find(value) {
            panic!("{what} is shown: {}", &said[said[..place].rfind("\n# ").unwrap_or(0)..place + value.len()]);
        }
        assert!(!seen.iter().any(|line| line.contains(value)), "{what} was on a command line");
        let journal = world.node_script(&format!("journalctl --no-pager -o export | grep -caF {value} || true"));
        assert_eq!(journal, "0", "{what} in the journal");
        let local = std::process::Command::new("grep")
            .args(["-rlaF", value])
            .arg(world.home.path().join("data/"))
            .output()
            .expect("grep");
        assert_eq!(String::from_utf8_lossy(&local.stdout), "", "{what} in the inventory");
        // Where it may be, and nobody but root and the app may read it.
        let files = world
            .node_script(&format!("grep -rlaF {value} /etc /var /srv /run /tmp /usr/local /root 2>/dev/null || true"));
        for file in files.lines() {
            let allowed = [
                "/var/lib/cloudtool/secrets/",
                "/etc/cloudtool/apps/keeper/",
                "/etc/cloudtool/services/couchdb.json",
                "/run/cloudtool/services/couchdb.json",
            ];
            // The app wrote its own secret into its own log; it is redacted when the log is shown.
            assert!(
                allowed.iter().any(|known| file.starts_with(known)) || file == "/var/log/cloudtool/keeper/error.log",
                "{what} is in {file}"
            );
            let mode = world.node_script(&format!("stat -c '%a %U' {file}"));
            assert!(["600 root", "640 root", "640 ct-keeper"].contains(&mode.as_str()), "{file} is {mode}");
            assert!(mode == "600 root" || !file.ends_with(".env"), "{file} is {mode}");
        }
    }
    modes(world);
    for app in ["keeper", "keepnotes"] {
        world.cloudtool(["remove", app, "-y", "--with-data"]);
    }
}

fn run_private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
}

/// The table of docs/architecture.md.
fn modes(world: &World) {
    let wanted = "/etc/cloudtool/apps/keeper 750 root:ct-keeper
/etc/cloudtool/apps/keeper/blue.env 600 root:root
/etc/cloudtool/apps/keeper/blue.conf 640 root:ct-keeper
/etc/cloudtool/apps/keeper/secret 640 root:ct-keeper
/srv/cloudtool/apps/keeper 750 root:ct-keeper
/srv/cloudtool/apps/keeper/releases/v1 750 root:ct-keeper
/srv/cloudtool/apps/keeper/releases/v1/app.py 640 root:ct-keeper
/srv/cloudtool/apps/keeper/data 750 root:ct-keeper
/var/lib/cloudtool 700 root:root
/var/lib/cloudtool/apps/keeper.json 600 root:root
/var/lib/cloudtool/manifests/keeper/v1.json 600 root:root
/var/lib/cloudtool/secrets/keeper 700 root:root
/var/lib/cloudtool/secrets/keeper/postgresql 700 root:root
/var/lib/cloudtool/secrets/keeper/postgresql/password 600 root:root
/var/lib/cloudtool/audit.log 600 root:root
/var/log/cloudtool/keeper 2750 ct-keeper:adm
/etc/cloudtool/services/couchdb.json 600 root:root
/run/haproxy/cloudtool.sock 600 root:root";
    let paths: Vec<&str> = wanted.lines().filter_map(|line| line.split(' ').next()).collect();
    let found = world.node_script(&format!("stat -c '%n %a %U:%G' {}", paths.join(" ")));
    assert_eq!(found, wanted);
}

/// Reads the command line of every process, over and over. The node is a container of this machine: its processes are among them.
pub struct Argv {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<String>>,
}

impl Argv {
    pub fn watch() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !stopped.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").expect("/proc").flatten() {
                    if let Ok(line) = fs::read(process.path().join("cmdline")) {
                        seen.insert(String::from_utf8_lossy(&line).replace('\0', " "));
                    }
                }
            }
            seen
        });
        Argv { stop, thread }
    }

    /// All command lines there were.
    pub fn stop(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watcher does not panic")
    }
}
