//! `runner = command:...`: any HTTP server, under the same slots, checks and switches as the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::Test;
use crate::faults;
use crate::hammer::Hammer;
use crate::http::get;
use crate::whole::{await_that, none_failed, put_to_sleep, remove};
use crate::world::{App, World};

pub const TESTS: &[Test] = &[
    ("an_asgi_app_serves_and_switches_without_a_failed_request", an_asgi_app_serves_and_switches),
    ("a_command_that_does_not_serve_is_no_release", a_command_that_does_not_serve_is_no_release),
];

/// Says its number, and what it was asked; a WebSocket gets back what it sends.
const ASGI: &str = r#"
import json
import os

NUMBER = 1


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"{NUMBER} {message['text']}"})
        return
    if scope["path"] == "/die":
        os._exit(3)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    told = {"number": NUMBER, "path": scope["raw_path"].decode(), "query": scope["query_string"].decode(),
            "headers": headers, "pid": os.getpid(), "port": os.environ["PORT"]}
    body = json.dumps(told) if scope["path"] != "/" else f"number {NUMBER}"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body.encode()})
"#;

const UPDATES: u32 = 3;

fn an_asgi_app_serves_and_switches(world: &World) {
    let ini = "runner = command:uvicorn app:app --host 127.0.0.1 --port $PORT --no-access-log\nrequirements = requirements.txt\nhealth_timeout = 2m\n";
    let app = App::new("asgi", ini)
        .file("app.py", ASGI)
        .file("requirements.txt", "uvicorn\nwebsockets\n")
        .file("static/plain.txt", "a file");
    world.ok(["update", app.path_str(), "--host", "asgi.test/at"]);
    assert_eq!(get(&world.address, "asgi.test", "/at/plain.txt").body, "a file");
    let headers = "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Prefix: /evil\r\nX-Cloudtool-Update: guess\r\n";
    let answer = crate::http::request(&world.address, "GET", "asgi.test", "/at/x%2Fy%20z?q=%20a", headers, b"");
    let told: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((&told["path"], &told["query"]), (&"/x%2Fy%20z".into(), &"q=%20a".into()));
    assert_eq!(told["headers"]["host"], "asgi.test");
    assert_eq!(told["headers"]["x-forwarded-prefix"], "/at");
    assert_eq!(told["headers"]["x-forwarded-proto"], "http");
    assert_ne!(told["headers"]["x-forwarded-for"], "9.9.9.9");
    assert!(told["headers"]["x-cloudtool-update"].is_null(), "{told}");

    // The command's port is the app's own: nobody comes by it but through the front.
    let connect = |user: &str| {
        let port = told["port"].as_str().expect("a port");
        let code = format!("import socket; socket.create_connection((\\\"127.0.0.1\\\", {port}), 5)");
        world.on_node(["runuser", "-u", user, "--", "python3", "-c", &format!("'{}'", code.replace('\\', ""))])
    };
    assert!(connect("ct-asgi").status.success());
    world.node_script("useradd --system -K SYS_UID_MIN=61000 -K SYS_UID_MAX=63999 stranger");
    assert!(!connect("stranger").status.success());
    world.node_script("userdel stranger");

    let mut socket = Some(WebSocket::open(&world.address, "asgi.test", "/at/ws"));
    assert_eq!(socket.as_mut().map(|socket| socket.echo("hello")).as_deref(), Some("1 hello"));
    let load = Hammer::start(&world.address, "asgi.test", "/at/", 4, Some(|body| body.starts_with("number ")));
    for number in 2..=1 + faults::rounds(UPDATES) {
        app.write("app.py", ASGI.replace("NUMBER = 1", &format!("NUMBER = {number}")).as_bytes());
        world.ok(["update", app.path_str()]);
        assert_eq!(get(&world.address, "asgi.test", "/at/").body, format!("number {number}"));
        if let Some(mut before) = socket.take() {
            // It stays with the release it came to, while that drains.
            assert_eq!(before.echo("still"), "1 still");
            assert_eq!(WebSocket::open(&world.address, "asgi.test", "/at/ws").echo("new"), "2 new");
        }
    }
    world.ok(["rollback", "asgi"]);
    println!("{} requests", none_failed(load));
    // The previous release sleeps, its command too, and is woken by a request, which is answered.
    let prev = get(&world.address, "prev.asgi.test", "/at/");
    assert_eq!((prev.status, prev.body), (200, format!("number {}", 1 + faults::rounds(UPDATES))));
    put_to_sleep(world, "asgi");
    await_that("only one command runs", || {
        (world.node_script("systemctl list-units --plain --no-legend 'cloudtool-command-*@asgi.service' | wc -l")
            == "1")
            .then_some(())
    });

    // One that ends is started again.
    let pid = || {
        let answer = get(&world.address, "asgi.test", "/at/pid");
        let told: Option<serde_json::Value> = serde_json::from_str(&answer.body).ok();
        told.map(|told| told["pid"].clone()).filter(|_| answer.status == 200)
    };
    let first = pid().expect("a pid");
    get(&world.address, "asgi.test", "/at/die");
    assert_ne!(await_that("it is back", pid), first);
    let log = world.ok(["logs", "asgi", "--lines", "1000"]);
    assert!(log.contains("[command] uvicorn ended with status 3 after"), "{log}");
    remove(world, "asgi");
}

/// As much of a WebSocket as it takes to send a short text and to hear one.
struct WebSocket(TcpStream);

impl WebSocket {
    fn open(address: &str, host: &str, path: &str) -> Self {
        let mut stream = TcpStream::connect((address, 80)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("it is sent");
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            seen.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&seen);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        WebSocket(stream)
    }

    fn echo(&mut self, text: &str) -> String {
        let short = u8::try_from(text.len()).expect("a short text");
        // A mask of zeros changes nothing.
        let frame = [&[0x81, 0x80 | short, 0, 0, 0, 0], text.as_bytes()].concat();
        self.0.write_all(&frame).expect("it is sent");
        loop {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).expect("a frame");
            let mut body = vec![0; usize::from(head[1])];
            self.0.read_exact(&mut body).expect("all of it");
            if head[0] == 0x81 {
                return String::from_utf8(body).expect("text");
            }
        }
    }
}

/// A server that takes its time before it listens.
const PERL: &str = r#"#!/usr/bin/perl
use IO::Socket::INET;
$| = 1;
die "it cannot go on" if -e "$ENV{HOME}/broken";
sleep 1;
print "perl begins\n";
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $ARGV[0], Listen => 64, ReuseAddr => 1) or die;
while (my $client = $server->accept) {
    while (<$client>) { last if /^\r?\n$/ }
    my $body = "perl: $ARGV[1]";
    print $client "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
    close $client;
}
"#;

fn a_command_that_does_not_serve_is_no_release(world: &World) {
    use std::os::unix::fs::PermissionsExt;
    let app = App::new("perl", "runner = command:./server ${PORT} '$(id) \"$HOME\" %i'\n").file("server", PERL);
    let server = app.path().join("server");
    std::fs::set_permissions(server, std::fs::Permissions::from_mode(0o755)).expect("it can be executed");
    world.ok(["update", app.path_str(), "--host", "perl.test"]);
    assert_eq!(get(&world.address, "perl.test", "/").body, "perl: $(id) \"$HOME\" %i");
    let load = Hammer::start(&world.address, "perl.test", "/", 2, None);
    for (runner, says) in [
        ("sh -c 'echo the reason >&2; exit 7'", vec!["Its sh ended.", "the reason"]),
        (
            "no-such-program --port $PORT",
            vec!["Its no-such-program ended.", "no-such-program cannot be started: No such file"],
        ),
        ("sleep 1000", vec!["sleep does not listen on $PORT."]),
    ] {
        let app = App::new("perl", &format!("runner = command:{runner}\nhealth_timeout = 3s\n"));
        let said = world.fails(1, ["update", app.path_str()]);
        for text in says {
            assert!(said.contains(text), "{runner}: {text:?} is not in\n{said}");
        }
        assert_eq!(get(&world.address, "perl.test", "/").body, "perl: $(id) \"$HOME\" %i");
    }
    none_failed(load);

    // A live one that does not start any more, after a reboot say, can still be updated.
    std::fs::write(faults::on_disk("/srv/cloudtool/apps/perl/data/broken"), "").expect("it is broken");
    world.node_script("systemctl stop 'cloudtool-app-*@perl.service'");
    let mended = App::new("perl", "runner = command:./server $PORT mended\n")
        .file("server", &PERL.replace("die \"it", "warn \"it"));
    std::fs::set_permissions(mended.path().join("server"), std::fs::Permissions::from_mode(0o755)).expect("the mode");
    world.ok(["update", mended.path_str()]);
    assert_eq!(get(&world.address, "perl.test", "/").body, "perl: mended");
    remove(world, "perl");
}
