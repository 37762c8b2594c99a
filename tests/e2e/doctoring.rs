//! What is wrong is found, and mended by the command that is named.

use serde_json::Value;

use crate::Test;
use crate::whole::remove;
use crate::world::{App, World, node};

pub const TESTS: &[Test] = &[
    ("a_doctor_finds_what_is_wrong_and_what_mends_it", a_doctor_finds_what_is_wrong_and_what_mends_it),
    ("a_node_that_does_not_answer_is_a_finding", a_node_that_does_not_answer_is_a_finding),
];

const APP: &str = "ailing";

/// What `doctor` finds, as `subject/check message -> hint`. Of this machine it is not ours to say.
fn findings(world: &World, words: &[&str]) -> Vec<String> {
    let output = world.cloudtool([&["doctor", "--json"], words].concat());
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = answer["findings"].as_u64().expect("a number");
    assert_eq!(output.status.code(), Some(i32::from(found > 0)), "{answer}");
    let mut told = Vec::new();
    for subject in answer["subjects"].as_array().expect("subjects").iter().filter(|subject| !subject["node"].is_null())
    {
        let about = subject["app"].as_str().or(subject["node"].as_str()).expect("a name");
        for check in subject["checks"].as_array().expect("checks") {
            for finding in check["findings"].as_array().expect("findings") {
                let text = |key: &str| finding[key].as_str().expect("a text").to_owned();
                let name = check["check"].as_str().expect("a name");
                told.push(format!("{about}/{name}: {} -> {}", text("message"), text("hint")));
            }
        }
    }
    told
}

fn a_doctor_finds_what_is_wrong_and_what_mends_it(world: &World) {
    let app = App::hello(APP, "here").ini("runner = app.py\nservice.files =\n");
    world.ok(["update", app.path_str(), "--host", "ailing.test"]);
    let own = |told: Vec<String>| -> Vec<String> {
        let of_node = format!("{}/", node());
        told.into_iter().filter(|line| line.starts_with("ailing/") || line.starts_with(&of_node)).collect()
    };
    // Of a node and an app that are well, it is what nobody has done yet.
    let well = own(findings(world, &[APP]));
    let [backup, names] = &well[..] else { panic!("{well:?}") };
    assert!(backup.starts_with("ailing/backup plan: ailing has data (files) and was never backed up."), "{backup}");
    assert!(names.starts_with("ailing/names: ailing.test is not known to the DNS."), "{names}");
    assert!(names.ends_with(&format!("the record A {} at whoever has your domain", world.address)), "{names}");

    world.node_script(BREAK);
    let told = own(findings(world, &["ailing.test"]));
    let finds = |check: &str, message: &str, mends: &str| {
        let found = told.iter().find(|line| line.starts_with(check) && line.contains(message));
        assert!(found.is_some_and(|line| line.ends_with(&format!(" -> {mends}"))), "{check} {message}: {told:#?}");
    };
    let (of, restart) = (|check: &str| format!("{}/{check}", node()), format!("cloudtool restart {APP}"));
    let setup = format!("cloudtool setup-node {}", node());
    let firewall = format!("cloudtool exec --on {} systemctl reload-or-restart cloudtool-firewall.service", node());
    finds(&of("units"), "cloudtool-certificates.timer does not run", &setup);
    finds(&of("units"), "cloudtool-boot.service does not start with the node", &setup);
    finds(
        &of("front"),
        "1 routes of the front do not lead where they should.",
        "cloudtool restart APP, of any app of the node, puts all right.",
    );
    finds(&of("firewall"), "The firewall is not loaded", &firewall);
    finds(&of("restart"), "wants to be rebooted", &format!("cloudtool reboot-node {}", node()));
    finds(&of("unfinished"), "A set-up was cut short before it could daemon-reload.", &setup);
    finds("ailing/health", "v1 of ailing does not run.", &restart);
    finds("ailing/unfinished", "An update of ailing was cut short, and has left v99.", &restart);
    finds(
        "ailing/services",
        "The service files does not work for ailing: ",
        "cloudtool update DIR --force provides it again.",
    );

    // The node alone has all of its apps, and people are told the same.
    let said = world.fails(1, ["doctor", node()]);
    assert!(said.contains("ailing on ") && said.contains(&format!(" -> {firewall}")), "{said}");

    world.node_script("rm /run/reboot-required");
    world.ok(["setup-node", node()]);
    world.ok(firewall.split(' ').skip(1));
    world.ok(["update", app.path_str(), "--force"]);
    world.ok(["backup", APP]);
    world.ok(["verify-backup", APP]);
    let mended = own(findings(world, &[APP]));
    assert_eq!(mended, std::slice::from_ref(names), "as before, with a backup");
    remove(world, APP);
}

const BREAK: &str = "
touch /var/lib/cloudtool/pending/daemon-reload /run/reboot-required
systemctl stop cloudtool-certificates.timer
rm /etc/systemd/system/multi-user.target.wants/cloudtool-boot.service
nft delete table inet cloudtool
mkdir /srv/cloudtool/apps/ailing/releases/v99
systemctl stop cloudtool-app-blue@ailing
chown root: /srv/cloudtool/apps/ailing/data/files
chmod 700 /srv/cloudtool/apps/ailing/data/files
python3 -c \"import socket
front = socket.socket(socket.AF_UNIX)
front.connect('/run/haproxy/cloudtool.sock')
front.sendall(b'del map /etc/cloudtool/front/routes.map ailing.test/\\n')
front.recv(99)\"
";

fn a_node_that_does_not_answer_is_a_finding(world: &World) {
    let told = findings(world, &["--node", "127.0.0.1:1"]);
    let [finding] = &told[..] else { panic!("{told:?}") };
    assert!(finding.starts_with("127.0.0.1:1/reachable: 127.0.0.1:1 cannot be reached at 127.0.0.1:1"), "{finding}");
    let said = world.fails(2, ["doctor", "--node", node(), "nothing"]);
    assert!(said.contains(&format!("there is no nothing on {}", node())), "{said}");
}
