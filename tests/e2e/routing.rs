//! Which request reaches which app, and what of it: hosts, mounts, wildcards, redirects, headers, files.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::Test;
use crate::http::{Answer, Connection, get, request};
use crate::world::{App, World};

pub const TESTS: &[Test] = &[
    ("requests_reach_the_app_they_are_for", requests_reach_the_app_they_are_for),
    ("files_are_served_and_sources_are_not", files_are_served_and_sources_are_not),
    ("what_the_front_says_cannot_be_said_by_a_visitor", what_the_front_says_cannot_be_said_by_a_visitor),
    ("a_slow_app_gets_a_page_of_ours", a_slow_app_gets_a_page_of_ours),
    ("logs_are_found_filtered_and_followed", logs_are_found_filtered_and_followed),
    ("data_outlives_its_app_until_it_is_destroyed", data_outlives_its_app_until_it_is_destroyed),
];

/// Answers with what it was asked, and its own name.
fn echo(name: &str) -> App {
    let source = format!(
        "import json, os, time\ndef application(environ, start_response):\n    if environ['PATH_INFO'] == '/slow': time.sleep(4)\n    if environ['PATH_INFO'] == '/log': environ['wsgi.errors'].write(environ['QUERY_STRING'] + '\\n')\n    start_response('200 OK', [('Content-Type', 'application/json')])\n    told = {{k: v for k, v in environ.items() if isinstance(v, str)}}\n    return [json.dumps(dict(told, app={name:?}, release=os.environ['CLOUDTOOL_RELEASE'])).encode()]\n"
    );
    App::new(name, "runner = app.py\n").file("app.py", &source)
}

fn told(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("not the app's: {} {}", answer.status, answer.body))
}

fn requests_reach_the_app_they_are_for(world: &World) {
    let (one, two, three) = (echo("one"), echo("two"), echo("three"));
    let there = |host: &str, path: &str| told(&get(&world.address, host, path));
    let app_at = |host: &str, path: &str| -> String {
        let answer = get(&world.address, host, path);
        if answer.status == 404 { "404".to_owned() } else { told(&answer)["app"].as_str().expect("a name").to_owned() }
    };
    world.ok(["update", one.path_str(), "--host", "r.test", "--host", "other.test", "--host", "*.wild.test"]);
    world.ok(["update", two.path_str(), "--host", "r.test/blog", "--host", "*.deep.wild.test"]);
    world.ok(["update", three.path_str(), "--host", "r.test/blog/admin", "--host", "named.wild.test"]);

    // Segment borders, and the longest wins.
    for (path, app, script, info) in [
        ("/", "one", "", "/"),
        ("/blo", "one", "", "/blo"),
        ("/blogs", "one", "", "/blogs"),
        ("/blog.html", "one", "", "/blog.html"),
        ("/Blog", "one", "", "/Blog"),
        ("/blog", "two", "/blog", "/"),
        ("/blog/", "two", "/blog", "/"),
        ("/blog/x/y?q=/blog", "two", "/blog", "/x/y"),
        ("/blog/adminx", "two", "/blog", "/adminx"),
        ("/blog/admin", "three", "/blog/admin", "/"),
        ("/blog/admin/a%20b", "three", "/blog/admin", "/a b"),
        ("/blog?x=1", "two", "/blog", "/"),
    ] {
        let found = there("r.test", path);
        assert_eq!(
            (&found["app"], &found["SCRIPT_NAME"], &found["PATH_INFO"]),
            (&app.into(), &script.into(), &info.into()),
            "{path}"
        );
    }
    // Hosts, in whatever form they come.
    for (host, app) in [
        ("other.test", "one"),
        ("R.TEST", "one"),
        ("r.test:80", "one"),
        ("R.Test:8080", "one"),
        ("a.wild.test", "one"),
        ("a.b.wild.test", "one"),
        ("named.wild.test", "three"),
        ("x.deep.wild.test", "two"),
        ("y.x.deep.wild.test", "two"),
        ("deep.wild.test", "one"),
        ("wild.test", "404"),
        ("xwild.test", "404"),
        ("r.test.evil", "404"),
        ("evil-r.test", "404"),
        ("nobody.test", "404"),
        ("r.tes", "404"),
        ("test", "404"),
        ("198.18.0.1", "404"),
    ] {
        assert_eq!(app_at(host, "/"), app, "{host}");
    }
    let nobody = get(&world.address, "nobody.test", "/");
    assert!(nobody.status == 404 && nobody.body.contains("<html"), "a page of ours: {}", nobody.body);
    // Odd hosts and request lines: refused or not found, and never somebody's app by mistake.
    for host in [
        "",
        ".",
        "..",
        "r.test/blog",
        "r.test/../other",
        "r.test\\x",
        "r.test@other",
        "[::1]",
        "r test",
        "%72.test",
        "r.test#",
        "*.wild.test",
        ".wild.test",
        "r.test,other.test",
    ] {
        let answer = get(&world.address, host, "/");
        assert!(
            [400, 404].contains(&answer.status) || host == "*.wild.test" || host == ".wild.test",
            "{host:?}: {} {}",
            answer.status,
            answer.body
        );
    }
    let raw = |text: &str| {
        Connection::open(&world.address, 80)
            .and_then(|mut connection| connection.raw(text.as_bytes()))
            .map(|answer| answer.status)
            .unwrap_or(400)
    };
    assert!([400, 404].contains(&raw("GET / HTTP/1.1\r\n\r\n")));
    assert!([400, 404].contains(&raw("GET / HTTP/1.0\r\n\r\n")));
    assert!([400, 404].contains(&raw("GET / HTTP/1.1\r\nHost: r.test\r\nHost: other.test\r\n\r\n")));
    assert!([400, 404].contains(&raw("GET http://nobody.test/ HTTP/1.1\r\nHost: r.test\r\n\r\n")));
    assert_eq!(raw("GET http://r.test/blog HTTP/1.1\r\nHost: r.test\r\n\r\n"), 200);
    assert_eq!(raw(&format!("GET / HTTP/1.1\r\nHost: r.test\r\nX: {}\r\n\r\n", "x".repeat(7000))), 200);
    assert!([400, 431].contains(&raw(&format!("GET / HTTP/1.1\r\nHost: r.test\r\nX: {}\r\n\r\n", "x".repeat(60_000)))));
    // www is redirected, with path and port; a mount's host makes none of its own.
    let www = get(&world.address, "www.r.test:8080", "/blog/x?y=1");
    assert_eq!((www.status, www.header("location")), (301, Some("http://r.test:8080/blog/x?y=1")));

    // Taken locations; moving them by hand; the previous release.
    let said = world.fails(2, ["update", two.path_str(), "--host", "r.test"]);
    assert!(said.contains("r.test belongs to the app one") || said.contains("one"), "{said}");
    assert_eq!(app_at("r.test", "/"), "one");
    two.write("more.txt", b"x");
    world.ok(["update", two.path_str()]);
    assert_eq!(
        (there("r.test", "/blog")["release"].as_str(), there("prev.r.test", "/blog")["release"].as_str()),
        (Some("v2"), Some("v1"))
    );
    world.ok(["activate", "r.test/blog", "prev"]);
    assert_eq!(there("r.test", "/blog")["release"], "v1");
    world.ok(["activate", "r.test/blog", "two@v2"]);
    assert_eq!(there("r.test", "/blog")["release"], "v2");
    world.ok(["activate", "other.test", "two"]);
    assert_eq!((app_at("other.test", "/"), app_at("r.test", "/")), ("two".to_owned(), "one".to_owned()));
    world.ok(["deactivate", "other.test", "*.wild.test"]);
    assert_eq!(
        (app_at("other.test", "/"), app_at("a.wild.test", "/"), app_at("named.wild.test", "/")),
        ("404".to_owned(), "404".to_owned(), "three".to_owned())
    );

    // What query finds.
    for (filter, found) in [
        (&["one"][..], &["one"][..]),
        (&["t*"], &["three", "two"]),
        (&["r.test"], &["one", "three", "two"]),
        (&["named.*", "one"], &["one", "three"]),
        (&["nothing"], &[]),
    ] {
        let answer: Value = serde_json::from_str(&world.ok([&["query", "--json"], filter].concat())).expect("JSON");
        let mut apps: Vec<&str> =
            answer["apps"].as_array().expect("apps").iter().filter_map(|app| app["app"].as_str()).collect();
        apps.sort_unstable();
        assert_eq!(apps, found, "{filter:?}");
    }
    for app in ["one", "two", "three"] {
        world.ok(["remove", app, "-y"]);
    }
}

fn files_are_served_and_sources_are_not(world: &World) {
    let ini = "runner = app.py\nservice.writable_root =\n";
    let app = echo("files")
        .ini(ini)
        .file("static/index.html", "front page")
        .file("static/style.css", "css")
        .file("static/deep/index.html", "deep")
        .file("static/both.txt", "static")
        .file("static/.hidden", "hidden")
        .file("static/.git/config", "git")
        .file("static/.well-known/x", "known")
        .file("lib/python/code.py", "secret = 1")
        .file("notes.txt", "no");
    app.write("static/.cloudtoolignore", b"");
    world.ok(["update", app.path_str(), "--host", "f.test", "--host", "g.test/m"]);
    world.node_script(
        "cd /srv/cloudtool/apps/files/data/writable_root; mkdir -p f.test; echo -n all >both.txt; echo -n all >up.txt; echo -n 'per host' >f.test/up.txt; echo -n php >up.php; chown -R ct-files: .",
    );
    for (host, mount) in [("f.test", ""), ("g.test", "/m")] {
        let body = |path: &str| get(&world.address, host, &format!("{mount}{path}")).body;
        assert_eq!(
            (body("/").as_str(), body("/style.css").as_str(), body("/deep/").as_str(), body("/both.txt").as_str()),
            ("front page", "css", "deep", "static")
        );
        assert_eq!(body("/.well-known/x"), "known");
        assert_eq!(body("/up.txt"), if host == "f.test" { "per host" } else { "all" });
        let slash = get(&world.address, host, &format!("{mount}/deep"));
        assert_eq!(
            (slash.status, slash.header("location")),
            (301, Some(format!("http://{host}{mount}/deep/").as_str()))
        );
        let index = get(&world.address, host, &format!("{mount}/deep/index.html"));
        assert_eq!(
            (index.status, index.header("location")),
            (301, Some(format!("http://{host}{mount}/deep/").as_str()))
        );
        // Never a file: the app answers, or an error.
        for path in [
            "/app.ini",
            "/app.py",
            "/lib/python/code.py",
            "/notes.txt",
            "/.hidden",
            "/.git/config",
            "/.cloudtoolignore",
            "/../app.ini",
            "/static/../app.ini",
            "/%2e%2e/app.ini",
            "/..%2fapp.ini",
            "/deep/../../app.ini",
            "//app.ini",
            "/deep/%2e%2e/%2e%2e/app.py",
            "/%2ehidden",
            "/x/..;/app.ini",
            "/deep/..%5c..%5capp.ini",
            "/etc/passwd",
            "//etc/passwd",
            "/%00",
            "/style.css%00.html",
            "/style.css/x",
        ] {
            let answer = get(&world.address, host, &format!("{mount}{path}"));
            let app_said = answer.status == 200 && answer.body.starts_with('{');
            assert!(
                app_said || [400, 403, 404].contains(&answer.status),
                "{host}{mount}{path}: {} {}",
                answer.status,
                answer.body
            );
        }
        // What is not a reading is for the app.
        assert_eq!(
            told(&request(&world.address, "POST", host, &format!("{mount}/style.css"), "", b"x"))["REQUEST_METHOD"],
            "POST"
        );
    }
    // PHP: its source is never read, also where visitors can put files.
    let php = App::new("phpfiles", "runner = front.php\nservice.writable_root =\n")
        .file("front.php", "<?php echo json_encode(['script' => $_SERVER['SCRIPT_NAME'], 'uri' => $_SERVER['REQUEST_URI'], 'addr' => $_SERVER['REMOTE_ADDR']]); // source")
        .file("static/page.php", "<?php echo 'source';").file("secret.inc", "<?php // source");
    world.ok(["update", php.path_str(), "--host", "php.test", "--host", "g.test/php"]);
    world.node_script("cd /srv/cloudtool/apps/phpfiles/data/writable_root; echo '<?php // source' >up.php; cp up.php up.phtml; chown ct-phpfiles: *");
    for path in ["/", "/page.php", "/front.php", "/secret.inc", "/up.php", "/up.phtml", "/up.php/x", "/app.ini", "/x"] {
        let answer = get(&world.address, "php.test", path);
        assert!(
            answer.status == 200 && answer.body.starts_with("{\"script\"") && !answer.body.contains("source"),
            "{path}: {} {}",
            answer.status,
            answer.body
        );
    }
    let mounted = told(&get(&world.address, "g.test", "/php/a?b=1"));
    assert_eq!((&mounted["script"], &mounted["uri"]), (&"/php/front.php".into(), &"/php/a?b=1".into()));
    for app in ["files", "phpfiles"] {
        world.ok(["remove", app, "-y", "--with-data"]);
    }
}

fn what_the_front_says_cannot_be_said_by_a_visitor(world: &World) {
    let app = echo("heads");
    world.ok(["update", app.path_str(), "--host", "h.test"]);
    let headers = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: https\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nClient-IP: 6.6.6.6\r\n\
        X-Cloudtool-Mount: /evil\r\nx-cloudtool-update: x\r\nX_Cloudtool_Mount: /evil\r\nX-Cloudtool_Mount: /evil\r\nProxy: http://evil.test\r\n";
    let seen = told(&request(&world.address, "GET", "h.test", "/", headers, b""));
    let ours = world.node_says(["sh", "-c", "'echo ${SSH_CONNECTION%% *}'"]);
    assert_eq!(seen["REMOTE_ADDR"], ours, "{seen}");
    assert_eq!(
        (&seen["HTTP_X_FORWARDED_HOST"], &seen["wsgi.url_scheme"], &seen["SCRIPT_NAME"]),
        (&"h.test".into(), &"http".into(), &"".into())
    );
    let fields = seen.as_object().expect("an object");
    assert!(
        fields.keys().all(|name| !name.contains("CLOUDTOOL_MOUNT")
            && !name.contains("CLOUDTOOL_UPDATE")
            && name != "HTTP_PROXY"),
        "{seen}"
    );
    assert!(
        fields.get("HTTP_X_FORWARDED_FOR").is_none_or(|value| !value.as_str().unwrap_or_default().contains("6.6.6.6")),
        "{seen}"
    );
    let line = world.node_script("tail -n 1 /var/log/cloudtool/heads/access.log");
    assert!(line.starts_with(&format!("{ours} ")), "{line}");
    world.ok(["remove", "heads", "-y"]);
}

fn a_slow_app_gets_a_page_of_ours(world: &World) {
    let app = echo("slow").ini("runner = app.py\nrequest_timeout = 1\n");
    world.ok(["update", app.path_str(), "--host", "slow.test"]);
    let answer = get(&world.address, "slow.test", "/slow");
    let page = world.node_script("cat /etc/cloudtool/front/504.http");
    assert_eq!(answer.status, 504);
    assert!(
        !answer.body.trim().is_empty() && page.contains(answer.body.trim().lines().next().expect("a line").trim()),
        "{}",
        answer.body
    );
    assert_eq!(get(&world.address, "slow.test", "/").status, 200);
    world.ok(["remove", "slow", "-y"]);
}

fn logs_are_found_filtered_and_followed(world: &World) {
    let app = echo("talks");
    world.ok(["update", app.path_str(), "--host", "talks.test"]);
    for word in ["first", "second", "third"] {
        get(&world.address, "talks.test", &format!("/log?{word}"));
    }
    let logs = |args: &[&str]| world.ok([&["logs", "talks", "--stream", "error"], args].concat());
    let all = logs(&[]);
    assert!(all.contains("first") && all.contains("second") && all.contains("third"), "{all}");
    let last = logs(&["-n", "1"]);
    assert!(last.lines().count() == 1 && last.contains("third"), "{last}");
    let found = logs(&["--grep", "f.rst|sec"]);
    assert!(found.lines().count() == 2 && found.contains("first") && found.contains("second"), "{found}");
    assert!(logs(&["--since", "10m"]).contains("first"));
    assert_eq!(logs(&["--since", "2999-01-01"]), "");
    assert!(logs(&["--since", "2000-01-01T00:00:00Z"]).contains("first"));
    for bad in [["--since", "yesterday"], ["--since", "10"], ["--grep", "("]] {
        world.fails(2, [&["logs", "talks"], &bad[..]].concat());
    }
    world.fails(2, ["logs", "nobody-here"]);
    assert!(world.ok(["logs", "talks", "--stream", "access", "-n", "1"]).contains("/log?third"));

    let mut follow = world
        .command(["logs", "talks", "--stream", "error", "-f", "-n", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(follow.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line comes").expect("it is text");
    assert!(next().contains("third"));
    get(&world.address, "talks.test", "/log?fourth");
    assert!(next().contains("fourth"));
    // Ctrl-C.
    rustix::process::kill_process(rustix::process::Pid::from_child(&follow), rustix::process::Signal::INT)
        .expect("it is told");
    let status = follow.wait().expect("it ends");
    assert_eq!(status.code(), Some(0), "that is how following ends");
    // Nothing of it is left on the node.
    world.node_script(
        "for n in $(seq 100); do pgrep -f '[c]loudtool/node/__main__' >/dev/null || exit 0; sleep 0.1; done; exit 1",
    );
    world.ok(["remove", "talks", "-y"]);
}

fn data_outlives_its_app_until_it_is_destroyed(world: &World) {
    let app = crate::probe::app("lasting", "service.files =\n");
    let ask = |code: &str| {
        crate::probe::ask(
            world,
            "lasting.test",
            &format!(
                "import os; path = os.environ['CONFIG_FILES'] + '/kept'; secret = open(os.environ['CLOUDTOOL_SECRET_FILE']).read(); {code}"
            ),
        )
    };
    world.ok(["update", app.path_str(), "--host", "lasting.test"]);
    assert_eq!(ask("open(path, 'w').write('old'); print(open(path).read())"), "old");
    let secret = ask("print(secret)");
    // A dry run takes nothing away, and says what the real one does.
    for number in 0..3 {
        app.write("n.txt", format!("{number}").as_bytes());
        world.ok(["update", app.path_str()]);
    }
    let releases = || world.node_script("ls /srv/cloudtool/apps/lasting/releases");
    assert_eq!(releases(), "v1\nv2\nv3\nv4");
    let said = world.ok(["clean-node", "-n"]);
    assert!(said.contains("lasting/releases/v1") && said.contains("lasting/releases/v2"), "{said}");
    assert_eq!(releases(), "v1\nv2\nv3\nv4");
    world.ok(["clean-node"]);
    assert_eq!(releases(), "v3\nv4");

    world.ok(["remove", "lasting", "-y"]);
    assert_eq!(get(&world.address, "lasting.test", "/").status, 404);
    world.ok(["update", app.path_str(), "--host", "lasting.test"]);
    assert_eq!(ask("print(open(path).read())"), "old");
    assert_eq!(ask("print(secret)"), secret);
    world.fails(8, ["remove", "lasting", "--with-data"]);
    world.ok(["remove", "lasting", "-y", "--with-data"]);
    let left = world.node_script("find /srv /etc /var/lib/cloudtool /var/log /run -path '*lasting*' -not -path '/run/log/*' -not -path '/run/systemd/*' -not -path '*/journal/*'; getent passwd ct-lasting || true");
    assert_eq!(left, "");
    world.ok(["update", app.path_str(), "--host", "lasting.test"]);
    assert_eq!(ask("print(os.path.exists(path), secret == 'x')"), "False False");
    assert_ne!(ask("print(secret)"), secret);
    world.ok(["remove", "lasting", "-y", "--with-data"]);
}
