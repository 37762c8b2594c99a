//! One suite for every driver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cloudtool::error::{Explain, Kind};
use cloudtool::providers::http::{Manners, Trace};
use cloudtool::providers::{
    CreateRequest, Error, HostKeyPair, Node, NodeState, Progress, Provider, Silent, Wait, wait_until_running,
};

use crate::meddler::{Fault, Meddler};
use crate::{Running, SENTINEL, Test, manners, open, try_open};

pub const TESTS: &[Test] = &[
    ("lists_are_whole_and_well_formed", lists_are_whole_and_well_formed),
    ("a_node_lives_and_ends", a_node_lives_and_ends),
    ("what_is_not_there_is_said_to_be_missing", what_is_not_there_is_said_to_be_missing),
    ("wrong_credentials_are_named", wrong_credentials_are_named),
    ("a_throttled_request_is_sent_again", a_throttled_request_is_sent_again),
    ("an_api_in_trouble_is_an_error_that_says_so", an_api_in_trouble_is_an_error_that_says_so),
    ("an_order_without_an_answer_is_not_repeated", an_order_without_an_answer_is_not_repeated),
    ("no_secret_is_shown", no_secret_is_shown),
];

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBk3S0Qx1UBMBKBqt1jYbHpUqYuQGOZQ0nJ8W6x1v3Zp conformance";

/// Patience with servers on the loopback.
pub const HASTE: Wait =
    Wait { first: Duration::from_millis(50), longest: Duration::from_millis(200), timeout: Duration::from_secs(30) };

pub fn request(provider: &dyn Provider, name: &str) -> CreateRequest {
    let images = provider.images().unwrap();
    let sizes = provider.sizes().unwrap();
    CreateRequest {
        name: name.parse().unwrap(),
        image: images[0].id.clone(),
        size: sizes[0].id.clone(),
        location: provider.regions().unwrap().first().map(|region| region.id.clone()),
        authorized_keys: vec![KEY.into()],
        host_key: provider.capabilities().user_data.then(|| HostKeyPair {
            public: KEY.into(),
            private: cloudtool::names::Secret::new(format!("{SENTINEL}-host-key")),
        }),
        user_data: None,
    }
}

/// Awaits a state, while the server's time goes by.
pub fn await_state(running: &Running, provider: &dyn Provider, id: &str, wanted: NodeState) -> Node {
    let start = Instant::now();
    loop {
        let node = provider.get(id).unwrap();
        if node.state == wanted {
            return node;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{id} is {} and not {wanted}", node.state);
        (running.pass_time)();
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Destroys a node and awaits that it is gone.
pub fn destroy(running: &Running, provider: &dyn Provider, id: &str) {
    provider.destroy(id, &Silent).unwrap();
    let start = Instant::now();
    loop {
        match provider.get(id) {
            Err(Error::NoSuchNode { .. }) => return,
            Ok(node) if node.state == NodeState::Terminated => return,
            Ok(node) => assert!(start.elapsed() < Duration::from_secs(30), "{id} is still {}", node.state),
            Err(error) => panic!("{error}"),
        }
        (running.pass_time)();
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn lists_are_whole_and_well_formed(running: &Running) {
    let provider = running.provider();
    assert_eq!(provider.name(), running.section.name);
    let (images, sizes, regions) = (provider.images().unwrap(), provider.sizes().unwrap(), provider.regions().unwrap());
    assert!(!images.is_empty() && !sizes.is_empty() && !regions.is_empty());
    assert!(images.iter().all(|image| !image.id.is_empty() && !image.name.is_empty()));
    assert!(sizes.iter().all(|size| !size.id.is_empty() && !size.name.is_empty() && size.memory_mb > Some(0)));
    assert!(regions.iter().all(|region| !region.id.is_empty() && !region.name.is_empty()));
    let mut ids: Vec<_> = images.iter().map(|image| &image.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), images.len(), "an image twice");
    assert_eq!(provider.capabilities().prices, sizes.iter().any(|size| size.price.is_some()));
    for price in sizes.iter().filter_map(|size| size.price.as_ref()) {
        assert!(price.hourly.or(price.monthly).is_some_and(|amount| amount >= 0.0) && price.currency.len() == 3);
    }
    provider.nodes().unwrap();
}

fn a_node_lives_and_ends(running: &Running) {
    let provider = running.provider();
    let provider = provider.as_ref();
    let can = provider.capabilities();
    let request = request(provider, "conformance-life");
    let made = provider.create(&request, &Silent).unwrap();
    assert_eq!((made.name.as_str(), made.provider.as_str()), ("conformance-life", provider.name()));
    assert!(matches!(made.state, NodeState::Pending | NodeState::Running), "{}", made.state);

    struct Clock(fn());
    impl Progress for Clock {
        fn step(&self, _message: &str) {
            (self.0)();
        }
        fn warning(&self, _message: &str) {}
    }
    (running.pass_time)();
    let node = wait_until_running(provider, &made.id, HASTE, &Clock(running.pass_time)).unwrap();
    assert_eq!((node.id.as_str(), node.state), (made.id.as_str(), NodeState::Running));
    assert!(node.access.address.is_some() && !(node.public_ips.is_empty() && node.private_ips.is_empty()));
    assert_eq!(node.size.as_deref(), Some(request.size.as_str()));
    assert_eq!(node.image.as_deref(), Some(request.image.as_str()));
    assert!(!node.answer.is_null());
    let listed = provider.nodes().unwrap();
    assert_eq!(listed.iter().filter(|one| one.id == node.id).count(), 1);
    assert_eq!(provider.find("conformance-life").unwrap().map(|found| found.id), Some(node.id.clone()));
    assert!(matches!(provider.create(&request, &Silent), Err(Error::NameTaken { .. })));

    if can.reboot {
        provider.reboot(&node.id, &Silent).unwrap();
        await_state(running, provider, &node.id, NodeState::Running);
    }
    if can.stop {
        provider.stop(&node.id, &Silent).unwrap();
        await_state(running, provider, &node.id, NodeState::Stopped);
    }
    if can.start {
        provider.start(&node.id, &Silent).unwrap();
        await_state(running, provider, &node.id, NodeState::Running);
        provider.start(&node.id, &Silent).unwrap();
    }
    if can.suspend {
        provider.suspend(&node.id, &Silent).unwrap();
        await_state(running, provider, &node.id, NodeState::Suspended);
        provider.resume(&node.id, &Silent).unwrap();
        await_state(running, provider, &node.id, NodeState::Running);
    } else {
        assert!(matches!(provider.suspend(&node.id, &Silent), Err(Error::Unsupported { .. })));
    }
    destroy(running, provider, &node.id);
    assert!(provider.find("conformance-life").unwrap().is_none());
}

fn what_is_not_there_is_said_to_be_missing(running: &Running) {
    let provider = running.provider();
    let can = provider.capabilities();
    // Of the form of a real id, and of a form no id has.
    let gone = {
        let node = provider.create(&request(provider.as_ref(), "conformance-gone"), &Silent).unwrap();
        await_state(running, provider.as_ref(), &node.id, NodeState::Running);
        destroy(running, provider.as_ref(), &node.id);
        node.id
    };
    for id in [gone.as_str(), "no such/../node?x#y"] {
        let missing = |result: cloudtool::providers::Result<()>| match result {
            Err(Error::NoSuchNode { .. }) => {}
            // A machine that ended may be listed for a while, and then ends once more.
            Ok(()) if id == gone => {}
            Err(Error::Refused(_)) if id == gone => {}
            other => panic!("{id}: {other:?}"),
        };
        missing(provider.get(id).map(|node| assert_eq!(node.state, NodeState::Terminated)));
        missing(provider.destroy(id, &Silent));
        if can.start {
            missing(provider.start(id, &Silent));
        }
        if can.reboot {
            missing(provider.reboot(id, &Silent));
        }
    }
    if running.believes_everything() {
        return;
    }
    for wrong in ["image", "size"] {
        let mut request = request(provider.as_ref(), "conformance-wrong");
        match wrong {
            "image" => request.image = "no-such-image".into(),
            _ => request.size = "no-such-size".into(),
        }
        let error = provider.create(&request, &Silent).unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{wrong}: {error:?}");
        assert!(provider.find("conformance-wrong").unwrap().is_none());
    }
}

fn wrong_credentials_are_named(running: &Running) {
    let Some(wrong) = &running.wrong_credentials else { return };
    let error = running.open(wrong).nodes().unwrap_err();
    assert_eq!(error.kind(), Kind::Authentication, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains(&wrong.name)), "{error}: {:?}", error.hint());
    assert!(!format!("{error} {error:?} {:?}", error.hint()).contains(SENTINEL), "{error:?}");
}

/// The provider behind a meddler.
fn behind(running: &Running, meddler: &Meddler, manners: &Manners) -> Box<dyn Provider> {
    let mut section = running.section.clone();
    let endpoint = section.endpoint.clone().expect("the server's address");
    section.endpoint = Some(endpoint.replace(&running.origin, &meddler.origin()));
    open(&section, manners)
}

fn a_throttled_request_is_sent_again(running: &Running) {
    for fault in [
        Fault::Status(429, Some("0")),
        Fault::Status(429, None),
        Fault::Status(503, Some("0")),
        Fault::RetryAtDate(429, 1),
    ] {
        let meddler =
            Meddler::before(&running.origin, move |_, _, before| if before < 2 { fault } else { Fault::None });
        let nodes = behind(running, &meddler, &manners()).nodes();
        assert!(nodes.is_ok(), "{fault:?}: {nodes:?}");
        assert!(meddler.seen().len() >= 3, "{fault:?}");
    }
    // It does not go on for ever, and not at once when it was asked to wait for long.
    let meddler = Meddler::before(&running.origin, |_, _, _| Fault::Status(429, Some("3600")));
    let error = behind(running, &meddler, &manners()).nodes().unwrap_err();
    assert_eq!((error.kind(), meddler.seen().len()), (Kind::Provider, 1), "{error}");
}

fn an_api_in_trouble_is_an_error_that_says_so(running: &Running) {
    let patient = manners();
    let quick = Manners { timeout: Duration::from_millis(700), ..manners() };
    for (fault, word) in [
        (Fault::Garbage, "not JSON"),
        (Fault::Empty, ""),
        (Fault::Truncate, "broke off"),
        (Fault::Hang, "in time"),
        (Fault::Redirect, "redirected to http://127.0.0.2:9/elsewhere"),
        (Fault::Status(500, None), "500"),
    ] {
        let meddler = Meddler::before(&running.origin, move |_, _, _| fault);
        // A server on a busy machine is slow; only one that never answers shall not be waited for.
        let manners = if fault == Fault::Hang { &quick } else { &patient };
        let start = Instant::now();
        let error = match try_open(&section_behind(running, &meddler), manners).and_then(|provider| provider.nodes()) {
            Err(error) => error,
            Ok(nodes) => panic!("{fault:?}: {nodes:?}"),
        };
        let text = error.to_string();
        assert!(running.speaks_xml() || text.contains(word), "{fault:?}: {text}");
        assert!(text.contains(&running.section.name) && !text.contains(SENTINEL), "{fault:?}: {text}");
        assert_eq!(error.kind(), Kind::Provider, "{fault:?}: {text}");
        assert!(start.elapsed() < Duration::from_secs(20), "{fault:?}");
    }
}

pub fn section_behind(running: &Running, meddler: &Meddler) -> cloudtool::config::ProviderConfig {
    let mut section = running.section.clone();
    section.endpoint = section.endpoint.map(|endpoint| endpoint.replace(&running.origin, &meddler.origin()));
    section
}

/// The request that orders a machine.
fn is_order(method: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    method == "POST"
        && ["/droplets", "/servers", "/linode/instances", "/instances"].iter().any(|end| path.ends_with(end))
}

fn an_order_without_an_answer_is_not_repeated(running: &Running) {
    if running.speaks_xml() {
        // Every request is a POST to one path there; its own test looks into the body.
        return;
    }
    let manners = Manners { timeout: Duration::from_secs(5), ..manners() };
    for (index, fault) in [Fault::Truncate, Fault::Swallow, Fault::Garble].into_iter().enumerate() {
        let name = format!("conformance-once-{index}");
        // The first order alone: one that is repeated would be carried out.
        let spoilt = AtomicBool::new(false);
        let meddler = Meddler::before(&running.origin, move |method, path, _| {
            let is_first = is_order(method, path) && !spoilt.swap(true, Ordering::SeqCst);
            if is_first { fault } else { Fault::None }
        });
        let provider = behind(running, &meddler, &manners);
        let made = provider.create(&request(running.provider().as_ref(), &name), &Silent);
        let made = made.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        let seen = meddler.seen();
        let mut orders: Vec<&str> =
            seen.iter().filter(|seen| is_order(&seen.method, &seen.path)).map(|seen| seen.path.as_str()).collect();
        // With a token by which the API knows it again, it may come twice.
        orders.dedup_by(|one, other| one == other && one.contains("requestId="));
        assert_eq!(orders.len(), 1, "{fault:?}: {orders:?}");
        let provider = running.provider();
        let same: Vec<Node> = provider.nodes().unwrap().into_iter().filter(|node| node.name == name).collect();
        assert_eq!(same.iter().map(|node| &node.id).collect::<Vec<_>>(), [&made.id]);
        destroy(running, provider.as_ref(), &made.id);
    }
}

fn no_secret_is_shown(running: &Running) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace");
    let trace = std::sync::Arc::new(Trace::open(&file).unwrap());
    let manners = Manners { trace: Some(trace), ..manners() };
    let provider = open(&running.section, &manners);
    let node = provider.create(&request(provider.as_ref(), "conformance-secret"), &Silent).unwrap();
    await_state(running, provider.as_ref(), &node.id, NodeState::Running);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().count() >= 4, "{text}");
    assert!(!text.contains(SENTINEL), "{text}");
    // The answer to an order may have what no later one has.
    for node in [&node, &provider.get(&node.id).unwrap()] {
        assert!(!format!("{node:?} {}", node.answer).contains(SENTINEL), "{node:?}");
    }
    destroy(running, provider.as_ref(), &node.id);
}
