//! Hostile requests straight at the node program: each is answered with an error, changes nothing, and the program goes on.

use serde_json::{Value, json};

use crate::Test;
use crate::http::get;
use crate::straight::{Straight, file, gzip, member, order, plain, sha256};
use crate::world::{App, World};

pub const TESTS: &[Test] = &[
    ("requests_that_are_none_are_refused", requests_that_are_none_are_refused),
    ("manifests_that_leave_the_app_are_refused", manifests_that_leave_the_app_are_refused),
    ("payloads_that_lie_are_refused", payloads_that_lie_are_refused),
    ("no_value_anywhere_in_a_request_breaks_the_program", no_value_anywhere_in_a_request_breaks_the_program),
];

/// Everything of an app that a refused request must leave as it was. The history of failed releases is not part of it.
fn fingerprint(world: &World, app: &str) -> String {
    world.node_script(&format!(
        "cd /; {{ find srv/cloudtool var/lib/cloudtool/manifests var/lib/cloudtool/secrets etc/cloudtool \
           -not -name '*.conf' -not -name '*.env' -printf '%y %m %u %g %p %l\\n' | sort
         cat etc/cloudtool/front/*.map; grep -A4 -e '\"live\"' -e '\"locations\"' var/lib/cloudtool/apps/{app}.json
         ls / /tmp /etc; }} | sed 's/tmp.[A-Za-z0-9]*//'"
    ))
}

fn requests_that_are_none_are_refused(world: &World) {
    let mut node = Straight::open(world);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let lines: [&[u8]; 14] = [
        b"{",
        b"[]",
        b"\"probe\"",
        b"null",
        b"{}",
        b"{\"verb\": null}",
        b"{\"verb\": [\"probe\"]}",
        b"{\"verb\": \"__init__\"}",
        b"{\"verb\": \"../deploy\"}",
        b"{\"verb\": \"deploy; touch /ct_canary\"}",
        b"\xff\xfe\x00\x00",
        b"\x00\x01\x02",
        b"$(touch /ct_canary)",
        deep.as_bytes(),
    ];
    for line in lines {
        node.send(&[line, b"\n"].concat());
        let answer = node.answer();
        assert_eq!(
            answer["code"],
            "bad-request",
            "{answer} to {:?}",
            String::from_utf8_lossy(&line[..line.len().min(80)])
        );
    }
    // More than a request may have, on one line.
    let mebibyte = vec![b'x'; 1 << 20];
    node.send(b"{\"verb\": \"probe\", \"by\": \"");
    for _ in 0..70 {
        node.send(&mebibyte);
    }
    node.send(b"\"}\n");
    assert_eq!(node.answer()["code"], "bad-request");
    for name in [
        json!("../x"),
        json!("a/b"),
        json!("A"),
        json!("-a"),
        json!("a".repeat(29)),
        json!("a\n"),
        json!("a b"),
        json!(7),
        json!(["a"]),
    ] {
        for verb in ["probe", "rollback", "remove", "releases", "logs"] {
            let answer = node.call(&json!({"verb": verb, "app": name, "by": "mallory@test"}));
            assert_eq!(answer["code"], "bad-request", "{verb} {name}: {answer}");
        }
    }
    assert_eq!(node.call(&json!({"verb": "version"}))["event"], "result");
    assert_eq!(world.node_script("ls /ct_canary 2>/dev/null || true"), "");
}

fn manifests_that_leave_the_app_are_refused(world: &World) {
    let app = App::hello("manifests", "as it was");
    world.ok(["update", app.path_str(), "--host", "manifests.test"]);
    let before = fingerprint(world, "manifests");
    let mut node = Straight::open(world);
    let long = "x".repeat(256);
    let paths = ["", ".", "..", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a/", "a\0b", long.as_str()];
    let mut manifests: Vec<Value> = Vec::new();
    for path in paths {
        manifests.push(json!({"files": [{"path": path, "mode": "0644", "size": 1, "sha256": sha256(b"x")}]}));
        manifests.push(json!({"links": [{"path": path, "target": "x"}]}));
        manifests.push(json!({"dirs": [path]}));
    }
    for target in ["/etc/passwd", "..", "../../etc/passwd", "a/../../x", "", "a\0b"] {
        manifests.push(json!({"files": [], "links": [{"path": "link", "target": target}]}));
    }
    let chain = json!([{"path": "deep/up", "target": ".."}, {"path": "deep/out", "target": "up/up/../x"}, {"path": "out", "target": "deep/up/../.."}]);
    manifests.push(json!({"links": chain}));
    let good = file("a", b"x");
    manifests.extend([
        json!({"files": [good, good]}),
        json!({"files": [good], "dirs": ["a"]}),
        json!({"files": [{"path": "a", "mode": "4755", "size": 1, "sha256": sha256(b"x")}]}),
        json!({"files": [{"path": "a", "mode": "0644", "size": -1, "sha256": sha256(b"x")}]}),
        json!({"files": [{"path": "a", "mode": "0644", "size": 1, "sha256": "../../etc/passwd"}]}),
        json!({"files": [{"path": "a"}]}),
        json!({"files": ["a"]}),
        json!({"files": {"a": 1}}),
        json!({"dirs": [["a"]]}),
        json!([]),
        json!("x"),
        json!(null),
    ]);
    for manifest in manifests {
        let answer = node.deploy(&order(&node.program, "manifests", manifest.clone()), b"");
        assert_eq!(answer["code"], "bad-request", "{manifest}: {answer}");
    }
    // A file that would be written through a link, and one below a file.
    for manifest in [
        json!({"links": [{"path": "d", "target": "e"}], "dirs": ["e"], "files": [file("d/x", b"x")]}),
        json!({"files": [file("a", b"x"), file("a/b", b"y")]}),
    ] {
        let answer = node
            .deploy(&order(&node.program, "manifests", manifest.clone()), &gzip(&[plain(b"x"), plain(b"y")].concat()));
        assert!(["bad-request", "stage"].contains(&answer["code"].as_str().expect("a code")), "{manifest}: {answer}");
    }
    assert_eq!(before, fingerprint(world, "manifests"));
    assert_eq!(get(&world.address, "manifests.test", "/").body, "as it was");
    world.ok(["remove", "manifests", "-y"]);
}

fn payloads_that_lie_are_refused(world: &World) {
    use tar::EntryType;
    let app = App::hello("payloads", "as it was");
    world.ok(["update", app.path_str(), "--host", "payloads.test"]);
    let before = fingerprint(world, "payloads");
    let mut node = Straight::open(world);
    let end = vec![0; 1024];
    let name = sha256(b"x");
    let odd = |kind: EntryType| gzip(&[member(kind, &name, 0, b""), plain(b"x"), end.clone()].concat());
    // One byte in the manifest; behind the end of the tar 8 MB of zeros or ones in 8 KB of gzip.
    let bomb = |byte: u8| gzip(&[plain(b"x"), end.clone(), vec![byte; 8 << 20]].concat());
    let whole = gzip(&[plain(b"x"), end.clone()].concat());
    let payloads: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("no gzip", b"#!/bin/sh\ntouch /ct_canary\n".to_vec()),
        ("no tar", gzip(&[b'x'; 2048])),
        ("an end without a file", gzip(&end)),
        ("another content", gzip(&[member(EntryType::Regular, &name, 1, b"y"), end.clone()].concat())),
        ("more than announced", gzip(&[member(EntryType::Regular, &name, 2, b"xx"), end.clone()].concat())),
        ("a claim of 8 GB", gzip(&member(EntryType::Regular, &name, (8 << 30) - 1, b"x"))),
        ("nobody asked for it", gzip(&[plain(b"x"), plain(b"unasked"), end.clone()].concat())),
        (
            "a path",
            gzip(&[member(EntryType::Regular, "../../etc/cron.d/x", 1, b"x"), plain(b"x"), end.clone()].concat()),
        ),
        ("a device", odd(EntryType::Char)),
        ("a symbolic link", odd(EntryType::Symlink)),
        ("a hard link", odd(EntryType::Link)),
        ("a directory", odd(EntryType::Directory)),
        ("a long name", odd(EntryType::GNULongName)),
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("all but the checksum", whole[..whole.len() - 4].to_vec()),
        ("a bomb of zeros", bomb(0)),
        ("a bomb of ones", bomb(1)),
        ("half of the part that is not compressed", [gzip(&[]), plain(b"x")[..513].to_vec()].concat()),
        ("something behind its end", [whole.clone(), plain(b"unasked")].concat()),
    ];
    for (what, payload) in payloads {
        let request = order(&node.program, "payloads", json!({"files": [file("a", b"x")]}));
        let answer = node.deploy(&request, &payload);
        assert_eq!(answer["code"], "stage", "{what}: {answer}");
        assert_eq!(answer["serving"], "v1", "{what}: {answer}");
    }
    // The connection ends in the middle of a chunk.
    let request = order(&node.program, "payloads", json!({"files": [file("a", b"x")]}));
    node.send(format!("{request}\n").as_bytes());
    node.send(&[0xff, 0xff, 0xff, 0xff, 0x1f, 0x8b]);
    if let Some(answer) = node.hang_up() {
        assert_eq!(answer["code"], "aborted", "{answer}");
    }
    assert_eq!(before, fingerprint(world, "payloads"));
    assert_eq!(get(&world.address, "payloads.test", "/").body, "as it was");
    world.ok(["remove", "payloads", "-y"]);
}

/// Every value of valid requests is exchanged, one at a time, for odd ones. (Orders to deploy are taken apart in the node program's
/// own tests; here they only go as far as their outermost fields.)
fn no_value_anywhere_in_a_request_breaks_the_program(world: &World) {
    let app = App::hello("mutants", "as it was");
    world.ok(["update", app.path_str(), "--host", "mutants.test"]);
    let mut node = Straight::open(world);
    let mut deploy = order(&node.program, "mutants", json!({"files": [file("a", b"x")]}));
    deploy["expect"] = json!({"live": "v99"});
    let requests = [
        deploy,
        json!({"verb": "probe", "by": "m@t", "app": "mutants", "digest": "x", "locations": ["mutants.test"], "manifest": false}),
        json!({"verb": "rollback", "by": "m@t", "app": "mutants", "to": "v7", "lock_timeout": 0}),
        json!({"verb": "activate", "by": "m@t", "location": "mutants.test/y", "app": "mutants", "release": "v7"}),
        json!({"verb": "deactivate", "by": "m@t", "locations": ["nobody.test"]}),
        json!({"verb": "remove", "by": "m@t", "app": "nobody", "with_data": false}),
        json!({"verb": "releases", "by": "m@t", "app": "mutants"}),
        json!({"verb": "query", "by": "m@t", "filter": ["mut*"]}),
        json!({"verb": "clean", "by": "m@t", "dry_run": true}),
        json!({"verb": "logs", "by": "m@t", "app": "mutants", "streams": ["error"], "lines": 5, "since": "1h", "grep": "x"}),
    ];
    let mut sent = 0;
    for request in requests {
        let depth = if request["verb"] == "deploy" { 1 } else { usize::MAX };
        for path in leaves(&request).into_iter().filter(|path| path.len() <= depth) {
            for value in odd_values() {
                let mut mutant = request.clone();
                let place = path.iter().fold(&mut mutant, |at, key| match key.parse::<usize>() {
                    Ok(index) if at.is_array() => &mut at[index],
                    _ => &mut at[key.as_str()],
                });
                *place = value;
                if mutant["verb"] != request["verb"] {
                    continue;
                }
                let answer = if mutant["verb"] == "deploy" { node.deploy(&mutant, b"") } else { node.call(&mutant) };
                assert_ne!(answer["code"], "internal", "{mutant}: {answer}");
                assert!(answer["event"] == "error" || request["verb"] != "deploy", "{mutant}: {answer}");
                sent += 1;
            }
        }
    }
    println!("{sent} mutated requests");
    assert_eq!(get(&world.address, "mutants.test", "/").body, "as it was");
    assert_eq!(world.node_script("ls /ct_canary /tmp/ct_canary 2>/dev/null || true"), "");
    world.ok(["remove", "mutants", "-y"]);
}

fn odd_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(-1),
        json!("../../x"),
        json!("nul\0"),
        json!("\n;$(touch /ct_canary)`touch /tmp/ct_canary`%n%s${HOME}'\""),
        json!([[1]]),
        json!({"a": []}),
    ]
}

/// The path of every value in a JSON document, also of those that hold others.
fn leaves(value: &Value) -> Vec<Vec<String>> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, child)| (key.clone(), child)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, child)| (index.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    let mut found = Vec::new();
    for (key, child) in children {
        found.push(vec![key.clone()]);
        found.extend(leaves(child).into_iter().map(|below| [vec![key.clone()], below].concat()));
    }
    found
}
