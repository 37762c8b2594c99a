//! The ways to write a Python app: where its modules come from, what runs it, what an update asks of it. And that what `init` writes runs.

use crate::Test;
use crate::http::{get, request};
use crate::world::{App, World, both};

pub const TESTS: &[Test] = &[
    ("init_writes_apps_that_run", init_writes_apps_that_run),
    ("libraries_of_the_app_are_on_the_path", libraries_of_the_app_are_on_the_path),
    ("requirements_are_built_once_and_kept_for_a_rollback", requirements_are_built_once_and_kept_for_a_rollback),
    ("paste_apps_run", paste_apps_run),
    ("another_object_and_the_process_model_are_honoured", another_object_and_the_process_model_are_honoured),
    ("update_fetch_is_the_nodes_own", update_fetch_is_the_nodes_own),
    ("apps_of_toppcloud_and_silver_lining_deploy", apps_of_toppcloud_and_silver_lining_deploy),
];

fn init_writes_apps_that_run(world: &World) {
    for platform in ["python", "static", "php"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join(format!("first-{platform}"));
        let path = path.to_str().expect("UTF-8");
        world.ok(["init", path, "--platform", platform]);
        let host = format!("{platform}.first.test");
        world.ok(["update", path, "--host", &host]);
        let answer = get(&world.address, &host, "/");
        assert_eq!(answer.status, 200, "{platform}: {}", answer.body);
        assert!(answer.body.contains("first-"), "{platform}: {}", answer.body);
        world.ok(["remove", &format!("first-{platform}"), "-y"]);
    }
}

fn libraries_of_the_app_are_on_the_path(world: &World) {
    let version = world.node_says(["python3", "-c", "'import sys; print(\"python%d.%d\" % sys.version_info[:2])'"]);
    let app = App::obeying("paths", "update_fetch = script:bin/look.py\n")
        .file("lib/python/plain.py", "origin = 'lib/python'\n")
        .file(&format!("lib/{version}/site-packages/packaged.py"), "origin = 'site-packages'\n")
        .file(&format!("lib/{version}/site-packages/more.pth"), "../../../src\nimport sys; sys.ran_pth = 'yes'\n")
        .file("src/linked.py", "origin = 'src by a .pth'\n")
        // The app's own comes before what the system has.
        .file("lib/python/colorsys.py", "origin = 'shadowed'\n")
        .file("bin/look.py", "import plain\nprint(plain.origin)\n");
    world.ok(["update", app.path_str(), "--host", "paths.test"]);
    let code = "import sys, plain, packaged, linked, colorsys\nprint(plain.origin, packaged.origin, linked.origin, colorsys.origin, sys.ran_pth, sep=', ')";
    assert_eq!(world.inside("paths.test", code), "lib/python, site-packages, src by a .pth, shadowed, yes");
    world.ok(["remove", "paths", "-y"]);
}

fn requirements_are_built_once_and_kept_for_a_rollback(world: &World) {
    let look = "import os, six\nprint(six.__version__, os.environ['CLOUDTOOL_VENV'].rpartition('/')[2], six.__file__.startswith(os.environ['CLOUDTOOL_VENV']))";
    let says = || {
        let said = world.inside("required.test", look);
        let words: Vec<String> = said.split(' ').map(str::to_owned).collect();
        assert_eq!(words[2], "True", "{said}");
        (words[0].clone(), words[1].clone())
    };
    let built = || world.node_script("cd /srv/cloudtool/apps/required/venvs; stat -c '%n %i %Z' *");
    let app = App::obeying("required", "requirements = requirements.txt\n").file("requirements.txt", "six==1.16.0\n");
    world.ok(["update", app.path_str(), "--host", "required.test"]);
    let (version, first) = says();
    assert_eq!(version, "1.16.0");
    let before = built();

    let app = app.file("more.txt", "a release with the same requirements\n");
    world.ok(["update", app.path_str()]);
    assert_eq!(says(), ("1.16.0".to_owned(), first.clone()));
    assert_eq!(built(), before, "nothing was built");

    let app = app.file("requirements.txt", "six==1.17.0\n");
    world.ok(["update", app.path_str()]);
    let (version, second) = says();
    assert_eq!(version, "1.17.0");
    assert_ne!(first, second);
    world.ok(["rollback", "required"]);
    assert_eq!(says(), ("1.16.0".to_owned(), first.clone()));
    assert!(built().contains(&first) && built().contains(&second));

    // What the app may do with it: read.
    let code = "import os, six\ntry:\n    open(six.__file__, 'a')\n    print('written')\nexcept OSError as error:\n    print('refused')";
    assert_eq!(world.inside("required.test", code), "refused");

    let app = app.file("requirements.txt", "six==1.17.0\nthere-is-no-such-project-of-this-name==1\n");
    let said = both(&world.cloudtool(["update", app.path_str()]));
    assert!(said.contains("there-is-no-such-project-of-this-name"), "{said}");
    assert_eq!(says().0, "1.16.0", "the old release serves");
    let left = world.node_script("ls /srv/cloudtool/apps/required/venvs | wc -l");
    assert_eq!(left, "2", "nothing is left of the one that failed");
    world.ok(["remove", "required", "-y"]);
}

fn paste_apps_run(world: &World) {
    let source = r#"
def make(global_conf, **local_conf):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return ["\n".join(f"{name}={value}" for name, value in sorted(local_conf.items())).encode()]
    return application
"#;
    let config = r"
[DEFAULT]
shared = for all

[app:main]
use = call:pasted:make
who = main
uploads = %(CONFIG_FILES)s/uploads
root = %(here)s
all = %(shared)s

[app:second]
use = call:pasted:make
who = second
odd = %(ODD)s
";
    let ini = |runner: &str| format!("runner = {runner}\nservice.files =\n[env]\nODD = 100 %% of it, %(here)s\n");
    let app =
        App::new("paste", &ini("conf/site.ini")).file("conf/site.ini", config).file("lib/python/pasted.py", source);
    world.ok(["update", app.path_str(), "--host", "paste.test"]);
    let body = get(&world.address, "paste.test", "/").body;
    assert!(body.contains("who=main"), "{body}");
    assert!(body.contains("uploads=/srv/cloudtool/apps/paste/data/files/uploads"), "{body}");
    assert!(body.contains("root=/srv/cloudtool/apps/paste/releases/v1/conf"), "{body}");
    assert!(body.contains("all=for all"), "{body}");
    let app = app.ini(&ini("conf/site.ini#second"));
    world.ok(["update", app.path_str()]);
    let body = get(&world.address, "paste.test", "/").body;
    assert!(body.contains("who=second"), "{body}");
    assert!(body.contains("odd=100 %% of it, %(here)s"), "a value is no template: {body}");
    world.ok(["remove", "paste", "-y", "--with-data"]);
}

fn another_object_and_the_process_model_are_honoured(world: &World) {
    let source = r#"
import os
import threading
import time


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    flags = (environ["wsgi.multiprocess"], environ["wsgi.multithread"])
    return [f"{__name__} {os.getpid()} {threading.get_ident()} {flags}".encode()]
"#;
    let app = App::new("model", "runner = src/web.py#wsgi\nprocesses = 3\nthreads = 4\nmemory = 300M\n")
        .file("src/web.py", source);
    world.ok(["update", app.path_str(), "--host", "model.test"]);
    let said = get(&world.address, "model.test", "/").body;
    assert!(said.starts_with("web ") && said.ends_with("(True, True)"), "{said}");
    // Twelve at once and no more: that many, and in that many processes, are answered in one go.
    let (mut processes, mut threads) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    for _ in 0..40 {
        let asked: Vec<_> = (0..12)
            .map(|_| {
                let address = world.address.clone();
                std::thread::spawn(move || get(&address, "model.test", "/slow").body)
            })
            .collect();
        for answer in asked {
            let body = answer.join().expect("an answer");
            let words: Vec<&str> = body.split(' ').collect();
            processes.insert(words[1].to_owned());
            threads.insert((words[1].to_owned(), words[2].to_owned()));
        }
        if processes.len() == 3 && threads.len() >= 8 {
            break;
        }
    }
    assert_eq!(processes.len(), 3, "{processes:?}");
    assert!((8..=12).contains(&threads.len()), "{} threads", threads.len());
    let live =
        r#"slot=$(python3 -c 'import json; print(json.load(open("/var/lib/cloudtool/apps/model.json"))["live"])')"#;
    let limit = || world.node_script(&format!("{live}\nsystemctl show -p MemoryMax --value cloudtool-app-$slot@model"));
    assert_eq!(limit(), (300 * 1024 * 1024).to_string());
    let app = app.ini("runner = src/web.py#wsgi\nprocesses = 1\nthreads = 1\n");
    world.ok(["update", app.path_str()]);
    let said = get(&world.address, "model.test", "/").body;
    assert!(said.ends_with("(False, False)"), "{said}");
    assert_eq!(limit(), "infinity");
    world.ok(["remove", "model", "-y"]);
}

fn update_fetch_is_the_nodes_own(world: &World) {
    let source = r#"
import json
import os

SEEN = os.environ["CONFIG_FILES"] + "/seen"


def application(environ, start_response):
    marked = {name: repr(value) for name, value in environ.items() if "update" in name.lower()}
    if environ["PATH_INFO"].startswith("/sync"):
        with open(SEEN, "a") as file:
            file.write(f"{environ['PATH_INFO']}?{environ['QUERY_STRING']} {environ['HTTP_HOST']} {os.environ['CLOUDTOOL_RELEASE']} {marked}\n")
    if environ["PATH_INFO"] == "/fails":
        start_response("500 No", [("Content-Type", "text/plain")])
        return [b"out of order"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(open(SEEN).read() if environ["PATH_INFO"] == "/seen" else json.dumps(marked)).encode()]
"#;
    let ini = "runner = app.py\nservice.files =\nupdate_fetch =\n    /sync?all=1\n    script:after.sh\n";
    let app =
        App::new("fetched", ini).file("app.py", source).file("after.sh", "echo script >>\"$CONFIG_FILES/seen\"\n");
    world.ok(["update", app.path_str(), "--host", "fetched.test"]);
    let seen = get(&world.address, "fetched.test", "/seen").body;
    assert_eq!(seen, "/sync?all=1 fetched.test v1 {'cloudtool.update': 'True'}\nscript\n");
    for header in [
        "",
        "X-Cloudtool-Update: guess\r\n",
        "X-Cloudtool-Update: \r\n",
        "X_Cloudtool_Update: 1\r\nCloudtool.Update: 1\r\n",
    ] {
        let answer = request(&world.address, "GET", "fetched.test", "/", header, b"");
        assert!(!answer.body.contains("cloudtool.update"), "{header:?}: {}", answer.body);
    }
    let app = app.ini("runner = app.py\nservice.files =\nupdate_fetch = /fails\n");
    let output = world.cloudtool(["update", app.path_str()]);
    assert!(!output.status.success());
    assert!(both(&output).contains("update_fetch /fails was answered with 500"), "{}", both(&output));
    assert_eq!(get(&world.address, "fetched.test", "/").status, 200);
    world.ok(["remove", "fetched", "-y", "--with-data"]);
}

fn apps_of_toppcloud_and_silver_lining_deploy(world: &World) {
    let toppcloud = "version = 1\ndefault_host = topp.test\nrunner = src/topp/main.py\nservice.files =\n";
    let app = App::new("Topp", toppcloud).file("src/topp/main.py", &crate::world::hello_source("topp"));
    let output = world.cloudtool(["update", app.path_str()]);
    let said = both(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the app is called \"topp\""), "it warns: {said}");
    assert_eq!(get(&world.address, "topp.test", "/").body, "topp");
    world.ok(["remove", "topp", "-y", "--with-data"]);

    let silver = "default_location = silver.test/blog\nplatform = python\nrunner = run.py#app\nupdate_fetch = /up\nconfig.required = false\nconfig.template = src/config\npackage_install_script = install.sh\nservice.writable_root =\n";
    let source = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [(environ['SCRIPT_NAME'] + environ['PATH_INFO']).encode()]\n";
    let app = App::new("silver", silver).file("run.py", source).file("src/config/x", "").file("install.sh", "exit 1\n");
    let output = world.cloudtool(["update", app.path_str()]);
    let said = both(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("there is no src/config/template.ini") && said.contains("package_install_script"),
        "it warns: {said}"
    );
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let answer = request(&world.address, method, "silver.test", "/blog/post", "", b"");
        assert_eq!(answer.body, "/blog/post", "{method}");
    }
    world.ok(["remove", "silver", "-y", "--with-data"]);
}
