//! The clouds nobody has a server of: small stateful fakes of ours (`servers/fakes`), each behind a proxy that holds our requests and
//! the fake's answers to the vendor's own OpenAPI document.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cloudtool::config::ProviderConfig;
use cloudtool::error::{Explain, Kind};
use cloudtool::names::Secret;
use cloudtool::providers::http::{Manners, Reason, Tokens, Trace};
use cloudtool::providers::{Error, NodeState, Silent, wait_until_running};

use openssl::pkey::Private;
use openssl::rsa::Rsa;

use crate::conformance::{HASTE, destroy, request};
use crate::server::{Server, free_port, installed};
use crate::{Cloud, Running, SENTINEL, Test, manners, open, section};

const CONTRACT: Test = ("the_contract_is_enforced", the_contract_is_enforced);
const PAGES: Test = ("lists_are_followed_to_their_end", lists_are_followed_to_their_end);
const QUOTA: Test = ("a_machine_too_many_is_refused", a_machine_too_many_is_refused);
const BURST: Test = ("a_burst_is_slowed_down", a_burst_is_slowed_down);
const NAME: Test = ("a_name_the_cloud_does_not_take_is_refused", a_name_the_cloud_does_not_take_is_refused);
const FAILURE: Test = ("a_machine_that_cannot_be_made_says_why", a_machine_that_cannot_be_made_says_why);

const REGION: Test = ("an_unknown_region_is_said_with_the_setting", an_unknown_region_is_said_with_the_setting);

/// It takes every name that we do.
pub const DIGITALOCEAN: Cloud = Cloud {
    name: "digitalocean",
    start: || start("digitalocean", "/v2", true),
    own_tests: &[CONTRACT, PAGES, QUOTA, BURST, FAILURE, REGION],
};

pub const HETZNER: Cloud = Cloud {
    name: "hetzner",
    start: || start("hetzner", "", true),
    own_tests: &[CONTRACT, PAGES, QUOTA, BURST, NAME, FAILURE, REGION],
};

/// Its instances have no state for one that could not be made.
pub const LINODE: Cloud =
    Cloud { name: "linode", start: || start("linode", "", true), own_tests: &[CONTRACT, PAGES, QUOTA, BURST, NAME] };

/// The vendor's document is in no registry: the fake stands alone. An instance that could not be made has no state either.
pub const VULTR: Cloud =
    Cloud { name: "vultr", start: || start("vultr", "/v2", false), own_tests: &[PAGES, QUOTA, BURST, NAME, REGION] };

/// Its clients prove themselves by a key: where they get tokens for it is beside the contract.
pub const GCE: Cloud = Cloud {
    name: "gce",
    start: start_gce,
    own_tests: &[CONTRACT, PAGES, QUOTA, BURST, NAME, FAILURE, ("a_token_is_kept", a_token_is_kept)],
};

fn start_gce() -> Running {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clouds/gce");
    std::fs::create_dir_all(&dir).unwrap();
    let (fake, proxy) = (free_port(), free_port());
    let token_uri = format!("http://127.0.0.1:{fake}/token");
    let pem = |key: &Rsa<Private>| String::from_utf8(key.private_key_to_pem().unwrap()).unwrap();
    let (key, other) = (Rsa::generate(2048).unwrap(), Rsa::generate(2048).unwrap());
    for (name, who, key) in [("account", "me", &key), ("throttled", "throttled", &key), ("wrong", "me", &other)] {
        let file = serde_json::json!({
            "type": "service_account",
            "project_id": "my-project",
            "private_key_id": "1",
            // What stands before the key is no part of it, but as secret.
            "private_key": format!("{SENTINEL}\n{}", pem(key)),
            "client_email": format!("{who}@my-project.iam.gserviceaccount.com"),
            "token_uri": token_uri,
        });
        std::fs::write(dir.join(format!("{name}.json")), file.to_string()).unwrap();
    }
    let public = dir.join("public.pem");
    std::fs::write(&public, key.public_key_to_pem().unwrap()).unwrap();
    let origin = format!("http://127.0.0.1:{proxy}");
    let arguments = ["--token", SENTINEL, "--public", &origin, "--key", public.to_str().unwrap()];
    let servers = vec![python("gce", fake, &arguments), behind_contract("gce", proxy, fake)];
    let with = |file: &str| {
        let mut section = section("gce", &origin, "");
        section.secret = None;
        section.rest.insert("credentials_file".into(), dir.join(file).display().to_string());
        section
    };
    Running {
        section: with("account.json"),
        wrong_credentials: Some(with("wrong.json")),
        origin: origin.clone(),
        pass_time: || {},
        servers,
    }
}

/// Two runs of the program ask for one token; a run whose token is not accepted any more asks for another.
fn a_token_is_kept(running: &Running) {
    let dir = tempfile::tempdir().unwrap();
    let (file, drawers) = (dir.path().join("trace"), dir.path().join("tokens"));
    let trace = Arc::new(Trace::open(&file).unwrap());
    let manners = Manners { trace: Some(trace), tokens: Tokens::in_dir(Some(drawers.clone())), ..manners() };
    let asked = || std::fs::read_to_string(&file).unwrap().matches("/token\"").count();
    open(&running.section, &manners).nodes().unwrap();
    open(&running.section, &manners).nodes().unwrap();
    assert_eq!(asked(), 1);
    let kept = std::fs::read_dir(&drawers).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, text.replace(SENTINEL, "withdrawn")).unwrap();
    open(&running.section, &manners).nodes().unwrap();
    assert_eq!(asked(), 2);
}

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

/// A page of any fake has two items, and there are three of everything; the default image is not among the first two.
fn lists_are_followed_to_their_end(running: &Running) {
    let provider = running.provider();
    let (images, sizes, regions) = (provider.images().unwrap(), provider.sizes().unwrap(), provider.regions().unwrap());
    assert!(images.len() >= 3 && sizes.len() >= 3 && regions.len() == 3, "{images:?} {sizes:?} {regions:?}");
    let default = format!("{} {}", images[0].id, images[0].name).replace(['.', '-'], "");
    assert!(default.to_lowercase().contains("2404"), "{default}");
    let names = ["pages-1", "pages-2", "pages-3"];
    let made = names.map(|name| provider.create(&request(provider.as_ref(), name), &Silent).unwrap().id);
    let mut listed: Vec<String> = provider.nodes().unwrap().into_iter().map(|node| node.name).collect();
    listed.retain(|name| names.contains(&name.as_str()));
    listed.sort();
    assert_eq!(listed, names);
    for id in made {
        destroy(running, provider.as_ref(), &id);
    }
}

/// The proxy refuses by itself what the vendor's document does not know: an order for nothing.
fn the_contract_is_enforced(running: &Running) {
    let endpoint = running.section.endpoint.as_ref().unwrap();
    let orders = ["droplets", "servers", "linode/instances", "projects/p/zones/z/instances"];
    let statuses = orders.map(|path| {
        let request = reqwest::blocking::Client::new().post(format!("{endpoint}/{path}")).bearer_auth("nobody");
        request.json(&serde_json::json!({"name": 7, "size": 7})).send().unwrap().status().as_u16()
    });
    assert!(statuses.contains(&422) && statuses.iter().all(|status| [404, 422].contains(status)), "{statuses:?}");
}

fn an_unknown_region_is_said_with_the_setting(running: &Running) {
    let section = ProviderConfig { region: Some("mars1".into()), ..running.section.clone() };
    let error = running.open(&section).sizes().unwrap_err();
    let told = format!("{0} has no region \"mars1\" (from `region` in [provider:{0}]); it has ", section.name);
    assert!(error.to_string().starts_with(&told), "{error}");
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
    if let Some(account) = throttled.rest.get_mut("credentials_file") {
        *account = account.replace("account.json", "throttled.json");
    }
    let provider = open(&throttled, &manners);
    for _ in 0..3 {
        provider.nodes().unwrap();
    }
    let trace = std::fs::read_to_string(&file).unwrap();
    let slowed = [r#""status":429"#, r#""rateLimitExceeded""#].iter().any(|sign| trace.contains(sign));
    assert!(slowed, "{trace}");
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
