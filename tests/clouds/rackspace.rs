//! Classic Rackspace: mimic, Rackspace's own imitation of it, with its failure injection.

use std::process::Command;
use std::time::Duration;

use cloudtool::config::ProviderConfig;
use cloudtool::error::Explain;
use cloudtool::providers::http::{Manners, Reason, Tokens, Trace};
use cloudtool::providers::{Error, NodeState, Provider, Silent, Wait, wait_until_running};
use serde_json::{Value, json};

use crate::conformance::{await_state, destroy, request};
use crate::meddler::{Fault, Meddler};
use crate::server::{Server, free_port, installed};
use crate::{Cloud, Running, SENTINEL, libcloud, manners, open, section};

pub const CLOUD: Cloud = Cloud {
    name: "rackspace",
    start,
    own_tests: &[
        ("a_failed_build_ends_the_wait", a_failed_build_ends_the_wait),
        ("a_stuck_build_is_a_timeout", a_stuck_build_is_a_timeout),
        ("a_slow_build_is_waited_for", a_slow_build_is_waited_for),
        ("an_order_too_many_is_sent_again", an_order_too_many_is_sent_again),
        ("a_failure_that_was_none_is_seen_through", a_failure_that_was_none_is_seen_through),
        ("the_region_is_the_accounts_own_or_the_chosen_one", the_region_is_the_accounts_own_or_the_chosen_one),
        ("the_second_run_does_not_log_in", the_second_run_does_not_log_in),
        ("keys_go_along_as_a_file", keys_go_along_as_a_file),
        ("us_sizes_have_prices", us_sizes_have_prices),
        ("libcloud_sees_the_same", libcloud_sees_the_same),
    ],
};

const USER: &str = "conformance";

fn start() -> Running {
    let port = free_port();
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .arg(installed("mimic/bin/twistd"))
        .args(["--nodaemon", "--pidfile=", "mimic", "--realtime", "--listen"])
        .arg(format!("tcp:{port}:interface=127.0.0.1"));
    let server = Server::start("rackspace", &mut command, port);
    let origin = format!("http://127.0.0.1:{port}");
    let section = ProviderConfig {
        username: Some(USER.into()),
        region: Some("IAD".into()),
        ..section("rackspace", &format!("{origin}/identity/v2.0"), &format!("{SENTINEL}-key"))
    };
    // It lets everybody in, and its clock is the machine's.
    Running { section, origin, wrong_credentials: None, pass_time: || {}, servers: vec![server] }
}

fn behind(running: &Running, meddler: &Meddler, manners: &Manners) -> Box<dyn Provider> {
    let endpoint = Some(format!("{}/identity/v2.0", meddler.origin()));
    open(&ProviderConfig { endpoint, ..running.section.clone() }, manners)
}

fn orders(meddler: &Meddler) -> usize {
    meddler.seen().iter().filter(|seen| seen.method == "POST" && seen.path.ends_with("/servers")).count()
}

fn wait(timeout: u64) -> Wait {
    Wait {
        first: Duration::from_millis(20),
        longest: Duration::from_millis(100),
        timeout: Duration::from_secs(timeout),
    }
}

/// Tells mimic what becomes of servers of that name from now on.
fn behave(running: &Running, server: &str, behavior: &str, parameters: Value) {
    let client = reqwest::blocking::Client::new();
    let key = running.section.secret.as_ref().unwrap().expose();
    let login = json!({"auth": {"RAX-KSKEY:apiKeyCredentials": {"username": USER, "apiKey": key}}});
    let answer = client.post(format!("{}/identity/v2.0/tokens", running.origin)).json(&login).send().unwrap();
    let access: Value = answer.json().unwrap();
    let catalog = access["access"]["serviceCatalog"].as_array().unwrap();
    let control = catalog.iter().find(|service| service["name"] == "cloudServersBehavior").unwrap();
    let endpoint =
        control["endpoints"].as_array().unwrap().iter().find(|endpoint| endpoint["region"] == "IAD").unwrap();
    let body = json!({"name": behavior, "parameters": parameters, "criteria": [{"server_name": format!("{server}$")}]});
    let path = format!("{}/behaviors/creation", endpoint["publicURL"].as_str().unwrap());
    let answer = client.post(path).json(&body).send().unwrap();
    assert_eq!(answer.status(), 201);
}

fn a_failed_build_ends_the_wait(running: &Running) {
    behave(running, "broken", "error", json!({}));
    let provider = running.provider();
    let made = provider.create(&request(provider.as_ref(), "broken"), &Silent).unwrap();
    let error = wait_until_running(provider.as_ref(), &made.id, wait(30), &Silent).unwrap_err();
    assert!(matches!(&error, Error::NodeFailed { state: NodeState::Error, .. }), "{error:?}");
    assert!(error.to_string().contains(&made.id) && error.hint().unwrap().contains("destroy-node broken"), "{error}");
    destroy(running, provider.as_ref(), &made.id);
}

fn a_stuck_build_is_a_timeout(running: &Running) {
    behave(running, "stuck", "build", json!({"duration": 3600}));
    let provider = running.provider();
    let made = provider.create(&request(provider.as_ref(), "stuck"), &Silent).unwrap();
    let error = wait_until_running(provider.as_ref(), &made.id, wait(1), &Silent).unwrap_err();
    assert_eq!(error.to_string(), format!("the node stuck (id {}) is still pending after 1 s", made.id));
    destroy(running, provider.as_ref(), &made.id);
}

fn a_slow_build_is_waited_for(running: &Running) {
    behave(running, "slow", "build", json!({"duration": 1.5}));
    let provider = running.provider();
    let made = provider.create(&request(provider.as_ref(), "slow"), &Silent).unwrap();
    assert_eq!(provider.get(&made.id).unwrap().state, NodeState::Pending);
    let node = wait_until_running(provider.as_ref(), &made.id, wait(30), &Silent).unwrap();
    // Its public IPv4 address, though it has others.
    assert!(node.public_ips.len() > 1 && node.private_ips.len() == 1, "{node:?}");
    assert_eq!(node.access.address, node.public_ips.iter().find(|ip| ip.is_ipv4()).map(ToString::to_string));
    destroy(running, provider.as_ref(), &made.id);
}

fn an_order_too_many_is_sent_again(running: &Running) {
    let refused = json!({"code": 413, "message": "Too many machines today", "type": "overLimit"});
    let once = json!({"name": "fail", "parameters": refused});
    behave(running, "patient", "sequence", json!({"behaviors": [once, once, {"name": "default"}]}));
    let meddler = Meddler::before(&running.origin, |_, _, _| Fault::None);
    let provider = behind(running, &meddler, &manners());
    let made = provider.create(&request(provider.as_ref(), "patient"), &Silent).unwrap();
    assert_eq!(orders(&meddler), 3);
    destroy(running, provider.as_ref(), &made.id);

    behave(running, "hopeless", "fail", refused);
    let error = provider.create(&request(provider.as_ref(), "hopeless"), &Silent).unwrap_err();
    assert!(matches!(&error, Error::Refused(refusal) if refusal.reason == Reason::Throttled), "{error:?}");
    assert!(error.to_string().contains("Too many machines today"), "{error}");
    assert_eq!(orders(&meddler), 3 + 5);
    assert!(provider.find("hopeless").unwrap().is_none());
}

/// Mimic makes the server and answers 500.
fn a_failure_that_was_none_is_seen_through(running: &Running) {
    behave(running, "denied", "false-negative", json!({"code": 500, "message": "sorry"}));
    let meddler = Meddler::before(&running.origin, |_, _, _| Fault::None);
    let provider = behind(running, &meddler, &manners());
    let made = provider.create(&request(provider.as_ref(), "denied"), &Silent).unwrap();
    assert_eq!(orders(&meddler), 1);
    let same: Vec<_> = provider.nodes().unwrap().into_iter().filter(|node| node.name == "denied").collect();
    assert_eq!(same.iter().map(|node| &node.id).collect::<Vec<_>>(), [&made.id]);
    destroy(running, provider.as_ref(), &made.id);

    // The same answer, and nothing made: the order's own error stands.
    behave(running, "refused", "fail", json!({"code": 500, "message": "sorry"}));
    let error = provider.create(&request(provider.as_ref(), "refused"), &Silent).unwrap_err();
    assert!(error.to_string().contains("sorry"), "{error}");
    assert_eq!(orders(&meddler), 2);
}

fn the_region_is_the_accounts_own_or_the_chosen_one(running: &Running) {
    let region = |region: Option<&str>| {
        let section = ProviderConfig { region: region.map(str::to_owned), ..running.section.clone() };
        let regions = running.open(&section).regions();
        regions.map(|regions| regions[0].id.clone()).map_err(|error| error.to_string())
    };
    assert_eq!(region(Some("iad")).unwrap(), "IAD");
    assert_eq!(region(None).unwrap(), "DFW");
    let error = region(Some("XYZ")).unwrap_err();
    assert!(
        error.starts_with(r#"my-rackspace has no region "XYZ" (from `region` in [provider:my-rackspace]); it has "#),
        "{error}"
    );
}

fn the_second_run_does_not_log_in(running: &Running) {
    let meddler = Meddler::before(&running.origin, |_, _, _| Fault::None);
    let kept = tempfile::tempdir().unwrap();
    let manners = Manners { tokens: Tokens::in_dir(Some(kept.path().to_owned())), ..manners() };
    for _ in 0..2 {
        behind(running, &meddler, &manners).nodes().unwrap();
    }
    let seen: Vec<_> = meddler.seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(seen, ["POST", "GET", "GET"]);
}

fn keys_go_along_as_a_file(running: &Running) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace");
    let manners = Manners { trace: Some(std::sync::Arc::new(Trace::open(&file).unwrap())), ..manners() };
    let provider = open(&running.section, &manners);
    let made = provider.create(&request(provider.as_ref(), "with-file"), &Silent).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let order = text.lines().find(|line| line.contains(r#""flavorRef""#)).unwrap();
    assert!(order.contains(r#""personality":"***""#) && order.contains(r#""config_drive":true"#), "{order}");
    assert!(order.contains(r#""user_data":"***""#) && order.contains(r#""key_name":"cloudtool-"#), "{order}");
    let node = await_state(running, provider.as_ref(), &made.id, NodeState::Running);
    assert_eq!(node.answer["metadata"]["cloudtool"], "1");
    destroy(running, provider.as_ref(), &made.id);
}

fn us_sizes_have_prices(running: &Running) {
    let sizes = running.provider().sizes().unwrap();
    let price = |id: &str| sizes.iter().find(|size| size.id == id).and_then(|size| size.price.clone());
    assert_eq!(price("performance1-1").map(|price| (price.hourly, price.currency)), Some((Some(0.04), "USD".into())));
    assert_eq!(sizes[0].id, "2", "the cheapest first");
}

fn libcloud_sees_the_same(running: &Running) {
    let provider = running.provider();
    let made: Vec<_> = ["seen-1", "seen-2"]
        .iter()
        .map(|name| provider.create(&request(provider.as_ref(), name), &Silent).unwrap().id)
        .collect();
    for id in &made {
        await_state(running, provider.as_ref(), id, NodeState::Running);
    }
    let key = running.section.secret.as_ref().unwrap().expose();
    let named = json!({"region": "iad", "ex_force_auth_url": format!("{}/identity", running.origin)});
    libcloud::sees_the_same(provider.as_ref(), "rackspace", json!([USER, key]), named);
    for id in made {
        destroy(running, provider.as_ref(), &id);
    }
}
