//! `serve`, `env` and `run --local`: an app on this machine is as it is on a node, and nothing of it stays.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::Test;
use crate::faults::signal;
use crate::http::{Answer, Connection, request};
use crate::probe;
use crate::whole::await_that;
use crate::world::{App, World, assert_success};

pub const TESTS: &[Test] = &[
    ("files_are_served_as_on_a_node", files_are_served_as_on_a_node),
    ("processes_see_what_they_see_on_a_node", processes_see_what_they_see_on_a_node),
    ("a_change_is_served_and_a_mistake_is_shown", a_change_is_served_and_a_mistake_is_shown),
    ("a_command_and_its_sockets_are_passed_on", a_command_and_its_sockets_are_passed_on),
    ("processes_run_beside_the_app", processes_run_beside_the_app),
    ("services_are_the_app_s_own", services_are_the_app_s_own),
    ("what_is_missing_is_named", what_is_missing_is_named),
];

/// These need PHP on the node, and here.
pub const PHP_TESTS: &[Test] = &[("php_is_as_on_a_node", php_is_as_on_a_node)];

/// An app that is served here.
struct Served {
    process: Child,
    port: u16,
    events: BufReader<std::process::ChildStdout>,
    dir: String,
}

impl Served {
    fn start(world: &World, app: &App, more: &[&str]) -> Self {
        let words = [&["serve", app.path_str(), "--port", "0", "--json"], more].concat();
        let mut command = world.command(words);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let events = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut served = Served { process, port: 0, events, dir: app.path_str().to_owned() };
        let event = served.event();
        assert!(["serving", "complaining"].contains(&event["event"].as_str().unwrap_or_default()), "{event}");
        let url = event["url"].as_str().expect("a URL").trim_start_matches("http://127.0.0.1:");
        served.port = url.split('/').next().and_then(|port| port.parse().ok()).expect("a port");
        served
    }

    /// What happens next.
    fn event(&mut self) -> Value {
        let mut line = String::new();
        self.events.read_line(&mut line).expect("it speaks");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn await_event(&mut self, name: &str) -> Value {
        loop {
            let event = self.event();
            if event["event"] == name {
                return event;
            }
        }
    }

    fn ask(&self, method: &str, host: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        Connection::open("127.0.0.1", self.port)
            .and_then(|mut connection| connection.request(method, host, path, headers, body))
            .expect("an answer")
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", "localhost", path, "", b"")
    }

    /// Ends it as Ctrl-C does. Nothing of it is left.
    fn end(mut self) {
        signal(self.process.id(), "INT");
        let status = self.process.wait().expect("it ends");
        assert!(status.success(), "{status}");
        assert_eq!(left_of(&self.dir), Vec::<String>::new());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Processes that have the app's directory in their command line or environment, but for those that are about to be reaped.
fn left_of(dir: &str) -> Vec<String> {
    let ids = fs::read_dir("/proc").expect("/proc").flatten();
    let ids = ids.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()));
    let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\0', " ");
    ids.filter_map(|entry| {
        let (line, environment) = (read(entry.path().join("cmdline")), read(entry.path().join("environ")));
        (format!("{line} {environment}").contains(dir)).then_some(line)
    })
    .collect()
}

/// What matters of an answer: status, kind, where it leads, and the text.
fn gist(answer: &Answer, root: &str) -> (u16, String, String, String) {
    let kind = answer.header("content-type").unwrap_or_default().to_lowercase().replace(' ', "");
    let to = answer.header("location").unwrap_or_default();
    let body = if answer.status < 300 { answer.body.clone() } else { String::new() };
    (answer.status, kind, to.strip_prefix(root).unwrap_or(to).to_owned(), body)
}

/// Asks the same of a node and of this machine.
fn assert_alike(world: &World, served: &Served, host: &str, requests: &[(&str, &str, &str)]) {
    let different = requests.iter().filter_map(|(method, path, headers)| {
        let there = request(&world.address, method, host, path, headers, b"");
        let here = served.ask(method, host, path, headers, b"");
        let (mut there, here) = (gist(&there, &format!("http://{host}")), gist(&here, ""));
        // Pages about what went wrong are Apache's own, and HTML.
        if there.0 >= 300 {
            there.1.clone_from(&here.1);
        }
        (here != there).then(|| format!("{method} {path} {headers:?}\n  here {here:?}\n  there {there:?}"))
    });
    assert_eq!(different.collect::<Vec<_>>().join("\n"), "");
}

const FILES: &str = "
import os
def application(environ, start_response):
    root = os.environ['CONFIG_WRITABLE_ROOT']
    for path in ('written.txt', 'style.css', 'files.test/only.txt', 'sub/index.html'):
        os.makedirs(os.path.dirname(f'{root}/{path}'), exist_ok=True)
        open(f'{root}/{path}', 'w').write(f'written {path}')
    names = ('REQUEST_METHOD', 'SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'REQUEST_URI', 'wsgi.url_scheme', 'SERVER_NAME')
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [repr([environ.get(name) for name in names]).encode()]
";

fn files_are_served_as_on_a_node(world: &World) {
    let app = App::new("files", "runner = app.py\nservice.writable_root =\n")
        .file("app.py", FILES)
        .file("static/style.css", "body { color: red }")
        .file("static/a b.txt", "blank")
        .file("static/picture.png", "no picture")
        .file("static/data.unknown", "?")
        .file("static/docs/index.html", "<p>docs")
        .file("static/.hidden", "hidden")
        .file("static/app.ini", "not the app's")
        .file("static/.well-known/security.txt", "known");
    world.ok(["update", app.path_str(), "--host", "files.test", "--host", "other.test/below/it"]);
    let served = Served::start(world, &app, &[]);
    let requests: &[(&str, &str, &str)] = &[
        ("GET", "/", ""),
        ("GET", "/style.css", ""),
        ("HEAD", "/style.css", ""),
        ("POST", "/style.css", ""),
        ("GET", "/style.css?v=2", ""),
        ("GET", "/style.css", "Range: bytes=5-9\r\n"),
        ("GET", "/style.css", "Range: bytes=-4\r\n"),
        ("GET", "/style.css", "Range: bytes=900-\r\n"),
        ("GET", "/style.css/", ""),
        ("GET", "/a%20b.txt", ""),
        ("GET", "//style.css", ""),
        ("GET", "/docs/../style.css", ""),
        ("GET", "/picture.png", ""),
        ("GET", "/docs", ""),
        ("GET", "/docs?x=1", ""),
        ("GET", "/docs/", ""),
        ("GET", "/docs/index.html", ""),
        ("GET", "/.hidden", ""),
        ("GET", "/app.ini", ""),
        ("GET", "/app.py", ""),
        ("GET", "/.well-known/security.txt", ""),
        ("GET", "/written.txt", ""),
        ("GET", "/sub", ""),
        ("GET", "/sub/", ""),
        ("GET", "/only.txt", ""),
        ("GET", "/../etc/passwd", ""),
        ("GET", "/%2e%2e/app.py", ""),
        ("GET", "/x%2Fy?a=b%20c", ""),
        ("GET", "/%C3%BC/x;y", ""),
        ("OPTIONS", "/x", ""),
        ("GET", "/data.unknown", ""),
    ];
    assert_alike(world, &served, "files.test", requests);

    // A browser asks whether a file has changed.
    let first = served.get("/style.css");
    let tag = first.header("etag").expect("a tag").to_owned();
    assert_eq!(served.ask("GET", "localhost", "/style.css", &format!("If-None-Match: {tag}\r\n"), b"").status, 304);
    app.write("static/style.css", b"body { color: green }");
    let again = served.ask("GET", "localhost", "/style.css", &format!("If-None-Match: {tag}\r\n"), b"");
    assert_eq!((again.status, again.body.as_str()), (200, "body { color: green }"));
    served.end();

    let below = Served::start(world, &app, &["--mount", "/below/it"]);
    world.ok(["update", app.path_str(), "--host", "other.test/below/it"]);
    let requests: &[(&str, &str, &str)] = &[
        ("GET", "/below/it/", ""),
        ("GET", "/below/it", ""),
        ("GET", "/below/it/x?y=z", ""),
        ("GET", "/below/it/docs", ""),
        ("GET", "/below/it/style.css", ""),
        ("GET", "/below/itself", ""),
    ];
    assert_alike(world, &below, "other.test", requests);
    assert_eq!(below.get("/").header("location"), Some("/below/it/"));
    below.end();
}

fn processes_see_what_they_see_on_a_node(world: &World) {
    let ini =
        "service.files =\nservice.writable_root =\nconfig.default = defaults.env\n[env]\nODD = $(id) \"%n\" 'x'\n";
    let app = probe::app("seen", ini)
        .file("defaults.env", "LANGUAGE=en\n")
        .file("bin/say.py", "import os\nprint(os.environ['ODD'], os.getcwd())\n");
    world.ok(["update", app.path_str(), "--host", "seen.test"]);
    let names = |told: &Value| -> BTreeSet<String> {
        told.as_object().expect("variables").keys().filter(|name| name.as_str() != "LC_CTYPE").cloned().collect()
    };
    let served = Served::start(world, &app, &[]);
    let code = b"import json, os; print(json.dumps(dict(os.environ)))";
    let here: Value = serde_json::from_str(&served.ask("POST", "localhost", "/", "", code).body).expect("JSON");
    let there = probe::environment(world, "seen.test");
    // What systemd and Apache say of themselves, and the slot's own.
    let of_node = [
        "APACHE_",
        "CLOUDTOOL_DRAIN_TIMEOUT",
        "CLOUDTOOL_RUN_DIR",
        "CLOUDTOOL_SLOT",
        "CLOUDTOOL_WORKERS",
        "CLOUDTOOL_WRITABLE_ROOT",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "LOGNAME",
        "MEMORY_PRESSURE",
        "OLDPWD",
        "PWD",
        "RUNTIME_DIRECTORY",
        "SHELL",
        "SYSTEMD_EXEC_PID",
        "USER",
    ];
    let missing: Vec<String> = names(&there)
        .difference(&names(&here))
        .filter(|name| !of_node.iter().any(|known| name.starts_with(known)))
        .cloned()
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    for name in [
        "CLOUDTOOL_APP_NAME",
        "CLOUDTOOL_RUNNER",
        "CLOUDTOOL_RUNNER_OBJECT",
        "CLOUDTOOL_RUNNER_KIND",
        "LANG",
        "LANGUAGE",
        "ODD",
    ] {
        assert_eq!(here[name], there[name], "{name}");
    }
    assert_eq!(here["CLOUDTOOL_RELEASE"], "devel");
    let secret = fs::read_to_string(here["CLOUDTOOL_SECRET_FILE"].as_str().expect("a path")).expect("the secret");
    assert_eq!(secret.len(), 48);
    let flags = b"print(environ.get('cloudtool.devel'), environ['wsgi.input_terminated'], environ['REMOTE_ADDR'])";
    assert_eq!(served.ask("POST", "localhost", "/", "X-Cloudtool-Update: x\r\n", flags).body, "True True 127.0.0.1\n");

    // The same from outside of it, as a shell reads it and as JSON.
    let told: Value = serde_json::from_str(&world.ok(["env", app.path_str(), "--json"])).expect("JSON");
    for (name, value) in told.as_object().expect("variables") {
        assert_eq!(&here[name], value, "{name}");
    }
    let mut shell = std::process::Command::new("sh");
    let text = world.ok(["env", app.path_str()]);
    let output = shell.env_clear().args(["-c", &format!("{text}\nprintf %s \"$ODD\"")]).output().expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "$(id) \"%n\" 'x'");
    let path = app.path().canonicalize().expect("a path");
    let output = world.cloudtool(["run", "--local", app.path_str(), "say.py"]);
    assert_success(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("$(id) \"%n\" 'x' {}\n", path.display()));
    assert_eq!(
        world.cloudtool(["run", "--local", app.path_str(), "sh", "-c", "kill -TERM $$"]).status.code(),
        Some(143)
    );
    // None of this travels.
    app.write("more.txt", b"");
    world.ok(["update", app.path_str(), "--host", "seen.test"]);
    let listed = world.ok(["run", "seen", "ls", "-A"]);
    assert!(!listed.contains(".cloudtool"), "{listed}");
    served.end();
}

fn a_change_is_served_and_a_mistake_is_shown(world: &World) {
    let source = |answer: &str| {
        format!(
            "import os, pathlib, time
def application(environ, start_response):
    if environ['PATH_INFO'] == '/raise':
        raise ValueError('of the request')
    if environ['PATH_INFO'] == '/slow':
        pathlib.Path('begun.tmp').write_text('x')
        while not os.path.exists('go.tmp'):
            time.sleep(0.01)
    if environ['PATH_INFO'] == '/write':
        pathlib.Path('notes.sqlite3').write_text('x')
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [('{answer} %d %s %s' % (os.getpid(), os.environ.get('MODE'), environ.get('cloudtool.update'))).encode()]
"
        )
    };
    let app = App::new("changing", "runner = app.py\nupdate_fetch =\n  script:migrate.py\n  /sync\n[env]\nMODE = a\n")
        .file("app.py", &source("one"))
        .file("migrate.py", "open('migrated.log', 'a').write('x')\n");
    let mut served = Served::start(world, &app, &[]);
    let first = served.get("/").body;
    assert!(first.starts_with("one ") && first.ends_with(" a None"), "{first}");
    assert_eq!(fs::read_to_string(app.path().join("migrated.log")).expect("it was migrated"), "x");

    // Not for what the app writes, nor for what is only served.
    assert_eq!(served.get("/write").body, first);
    app.write("static/style.css", b"x");
    assert_eq!(served.get("/style.css").body, "x");
    app.write("app.py", source("two").as_bytes());
    assert_eq!(served.await_event("changed")["what"], "app.py");
    served.await_event("serving");
    let second = served.get("/").body;
    assert!(second.starts_with("two ") && second != first, "{second}");
    assert_eq!(fs::read_to_string(app.path().join("migrated.log")).expect("it was migrated"), "x");

    // app.ini, too.
    let ini = fs::read_to_string(app.path().join("app.ini")).expect("app.ini");
    app.write("app.ini", ini.replace("MODE = a", "MODE = b").as_bytes());
    served.await_event("serving");
    assert!(served.get("/").body.ends_with(" b None"));
    app.write("app.ini", ini.replace("app_name", "app_nme").as_bytes());
    served.await_event("failed");
    let page = served.ask("GET", "localhost", "/", "Accept: text/html\r\n", b"");
    assert_eq!((page.status, page.header("content-type")), (500, Some("text/html; charset=utf-8")));
    assert!(page.body.contains("app_nme"), "{}", page.body);
    app.write("app.ini", ini.as_bytes());
    served.await_event("serving");

    // An app that cannot be loaded says why, with the line; one that comes back is there at once.
    app.write("app.py", b"import os\n\n\nvalue = <b>nothing\n");
    served.await_event("complaining");
    let page = served.ask("GET", "localhost", "/", "Accept: text/html\r\n", b"");
    assert!(
        page.status == 500 && page.body.contains("SyntaxError") && page.body.contains("&lt;b&gt;nothing"),
        "{}",
        page.body
    );
    assert!(page.body.contains("app.py:4") && !page.body.contains("importlib"), "{}", page.body);
    app.write("app.py", b"import no_such_module_of_mine\n");
    served.await_event("complaining");
    let text = served.get("/").body;
    assert!(
        text.contains("ModuleNotFoundError") && text.contains("list it in a file that app.ini names as requirements"),
        "{text}"
    );
    app.write("app.py", source("three").as_bytes());
    served.await_event("serving");
    assert!(served.get("/").body.starts_with("three "));
    let raised = served.get("/raise");
    assert!(raised.status == 500 && raised.body.contains("ValueError: of the request"), "{}", raised.body);

    // A request that runs when the code changes is answered by the code it was sent to.
    let port = served.port;
    let slow = std::thread::spawn(move || {
        let mut connection = Connection::open("127.0.0.1", port).expect("it listens");
        connection.request("GET", "localhost", "/slow", "", b"").expect("an answer").body
    });
    await_that("the request runs", || app.path().join("begun.tmp").exists().then_some(()));
    app.write("app.py", source("four").as_bytes());
    served.await_event("serving");
    assert!(served.get("/").body.starts_with("four "));
    app.write("go.tmp", b"");
    let answered = slow.join().expect("it is answered");
    assert!(answered.starts_with("three "), "{answered}");
    served.end();
}

const SERVER: &str = r#"
import os, socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def serve(client):
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    if b"Upgrade: echo" in head:
        client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := client.recv(4096):
            client.sendall(b"echo " + data)
        return client.close()
    if b"GET /die" in head:
        os._exit(3)
    body = head.split(b"\r\n\r\n")[0]
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    client.close()
print("a line of the server", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],)).start()
"#;

fn a_command_and_its_sockets_are_passed_on(world: &World) {
    let app = App::new("commanded", "runner = command:python3 server.py $PORT\n").file("server.py", SERVER);
    let mut served = Served::start(world, &app, &["--mount", "/at"]);
    let head = served.get("/at/x?y").body;
    for line in ["GET /x?y HTTP/1.1", "X-Forwarded-Prefix: /at", "X-Forwarded-Host: localhost", "Connection: close"] {
        assert!(head.lines().any(|known| known == line), "{line} is not in {head}");
    }
    let mut socket = TcpStream::connect(("127.0.0.1", served.port)).expect("it listens");
    socket
        .write_all(b"GET /at/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        .expect("sent");
    let mut head = [0; 72];
    socket.read_exact(&mut head).expect("an answer");
    assert!(String::from_utf8_lossy(&head).starts_with("HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    for word in ["one", "two"] {
        socket.write_all(word.as_bytes()).expect("sent");
        let mut back = [0; 8];
        socket.read_exact(&mut back).expect("an echo");
        assert_eq!(String::from_utf8_lossy(&back), format!("echo {word}"));
    }
    drop(socket);
    // One that ends is shown with what it said, and comes back with the next change.
    let gone = served.get("/at/die");
    assert_eq!(gone.status, 500);
    served.await_event("failed");
    let page = served.get("/at/").body;
    assert!(page.contains("ended with status 3") && page.contains("a line of the server"), "{page}");
    app.write("server.py", SERVER.replace("a line", "another line").as_bytes());
    served.await_event("serving");
    assert_eq!(served.get("/at/").status, 200);

    // Not even a kill leaves something behind.
    served.process.kill().expect("it is killed");
    served.process.wait().expect("it ends");
    await_that("the end of the server", || left_of(&served.dir).is_empty().then_some(()));
}

fn processes_run_beside_the_app(world: &World) {
    let worker = "import os, time\nopen(os.environ['CLOUDTOOL_PROCESS'] + '.log', 'a').write('NUMBER\\n')\nif NUMBER == 2:\n    raise SystemExit(3)\nwhile True: time.sleep(1)\n";
    let app = App::hello("working", "hello")
        .ini("runner = app.py\n[process:worker]\ncommand = python3 worker.py\ncount = 2\n")
        .file("worker.py", &worker.replace("NUMBER", "1"));
    let mut served = Served::start(world, &app, &["--processes"]);
    let wrote = |name: &str, lines: &str| {
        await_that("the process writes", || {
            let text = fs::read_to_string(app.path().join(name)).unwrap_or_default();
            text.starts_with(lines).then_some(())
        });
    };
    wrote("worker.1.log", "1\n");
    wrote("worker.2.log", "1\n");
    // New with the app; one that ends is told, and started again.
    app.write("worker.py", worker.replace("NUMBER", "2").as_bytes());
    assert!(served.await_event("failed")["message"].as_str().unwrap_or_default().ends_with("has ended with status 3"));
    wrote("worker.1.log", "1\n2\n2\n");
    served.end();
    // What is no app is left as it is.
    let empty = tempfile::tempdir().expect("a directory");
    world.fails(2, ["serve", empty.path().to_str().expect("UTF-8")]);
    assert_eq!(fs::read_dir(empty.path()).expect("it is there").count(), 0);
}

const NOTES: &str = "
import os, subprocess
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    told = subprocess.run(['psql', os.environ['DATABASE_URL'], '-Atc', environ['QUERY_STRING'].replace('+', ' ')],
                          capture_output=True, text=True)
    return [(told.stdout + told.stderr).encode()]
";

fn services_are_the_app_s_own(world: &World) {
    let app = App::new("own_data", "runner = app.py\nservice.postgresql =\nservice.redis =\nservice.files =\n")
        .file("app.py", NOTES);
    // PostgreSQL's server is not root's, as these tests are.
    fs::set_permissions(app.path(), Permissions::from_mode(0o711)).expect("others may pass");
    let served = Served::start(world, &app, &[]);
    assert_eq!(served.get("/?select+current_user").body, "own_data\n");
    assert_eq!(served.get("/?create+table+notes+as+select+42+as+number").body, "SELECT 1\n");
    // What runs beside it finds the same.
    let local = |words: &[&str]| world.ok([&["run", "--local", app.path_str()], words].concat());
    let count = ["sh", "-c", "psql \"$DATABASE_URL\" -Atc 'select number from notes'"];
    assert_eq!(local(&count), "42\n");
    let redis = "import os, socket
with socket.create_connection((os.environ['CONFIG_REDIS_HOST'], int(os.environ['CONFIG_REDIS_PORT']))) as server:
    user, password, prefix = (os.environ['CONFIG_REDIS_' + part] for part in ('USER', 'PASSWORD', 'PREFIX'))
    server.sendall(f'AUTH {user} {password}\\r\\nSET {prefix}x 1\\r\\nSET other 1\\r\\nCONFIG GET dir\\r\\n'.encode())
    told = b''
    while told.count(b'\\r\\n') < 4:
        told += server.recv(4096)
    print(*(line.split()[0].decode() for line in told.splitlines()))";
    assert_eq!(local(&["python3", "-c", redis]), "+OK +OK -NOPERM -NOPERM\n");
    let before = world.ok(["env", app.path_str()]);
    served.end();
    // The data are there the next time, and so is what leads to them.
    assert_eq!(local(&count), "42\n");
    assert_eq!(world.ok(["env", app.path_str()]), before);
    assert_eq!(left_of(app.path_str()), Vec::<String>::new());
}

fn what_is_missing_is_named(world: &World) {
    let app =
        App::new("lacking", "runner = app.py\nservice.couchdb =\nconfig.required = API_KEY\n").file("app.py", FILES);
    let told = world.fails(2, ["env", app.path_str()]);
    assert!(told.contains("the service couchdb is none") && told.contains("[devel:lacking]"), "{told}");
    let config = world.home.path().join("devel.ini");
    let with = |text: &str| {
        fs::write(&config, text).expect("a configuration");
        fs::set_permissions(&config, Permissions::from_mode(0o600)).expect("its mode");
        world.command(["env", app.path_str(), "--json"]).env("CLOUDTOOL_CONFIG", &config).output().expect("it runs")
    };
    let server = "[devel]\ncouchdb.host = db.test:5984\ncouchdb.url = http://db.test:5984/APP_NAME\n[devel:lacking]\ncouchdb.db = x\ncouchdb.user = u\ncouchdb.password = sesame\n";
    let told = with(server);
    let text = String::from_utf8_lossy(&told.stderr);
    assert!(text.contains("lacking cannot do without: API_KEY") && text.contains("devel.ini"), "{text}");
    let told = with(&format!("{server}API_KEY = command:echo k e y\n"));
    assert_success(&told);
    let variables: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(variables["CONFIG_COUCHDB_URL"], "http://db.test:5984/lacking");
    assert_eq!((&variables["CONFIG_COUCHDB_PASSWORD"], &variables["API_KEY"]), (&"sesame".into(), &"k e y".into()));
    let told = with(&format!("{server}couchdb.pasword = x\n"));
    let text = String::from_utf8_lossy(&told.stderr);
    assert!(!told.status.success() && text.contains("couchdb.pasword in [devel:lacking]"), "{text}");
}

const PHP: &str = "<?php
header('Content-Type: text/plain');
foreach (['REQUEST_METHOD', 'SCRIPT_NAME', 'PHP_SELF', 'REQUEST_URI', 'QUERY_STRING', 'PATH_INFO', 'SERVER_NAME', 'ODD', 'HTTP_X_CLOUDTOOL_MOUNT'] as $name) {
    echo $name, '=', $_SERVER[$name] ?? 'none', PHP_EOL;
}
echo basename(getcwd()), ' ', basename($_SERVER['SCRIPT_FILENAME']), ' ', getenv('ODD'), ' ', file_get_contents('php://input');
";

fn php_is_as_on_a_node(world: &World) {
    let app = App::new("phpish", "platform = php\nphp_root = web\nrunner = web/front.php\n[env]\nODD = $x \"y\"\n")
        .file("web/front.php", PHP)
        .file("web/sub/index.php", PHP)
        .file("web/sub/page.php", PHP)
        .file("web/sub/plain.txt", "plain")
        .file("web/lib.inc", "<?php secret")
        .file("web/.hidden.php", PHP)
        .file("static/style.css", "x")
        .file("static/never.php", "<?php");
    world.ok(["update", app.path_str(), "--host", "phpish.test", "--host", "phpish.test/at"]);
    let requests: &[(&str, &str, &str)] = &[
        ("GET", "/", ""),
        ("GET", "/any/where?x=1", ""),
        ("POST", "/any", ""),
        ("GET", "/sub/", ""),
        ("GET", "/sub", ""),
        ("GET", "/sub/page.php?q", ""),
        ("GET", "/sub/page.php/more/of%20it", ""),
        ("GET", "/sub/plain.txt", ""),
        ("GET", "/lib.inc", ""),
        ("GET", "/.hidden.php", ""),
        ("GET", "/never.php", ""),
        ("GET", "/style.css", ""),
        ("GET", "/front.php", ""),
    ];
    let mut served = Served::start(world, &app, &[]);
    assert_alike(world, &served, "phpish.test", requests);
    // The index of a directory is called like any other script.
    assert_eq!(served.get("/sub/").body.lines().nth(1), Some("SCRIPT_NAME=/sub/index.php"));
    // PHP reads its files each time; a mistake is shown with its line.
    app.write("web/sub/page.php", b"<?php\nfunction f() { throw new RuntimeException('of <b>'); }\nf();\n");
    let page = served.ask("GET", "localhost", "/sub/page.php", "Accept: text/html\r\n", b"");
    assert!(page.status == 500 && page.body.contains("RuntimeException: of &lt;b&gt;"), "{}", page.body);
    assert!(page.body.contains("web/sub/page.php:2"), "{}", page.body);
    let ini = fs::read_to_string(app.path().join("app.ini")).expect("app.ini");
    app.write("app.ini", ini.replace("$x", "z").as_bytes());
    served.await_event("serving");
    assert!(served.get("/").body.contains("ODD=z \"y\""));
    served.end();
    let below = Served::start(world, &app, &["--mount", "/at"]);
    app.write("app.ini", ini.as_bytes());
    assert_eq!(below.get("/at/sub/").body.lines().nth(1), Some("SCRIPT_NAME=/at/sub/index.php"));
    below.end();
}
