//! What a person does with an app's services by hand: look at them, open one, reach one from here.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::Test;
use crate::whole::await_that;
use crate::world::{App, World, assert_success, both};

pub const TESTS: &[Test] = &[
    ("service_info_shows_everything_but_secrets", service_info_shows_everything_but_secrets),
    ("a_console_is_the_app_s_own", a_console_is_the_app_s_own),
    ("a_forwarded_port_leads_to_the_service", a_forwarded_port_leads_to_the_service),
];

const HOST: &str = "byhand.test";

/// Deployed once: the next time nothing has changed.
fn deployed(world: &World) -> App {
    let app = App::obeying("byhand", "service.postgresql =\nservice.files =\n");
    world.ok(["update", app.path_str(), "--host", HOST]);
    app
}

fn service_info_shows_everything_but_secrets(world: &World) {
    let _app = deployed(world);
    let password = world.inside(HOST, "import os\nprint(os.environ['CONFIG_PG_PASSWORD'])");
    let said = both(&world.cloudtool(["service-info", HOST, "-vv"]));
    assert!(said.contains("CONFIG_PG_DBNAME=byhand") && said.contains("CONFIG_PG_PASSWORD=***"), "{said}");
    assert!(said.contains("CONFIG_FILES=/srv/cloudtool/apps/byhand/data/files"), "{said}");
    assert!(!said.contains(&password), "{said}");
    assert!(world.ok(["service-info", "byhand", "--reveal"]).contains(&format!("CONFIG_PG_PASSWORD={password}\n")));
}

fn a_console_is_the_app_s_own(world: &World) {
    let _app = deployed(world);
    let mut child = world
        .command(["service-console", "byhand"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let sql = "SELECT 'I am ' || current_user || ' in ' || current_database();\n\\! id -un\nSELECT pg_read_file('/etc/passwd');\n";
    child.stdin.take().expect("a pipe").write_all(sql.as_bytes()).expect("it is written");
    let output = child.wait_with_output().expect("it ends");
    let said = both(&output);
    assert!(said.contains("I am byhand in byhand") && said.contains("ct-byhand"), "{said}");
    assert!(said.contains("permission denied for function pg_read_file"), "{said}");
    let said = world.fails(2, ["service-console", "byhand", "files"]);
    assert!(said.contains("no service \"files\" with a console") && said.contains("postgresql"), "{said}");
}

fn a_forwarded_port_leads_to_the_service(world: &World) {
    let _app = deployed(world);
    let mut child = world
        .command(["forward", "byhand", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = String::new();
    let mut output = child.stdout.take().expect("a pipe");
    let mut byte = [0];
    while !said.ends_with('\n') && output.read(&mut byte).expect("it speaks") == 1 {
        said.push(char::from(byte[0]));
    }
    let told: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let port = u16::try_from(told["port"].as_u64().expect("a port")).expect("a port");
    let mut stream = await_that("the port is open", || TcpStream::connect(("127.0.0.1", port)).ok());
    // PostgreSQL's SSLRequest: the answer is one letter.
    stream.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).expect("it is sent");
    let mut letter = [0];
    stream.read_exact(&mut letter).expect("an answer");
    assert!([b'S', b'N'].contains(&letter[0]), "{letter:?}");
    drop(stream);
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    assert_success(&world.cloudtool(["remove", "byhand", "--with-data", "-y"]));
}
