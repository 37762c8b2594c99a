//! Eucalyptus: moto's EC2 behind a door that Eucalyptus has: its path, its signatures, what it does not know.

use std::process::Command;
use std::time::Duration;

use cloudtool::config::ProviderConfig;
use cloudtool::names::Secret;
use cloudtool::providers::http::Manners;
use cloudtool::providers::{NodeState, Silent};
use serde_json::{Value, json};

use crate::conformance::{await_state, destroy, request, section_behind};
use crate::ec2::{compare_nodes, python};
use crate::meddler::{Fault, Meddler};
use crate::server::{Server, free_port, installed};
use crate::{Cloud, Running, SENTINEL, manners, open, section};

pub const CLOUD: Cloud = Cloud {
    name: "eucalyptus",
    start,
    own_tests: &[
        ("the_address_is_said_in_parts", the_address_is_said_in_parts),
        ("an_order_without_an_answer_makes_one_instance", an_order_without_an_answer_makes_one_instance),
        ("keys_of_its_kind_are_imported", keys_of_its_kind_are_imported),
        ("libcloud_sees_the_same", libcloud_sees_the_same),
    ],
};

const PATH: &str = "/services/Eucalyptus";
const ACCESS_KEY: &str = "eucalyptus_access_key";

fn secret() -> String {
    format!("{SENTINEL}/eucalyptus+password=key")
}

fn account() -> Value {
    json!({"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": secret()})
}

fn start() -> Running {
    let port = free_port();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(installed("moto/bin/python"));
    command.arg(format!("{}/tests/clouds/servers/eucalyptus.py", env!("CARGO_MANIFEST_DIR"))).arg(port.to_string());
    command.envs([("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", &secret())]).envs([
        ("MOTO_ENABLE_AMI_VALIDATION", "1"),
        ("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "1"),
        ("MOTO_ENABLE_KEYPAIR_VALIDATION", "1"),
    ]);
    let server = Server::start("eucalyptus", &mut command, port);
    let origin = format!("http://127.0.0.1:{port}");
    let section = ProviderConfig {
        username: Some(ACCESS_KEY.into()),
        ..section("eucalyptus", &format!("{origin}{PATH}"), &secret())
    };
    let wrong = ProviderConfig { secret: Some(Secret::new(format!("{SENTINEL}-other"))), ..section.clone() };
    Running { section, origin, wrong_credentials: Some(wrong), pass_time: || {}, servers: vec![server] }
}

fn the_address_is_said_in_parts(running: &Running) {
    let (host, port) = running.origin.trim_start_matches("http://").split_once(':').unwrap();
    for path in [PATH, "services/compute"] {
        let mut section = ProviderConfig { endpoint: None, ..running.section.clone() };
        for (key, value) in [("host", host), ("port", port), ("path", path), ("secure", "False")] {
            section.rest.insert(key.into(), value.into());
        }
        assert_eq!(running.open(&section).regions().unwrap().len(), running.provider().regions().unwrap().len());
    }
}

fn is_order(body: &str) -> bool {
    body.split('&').any(|pair| pair == "Action=RunInstances")
}

fn an_order_without_an_answer_makes_one_instance(running: &Running) {
    let quick = Manners { timeout: Duration::from_secs(4), ..manners() };
    for (index, fault) in [Fault::Truncate, Fault::Swallow, Fault::Garble].into_iter().enumerate() {
        let name = format!("once-{index}");
        let meddler =
            Meddler::looking_into(&running.origin, move |body, _| if is_order(body) { fault } else { Fault::None });
        let provider = open(&section_behind(running, &meddler), &quick);
        let made = provider.create(&request(running.provider().as_ref(), &name), &Silent);
        let made = made.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(meddler.seen().iter().filter(|seen| is_order(&seen.body)).count(), 1, "{fault:?}");
        let alive: Vec<_> = running.provider().nodes().unwrap().into_iter().filter(|node| node.name == name).collect();
        assert_eq!(alive.iter().map(|node| &node.id).collect::<Vec<_>>(), [&made.id]);
        destroy(running, running.provider().as_ref(), &made.id);
    }
}

fn keys_of_its_kind_are_imported(running: &Running) {
    let provider = running.provider();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"]).arg(&file).status();
    assert!(made.unwrap().success());
    let line = std::fs::read_to_string(file.with_extension("pub")).unwrap();
    for name in ["with-key", "with-key-too"] {
        let mut wish = request(provider.as_ref(), name);
        wish.authorized_keys.push(line.clone());
        let node = provider.create(&wish, &Silent).unwrap();
        assert!(node.answer["keyName"].as_str().is_some_and(|name| name.starts_with("cloudtool-")), "{}", node.answer);
        destroy(running, provider.as_ref(), &node.id);
    }
}

fn libcloud_sees_the_same(running: &Running) {
    let provider = running.provider();
    let node = provider.create(&request(provider.as_ref(), "seen-by-both"), &Silent).unwrap();
    await_state(running, provider.as_ref(), &node.id, NodeState::Running);
    let (host, port) = running.origin.trim_start_matches("http://").split_once(':').unwrap();
    let view = python("libcloud_view.py", &["eucalyptus", host, port, PATH], &account());
    compare_nodes(provider.as_ref(), &view);
    let ids = |list: &str| {
        let mut ids: Vec<_> = view[list].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids
    };
    let images = provider.images().unwrap();
    let mut ours: Vec<_> = images.iter().map(|image| image.id.as_str()).collect();
    ours.sort_unstable();
    assert_eq!(ours, ids("images"));
    let sizes = provider.sizes().unwrap();
    assert_eq!(sizes.len(), ids("sizes").len());
    for size in &sizes {
        let other = view["sizes"].as_array().unwrap().iter().find(|other| other["id"] == size.id.as_str()).unwrap();
        assert_eq!(size.memory_mb, other["ram"].as_u64(), "{}", size.id);
    }
    destroy(running, provider.as_ref(), &node.id);
}
