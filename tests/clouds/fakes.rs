//! The clouds nobody has a server of: small stateful fakes of ours (`servers/fakes`), each behind a proxy that holds our requests and
//! the fake's answers to the vendor's own OpenAPI document.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cloudtool::error::{Explain, Kind};
use cloudtool::names::Secret;
use cloudtool::providers::http::{Manners, Reason, Trace};
use cloudtool::providers::{Error, NodeState, Silent, wait_until_running};

use crate::conformance::{HASTE, destroy, request};
use crate::server::{Server, free_port, installed};
use crate::{Cloud, Running, SENTINEL, open, section};

type Test = (&'static str, fn(&Running));

const CONTRACT: Test = ("the_contract_is_enforced", the_contract_is_enforced);
const QUOTA: Test = ("a_machine_too_many_is_refused", a_machine_too_many_is_refused);
const BURST: Test = ("a_burst_is_slowed_down", a_burst_is_slowed_down);
const NAME: Test = ("a_name_the_cloud_does_not_take_is_refused", a_name_the_cloud_does_not_take_is_refused);
const FAILURE: Test = ("a_machine_that_cannot_be_made_says_why", a_machine_that_cannot_be_made_says_why);

/// It takes every name that we do.
pub const DIGITALOCEAN: Cloud = Cloud {
    name: "digitalocean",
    start: || start("digitalocean", "/v2", true),
    own_tests: &[CONTRACT, QUOTA, BURST, FAILURE],
};

pub const HETZNER: Cloud = Cloud {
    name: "hetzner",
    start: || start("hetzner", "", true),
    own_tests: &[CONTRACT, QUOTA, BURST, NAME, FAILURE],
};

/// Its instances have no state for one that could not be made.
pub const LINODE: Cloud =
    Cloud { name: "linode", start: || start("linode", "", true), own_tests: &[CONTRACT, QUOTA, BURST, NAME] };

/// The vendor's document is in no registry: the fake stands alone. An instance that could not be made has no state either.
pub const VULTR: Cloud =
    Cloud { name: "vultr", start: || start("vultr", "/v2", false), own_tests: &[QUOTA, BURST, NAME] };

/// Starts a fake whose paths begin with `prefix`; behind its contract where it `has_contract`.
fn start(driver: &str, prefix: &str, has_contract: bool) -> Running {
    let token = format!("{SENTINEL}-{driver}");
    let (fake, proxy) = (free_port(), free_port());
    let origin = format!("http://127.0.0.1:{}", if has_contract { proxy } else { fake });
    let mut servers = vec![python(driver, fake, &["--token", &token, "--public", &origin])];
    if has_contract {
        servers.push(behind_contract(driver, proxy, fake));
    }
    let endpoint = format!("{origin}{prefix}");
    Running {
        section: section(driver, &endpoint, &token),
        origin,
        wrong_credentials: Some(section(driver, &endpoint, &format!("{SENTINEL}-wrong"))),
        pass_time: || {},
        servers,
    }
}

fn python(driver: &str, port: u16, arguments: &[&str]) -> Server {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/clouds/servers/fakes/{driver}.py"));
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).args(["--port", &port.to_string()]).args(arguments);
    Server::start(&format!("{driver}-fake"), &mut command, port)
}

/// prism, as a proxy that refuses (422, 404) what is not in the document, and says 500 to an answer that is not.
fn behind_contract(driver: &str, port: u16, fake: u16) -> Server {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "node"]).arg(installed("prism/node_modules/.bin/prism"));
    command.args(["proxy", "--errors", "-h", "127.0.0.1", "-p", &port.to_string()]);
    command.arg(installed(&format!("contracts/{driver}.json"))).arg(format!("http://127.0.0.1:{fake}"));
    Server::start(&format!("{driver}-contract"), &mut command, port)
}

/// The proxy refuses by itself what the vendor's document does not know: an order for nothing.
fn the_contract_is_enforced(running: &Running) {
    let token = running.section.secret.as_ref().unwrap().expose();
    let endpoint = running.section.endpoint.as_ref().unwrap();
    let orders = ["droplets", "servers", "linode/instances"];
    let statuses = orders.map(|path| {
        let request = reqwest::blocking::Client::new().post(format!("{endpoint}/{path}")).bearer_auth(token);
        request.json(&serde_json::json!({"size": 7})).send().unwrap().status().as_u16()
    });
    assert!(statuses.contains(&422) && statuses.iter().all(|status| [404, 422].contains(status)), "{statuses:?}");
}

fn a_machine_too_many_is_refused(running: &Running) {
    let provider = running.provider();
    let wish = |name: &str| request(provider.as_ref(), name);
    let mut made = Vec::new();
    let error = loop {
        match provider.create(&wish(&format!("quota-{}", made.len())), &Silent) {
            Ok(node) => made.push(node),
            Err(error) => break error,
        }
        assert!(made.len() < 10, "there is no limit");
    };
    assert!(matches!(&error, Error::Refused(refusal) if refusal.reason == Reason::Quota), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("higher limit")), "{:?}", error.hint());
    assert!(!made.is_empty());
    for node in made {
        destroy(running, provider.as_ref(), &node.id);
    }
}

fn a_burst_is_slowed_down(running: &Running) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace");
    // As patient as for a user: the fake wants a second of peace, and not every cloud says so.
    let manners = Manners { trace: Some(Arc::new(Trace::open(&file).unwrap())), ..Manners::default() };
    let mut throttled = running.section.clone();
    throttled.secret = throttled.secret.map(|token| Secret::new(format!("throttled-{}", token.expose())));
    let provider = open(&throttled, &manners);
    for _ in 0..3 {
        provider.nodes().unwrap();
    }
    let trace = std::fs::read_to_string(&file).unwrap();
    assert!(trace.contains(r#""status":429"#), "{trace}");
}

fn a_name_the_cloud_does_not_take_is_refused(running: &Running) {
    let provider = running.provider();
    // A name of ours may be longer than any cloud's.
    let long = format!("a{}", ".a".repeat(100));
    let error = provider.create(&request(provider.as_ref(), &long), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Provider, "{error:?}");
    assert!(matches!(&error, Error::Refused(refusal) if refusal.reason == Reason::Invalid), "{error:?}");
    assert!(provider.find(&long).unwrap().is_none());
}

fn a_machine_that_cannot_be_made_says_why(running: &Running) {
    let provider = running.provider();
    let made = provider.create(&request(provider.as_ref(), "fails-to-start"), &Silent);
    let error = match made {
        // A cloud that tells it with the order leaves nothing behind.
        Err(error) => error,
        Ok(node) => {
            let error = wait_until_running(provider.as_ref(), &node.id, HASTE, &Silent).unwrap_err();
            assert!(matches!(&error, Error::NodeFailed { state: NodeState::Error, reason: Some(_), .. }), "{error:?}");
            destroy(running, provider.as_ref(), &node.id);
            error
        }
    };
    assert_eq!(error.kind(), Kind::Provider, "{error:?}");
    assert!(provider.find("fails-to-start").unwrap().is_none());
}
