//! A bad release never serves: whatever is wrong with it, the old one goes on, the message says what the app itself said,
//! nothing of the attempt stays, and the next good update just works.

use std::os::unix::fs::PermissionsExt;

use crate::Test;
use crate::http::get;
use crate::whole::{WholeApp, none_failed, nothing_left, remove};
use crate::world::{App, World};

pub const TESTS: &[Test] = &[
    ("a_bad_release_never_serves", a_bad_release_never_serves),
    ("a_bad_php_release_never_serves", a_bad_php_release_never_serves),
    ("a_release_whose_service_fails_never_serves", a_release_whose_service_fails_never_serves),
    ("a_first_deploy_that_fails_leaves_a_clean_node", a_first_deploy_that_fails_leaves_a_clean_node),
];

/// One way to be bad.
struct Bad {
    what: &'static str,
    /// Lines of `app.ini` below the runner.
    ini: &'static str,
    /// The runner, and another file of the release.
    app: &'static str,
    other: Option<(&'static str, &'static str)>,
    /// The exit code, and what the message must hold.
    code: i32,
    says: &'static [&'static str],
}

const GOOD: &str = "def application(environ, start_response):
    start_response('200 OK', [])
    return [b'fine']
";

const BAD: Bad = Bad { what: "", ini: "", app: GOOD, other: None, code: 7, says: &[] };

fn bad_python() -> Vec<Bad> {
    vec![
        Bad {
            what: "syntax error",
            app: "def application(:\n",
            says: &["SyntaxError", "app.py", "line 1", "500"],
            ..BAD
        },
        Bad {
            what: "import error",
            app: "import no_such_module_of_mine\n",
            says: &["ModuleNotFoundError", "no_such_module_of_mine", "app.py"],
            ..BAD
        },
        Bad {
            what: "exception at start",
            app: "raise RuntimeError('my own words')\n",
            says: &["RuntimeError: my own words", "app.py", "Traceback"],
            ..BAD
        },
        Bad { what: "no application", app: "app = 1\n", says: &["AttributeError", "application"], ..BAD },
        Bad {
            what: "exception in every request",
            app: "def application(environ, start_response):\n    raise KeyError('a key of mine')\n",
            says: &["KeyError: 'a key of mine'", "app.py", "500"],
            ..BAD
        },
        Bad {
            what: "health check 500",
            app: "import sys\ndef application(environ, start_response):\n    print('I am unwell', file=sys.stderr)\n    \
                  start_response('500 Sick', [])\n    return [b'the body of a sick app']\n",
            says: &["I am unwell", "status: 500", "the body of a sick app"],
            ..BAD
        },
        Bad {
            what: "health check 404",
            ini: "health_check = /nowhere\n",
            app: "def application(environ, start_response):\n    start_response('404 Gone', [])\n    return [environ['PATH_INFO'].encode()]\n",
            says: &["status: 404", "/nowhere"],
            ..BAD
        },
        Bad {
            what: "health check that redirects to itself",
            app: "def application(environ, start_response):\n    to = 'http://%s/' % environ['HTTP_HOST']\n    \
                  start_response('302 Again', [('Location', to)])\n    return [b'']\n",
            says: &["redirects to itself", "status: 302"],
            ..BAD
        },
        Bad {
            what: "exit at import",
            app: "import os, sys\nprint('leaving early', file=sys.stderr, flush=True)\nos._exit(3)\n",
            says: &["ended", "leaving early"],
            ..BAD
        },
        Bad {
            what: "exit in the health check",
            app: "import os, sys\ndef application(environ, start_response):\n    print('leaving late', file=sys.stderr, flush=True)\n    os._exit(3)\n",
            says: &["leaving late"],
            ..BAD
        },
        Bad {
            what: "hangs at import",
            ini: "health_timeout = 2\n",
            app: "import sys, time\nprint('about to wait', file=sys.stderr, flush=True)\ntime.sleep(3600)\n",
            says: &["not answered within 2 s", "about to wait"],
            ..BAD
        },
        Bad {
            what: "hangs in the health check",
            ini: "health_timeout = 2\n",
            app: "import sys, time\ndef application(environ, start_response):\n    print('thinking', file=sys.stderr, flush=True)\n    time.sleep(3600)\n",
            says: &["not answered within 2 s", "thinking"],
            ..BAD
        },
        Bad {
            what: "a script that fails",
            ini: "update_fetch = script:migrate.py 'two words'\n",
            other: Some(("migrate.py", "import sys\nprint('migrating', sys.argv[1])\nsys.exit('the table is gone')\n")),
            code: 1,
            says: &["migrate.py", "status 1", "migrating two words", "the table is gone"],
            ..BAD
        },
        Bad {
            what: "a fetch that fails",
            ini: "update_fetch = /sync\n",
            app: "import sys\ndef application(environ, start_response):\n    if environ['PATH_INFO'] == '/sync':\n        \
                  print('cannot sync', file=sys.stderr)\n        start_response('500 No', [])\n        return [b'sync is out']\n    \
                  start_response('200 OK', [])\n    return [b'fine']\n",
            code: 1,
            says: &["/sync", "500", "cannot sync", "sync is out"],
            ..BAD
        },
        Bad {
            what: "requirements that do not install",
            ini: "requirements = requirements.txt\n",
            other: Some(("requirements.txt", "./no-such-project\n")),
            code: 1,
            says: &["requirements.txt", "no-such-project"],
            ..BAD
        },
        Bad {
            what: "packages that do not exist",
            ini: "packages = no-such-package-of-mine\n",
            code: 1,
            says: &["no-such-package-of-mine", "apt"],
            ..BAD
        },
        Bad {
            what: "a memory limit that nothing can start in",
            ini: "memory = 1M\n",
            code: 2,
            says: &["memory", "app.ini"],
            ..BAD
        },
    ]
}

fn a_bad_release_never_serves(world: &World) {
    let whole = WholeApp::deployed(world, "steady", "");
    let load = whole.hammer(world);
    for (round, bad) in bad_python().into_iter().enumerate() {
        let before = whole.answer(world);
        let app = App::new("steady", &format!("runner = app.py\n{}", bad.ini)).file("app.py", bad.app);
        if let Some((path, content)) = bad.other {
            app.write(path, content.as_bytes());
        }
        refused(world, &app, &bad);
        assert_eq!(whole.answer(world), before, "after {}", bad.what);
        nothing_left(world, "steady");
        whole.update(world, round + 2);
    }
    println!("{} requests, none failed", none_failed(load));
    nothing_left(world, "steady");
    whole.remove(world);
}

/// The update fails as it should, and says what it should.
fn refused(world: &World, app: &App, bad: &Bad) {
    println!("{}", bad.what);
    let said = world.fails(bad.code, ["update", app.path_str()]);
    for words in bad.says {
        assert!(said.contains(words), "{}: {words:?} is not in\n{said}", bad.what);
    }
    assert!(!said.contains("a bug of cloudtool"), "{}:\n{said}", bad.what);
}

fn a_bad_php_release_never_serves(world: &World) {
    let whole = WholeApp::deployed(world, "phpfail", "");
    let load = whole.hammer(world);
    let cases = [
        Bad {
            what: "PHP fatal error",
            app: "<?php\nerror_log('about to fall');\nno_such_function_of_mine();\n",
            says: &["no_such_function_of_mine", "index.php", "about to fall", "500"],
            ..BAD
        },
        Bad { what: "PHP syntax error", app: "<?php\nthis is not php\n", says: &["Parse error", "index.php"], ..BAD },
    ];
    for bad in cases {
        let app = App::new("phpfail", "runner = index.php\n").file("index.php", bad.app);
        refused(world, &app, &bad);
        nothing_left(world, "phpfail");
    }
    let good = App::new("phpfail", "runner = index.php\n").file("index.php", "<?php\necho 'whole php';\n");
    world.ok(["update", good.path_str()]);
    assert_eq!(whole.answer(world), "whole php");
    none_failed(load);
    whole.remove(world);
}

fn a_release_whose_service_fails_never_serves(world: &World) {
    let whole = WholeApp::deployed(world, "served", "");
    let load = whole.hammer(world);
    let config = world.home.path().join("unreachable.ini");
    // Port 9 of the loopback: nothing listens there.
    std::fs::write(
        &config,
        "[service:couchdb]\nurl = http://127.0.0.1:9\nusername = admin\npassword = sentinel-3f9a\n",
    )
    .expect("a configuration");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).expect("a secret one");
    let app = App::new("served", "runner = app.py\nservice.couchdb =\n").file("app.py", GOOD);
    let output =
        world.command(["update", app.path_str()]).env("CLOUDTOOL_CONFIG", &config).output().expect("it starts");
    let said = crate::world::both(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("couchdb") && said.contains("127.0.0.1:9"), "{said}");
    assert!(!said.contains("sentinel-3f9a"), "{said}");
    assert_eq!(whole.answer(world), "whole 1");
    nothing_left(world, "served");
    whole.update(world, 2);
    none_failed(load);
    whole.remove(world);
    world.node_script("rm -f /etc/cloudtool/services/couchdb.json /var/lib/cloudtool/services/couchdb.installed");
}

fn a_first_deploy_that_fails_leaves_a_clean_node(world: &World) {
    let app = App::new("newborn", "runner = app.py\n").file("app.py", "raise RuntimeError('born dead')\n");
    let said = world.fails(7, ["update", app.path_str(), "--host", "newborn.test"]);
    assert!(said.contains("born dead"), "{said}");
    assert_eq!(get(&world.address, "newborn.test", "/").status, 404);
    nothing_left(world, "newborn");
    let app = app.file("app.py", GOOD);
    world.ok(["update", app.path_str(), "--host", "newborn.test"]);
    assert_eq!(get(&world.address, "newborn.test", "/").body, "fine");
    nothing_left(world, "newborn");
    remove(world, "newborn");
}
