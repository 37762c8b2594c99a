//! OpenStack: the real Keystone, Glance, Placement and Nova, with make-believe virtual machines.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use cloudtool::config::ProviderConfig;
use cloudtool::error::{Explain, Kind};
use cloudtool::names::Secret;
use cloudtool::providers::http::{Manners, Reason, Tokens, Trace};
use cloudtool::providers::{CreateRequest, Error, NodeState, Provider, Silent, Wait, wait_until_running};
use serde_json::{Value, json};

use crate::conformance::{await_state, destroy, request};
use crate::meddler::{Fault, Meddler};
use crate::server::{Server, free_port, installed};
use crate::{Cloud, Running, SENTINEL, libcloud, manners, open, section};

pub const CLOUD: Cloud = Cloud {
    name: "openstack",
    start,
    own_tests: &[
        ("pages_are_followed_to_the_end", pages_are_followed_to_the_end),
        ("the_second_run_does_not_log_in", the_second_run_does_not_log_in),
        ("an_application_credential_of_clouds_yaml_logs_in", an_application_credential_of_clouds_yaml_logs_in),
        ("a_failed_build_says_why", a_failed_build_says_why),
        ("a_quota_is_called_one", a_quota_is_called_one),
        ("a_service_in_trouble_is_an_error_that_says_so", a_service_in_trouble_is_an_error_that_says_so),
        ("wrong_settings_are_named", wrong_settings_are_named),
        ("a_paused_node_is_resumed", a_paused_node_is_resumed),
        ("a_key_is_imported_once", a_key_is_imported_once),
        ("no_token_is_shown", no_token_is_shown),
        ("libcloud_sees_the_same", libcloud_sees_the_same),
    ],
};

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("clouds/openstack")
}

/// What the lab says about itself.
fn accounts() -> Value {
    serde_json::from_slice(&std::fs::read(dir().join("accounts.json")).unwrap()).unwrap()
}

fn start() -> Running {
    let ready = free_port();
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .arg(installed("openstack/bin/python"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clouds/servers/openstack/lab.py"))
        .args(["run".into(), installed("openstack-template"), dir(), ready.to_string().into()]);
    let server = Server::start("openstack", &mut command, ready);
    let origin = accounts()["origin"].as_str().unwrap().to_owned();
    let section = section_of("demo", &origin, accounts()["password"].as_str().unwrap());
    let wrong = ProviderConfig { secret: Some(Secret::new(format!("{SENTINEL}-wrong"))), ..section.clone() };
    Running { section, origin, wrong_credentials: Some(wrong), pass_time: || {}, servers: vec![server] }
}

/// A user of a project of the same name.
fn section_of(user: &str, endpoint: &str, password: &str) -> ProviderConfig {
    ProviderConfig {
        username: Some(user.into()),
        rest: [("project".to_owned(), user.to_owned())].into(),
        ..section("openstack", endpoint, password)
    }
}

fn behind(running: &Running, meddler: &Meddler, manners: &Manners) -> Box<dyn Provider> {
    open(&ProviderConfig { endpoint: Some(meddler.origin()), ..running.section.clone() }, manners)
}

fn wait() -> Wait {
    Wait { first: Duration::from_millis(50), longest: Duration::from_millis(200), timeout: Duration::from_secs(60) }
}

/// The lab gives two items a page.
fn pages_are_followed_to_the_end(running: &Running) {
    let meddler = Meddler::before(&running.origin, |_, _, _| Fault::None);
    let provider = behind(running, &meddler, &manners());
    let names = ["page-1", "page-2", "page-3"];
    let made: Vec<_> =
        names.iter().map(|name| provider.create(&request(provider.as_ref(), name), &Silent).unwrap().id).collect();
    // What changes while it is listed may move from page to page.
    for id in &made {
        await_state(running, provider.as_ref(), id, NodeState::Running);
    }
    let listed = provider.nodes().unwrap();
    assert!(names.iter().all(|name| listed.iter().filter(|node| node.name == *name).count() == 1), "{listed:?}");
    assert_eq!(provider.sizes().unwrap().len(), 5);
    let images: Vec<_> = provider.images().unwrap().into_iter().map(|image| image.name).collect();
    // The default first; and what has no data is none.
    assert_eq!(images, ["ubuntu-24.04", "ubuntu-22.04", "cirros", "debian-12"]);
    for path in ["/v2.1/servers/detail", "/v2.1/flavors/detail", "/v2/images"] {
        let pages = meddler.seen().iter().filter(|seen| seen.path.starts_with(path)).count();
        assert!(pages > 1, "{path}");
    }
    for id in made {
        destroy(running, provider.as_ref(), &id);
    }
}

fn the_second_run_does_not_log_in(running: &Running) {
    let meddler = Meddler::before(&running.origin, |_, _, _| Fault::None);
    let kept = tempfile::tempdir().unwrap();
    let manners = Manners { tokens: Tokens::in_dir(Some(kept.path().to_owned())), ..manners() };
    let logins = || meddler.seen().iter().filter(|seen| seen.path.ends_with("/auth/tokens")).count();
    let run = || {
        let provider = behind(running, &meddler, &manners);
        provider.nodes().and_then(|_| provider.images()).unwrap();
        logins()
    };
    assert_eq!((run(), run()), (1, 1));
    // A token that has become worthless is replaced, once.
    let file = std::fs::read_dir(kept.path()).unwrap().next().unwrap().unwrap().path();
    let mut token: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    token["token"] = "worthless".into();
    std::fs::write(&file, token.to_string()).unwrap();
    assert_eq!((run(), run()), (2, 2));
}

fn an_application_credential_of_clouds_yaml_logs_in(running: &Running) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clouds.yaml");
    let credential = &accounts()["application_credential"];
    let cloud = json!({"clouds": {"lab": {
        "auth_type": "v3applicationcredential",
        "auth": {"auth_url": running.origin, "application_credential_id": credential["id"]},
        "region_name": "RegionOne",
        "interface": "internal",
    }}});
    std::fs::write(&file, cloud.to_string()).unwrap();
    let secure = json!({"clouds": {"lab": {"auth": {"application_credential_secret": credential["secret"]}}}});
    std::fs::write(file.with_file_name("secure.yaml"), secure.to_string()).unwrap();
    let rest = [("profile", "lab".to_owned()), ("credentials_file", file.display().to_string())];
    let rest: BTreeMap<_, _> = rest.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let section =
        ProviderConfig { name: "lab".into(), provider: "openstack".into(), rest, ..ProviderConfig::default() };
    let sizes = running.open(&section).sizes().unwrap();
    assert_eq!(sizes, running.provider().sizes().unwrap());
}

fn a_failed_build_says_why(running: &Running) {
    let provider = running.provider();
    let sizes = provider.sizes().unwrap();
    let size = sizes.iter().find(|size| size.name == "m1.impossible").unwrap();
    let request = CreateRequest { size: size.id.clone(), ..request(provider.as_ref(), "impossible") };
    let made = provider.create(&request, &Silent).unwrap();
    let error = wait_until_running(provider.as_ref(), &made.id, wait(), &Silent).unwrap_err();
    let expected = format!("the node impossible (id {}) is in state error: No valid host was found", made.id);
    assert!(error.to_string().starts_with(&expected), "{error}");
    destroy(running, provider.as_ref(), &made.id);
}

/// `small` may have one node.
fn a_quota_is_called_one(running: &Running) {
    let password = running.section.secret.as_ref().unwrap().expose();
    let provider = running.open(&section_of("small", &running.origin, password));
    let first = provider.create(&request(provider.as_ref(), "first"), &Silent).unwrap();
    let error = provider.create(&request(provider.as_ref(), "second"), &Silent).unwrap_err();
    assert!(matches!(&error, Error::Refused(refusal) if refusal.reason == Reason::Quota), "{error:?}");
    assert!(error.to_string().contains("Quota exceeded for instances"), "{error}");
    destroy(running, provider.as_ref(), &first.id);
}

/// The login works, and Nova does not.
fn a_service_in_trouble_is_an_error_that_says_so(running: &Running) {
    let quick = Manners { timeout: Duration::from_secs(3), ..manners() };
    for (fault, word) in [
        (Fault::Garbage, "not JSON"),
        (Fault::Empty, "has no \"servers\""),
        (Fault::Truncate, "broke off"),
        (Fault::Redirect, "redirected to http://127.0.0.2:9/elsewhere"),
        (Fault::Status(500, None), "500"),
        (Fault::Status(401, None), "refuses the credentials"),
    ] {
        let meddler = Meddler::before(
            &running.origin,
            move |_, path, _| {
                if path.contains("/servers/") { fault } else { Fault::None }
            },
        );
        let error = behind(running, &meddler, &quick).nodes().unwrap_err();
        assert!(error.to_string().contains(word), "{fault:?}: {error}");
        if fault == Fault::Status(401, None) {
            // Once more with a new token, and not for ever.
            let logins = meddler.seen().iter().filter(|seen| seen.path.ends_with("/auth/tokens")).count();
            assert_eq!((logins, error.kind()), (2, Kind::Authentication));
        }
    }
}

fn wrong_settings_are_named(running: &Running) {
    let elsewhere = ProviderConfig { region: Some("Nowhere".into()), ..running.section.clone() };
    let error = running.open(&elsewhere).nodes().unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"my-openstack has no region "Nowhere" (from `region` in [provider:my-openstack]); it has RegionOne"#
    );
    let rest = [("project".to_owned(), "small".to_owned())].into();
    let error = running.open(&ProviderConfig { rest, ..running.section.clone() }).nodes().unwrap_err();
    assert_eq!(error.kind(), Kind::Authentication, "{error}");
    let rest = [("network".to_owned(), "no-such".to_owned()), ("project".to_owned(), "demo".to_owned())].into();
    let provider = running.open(&ProviderConfig { rest, ..running.section.clone() });
    let error = provider.create(&request(provider.as_ref(), "no-network"), &Silent).unwrap_err();
    assert!(error.to_string().contains("no-such"), "{error}");
}

/// Somebody else may have paused it.
fn a_paused_node_is_resumed(running: &Running) {
    let provider = running.provider();
    let made = provider.create(&request(provider.as_ref(), "paused"), &Silent).unwrap();
    await_state(running, provider.as_ref(), &made.id, NodeState::Running);
    let client = reqwest::blocking::Client::new();
    let domain = json!({"id": "default"});
    let user = json!({"name": "demo", "domain": domain, "password": running.section.secret.as_ref().unwrap().expose()});
    let body = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "demo", "domain": domain}},
    }});
    let answer = client.post(format!("{}/v3/auth/tokens", running.origin)).json(&body).send().unwrap();
    let path = format!("{}/v2.1/servers/{}/action", accounts()["compute"].as_str().unwrap(), made.id);
    let order = client.post(path).header("x-auth-token", answer.headers()["x-subject-token"].clone());
    let answer = order.json(&json!({"pause": null})).send().unwrap();
    assert_eq!(answer.status(), 202);
    await_state(running, provider.as_ref(), &made.id, NodeState::Suspended);
    provider.resume(&made.id, &Silent).unwrap();
    await_state(running, provider.as_ref(), &made.id, NodeState::Running);
    // What cannot be done is refused with the reason.
    provider.stop(&made.id, &Silent).unwrap();
    await_state(running, provider.as_ref(), &made.id, NodeState::Stopped);
    provider.stop(&made.id, &Silent).unwrap();
    let error = provider.suspend(&made.id, &Silent).unwrap_err();
    assert!(matches!(&error, Error::Refused(refusal) if refusal.reason == Reason::Conflict), "{error:?}");
    destroy(running, provider.as_ref(), &made.id);
}

fn a_key_is_imported_once(running: &Running) {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4zbhLx9m1kyA7LDRe1bvLKmOdWHXmY9OcLkcL1fK0D";
    let meddler = Meddler::before(&running.origin, |_, _, _| Fault::None);
    let provider = behind(running, &meddler, &manners());
    let mut names = Vec::new();
    for (name, comment) in [("key-1", "me@here"), ("key-2", "me@there")] {
        let keys = vec![format!("{KEY} {comment}")];
        let request = CreateRequest { authorized_keys: keys, ..request(provider.as_ref(), name) };
        let made = provider.create(&request, &Silent).unwrap();
        let node = await_state(running, provider.as_ref(), &made.id, NodeState::Running);
        names.push(node.answer["key_name"].as_str().unwrap().to_owned());
        assert_eq!(node.answer["metadata"]["cloudtool"], "1");
        destroy(running, provider.as_ref(), &made.id);
    }
    assert!(names[0] == names[1] && names[0].starts_with("cloudtool-"), "{names:?}");
    let imports =
        meddler.seen().iter().filter(|seen| seen.method == "POST" && seen.path.ends_with("/os-keypairs")).count();
    assert_eq!(imports, 1);
}

/// Keystone's tokens begin with `gAAAA`.
fn no_token_is_shown(running: &Running) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace");
    let manners = Manners { trace: Some(std::sync::Arc::new(Trace::open(&file).unwrap())), ..manners() };
    let provider = open(&running.section, &manners);
    provider.nodes().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("/v3/auth/tokens") && text.contains("/v2.1/servers/detail"), "{text}");
    assert!(!text.contains("gAAAA") && !text.contains(SENTINEL), "{text}");
}

fn libcloud_sees_the_same(running: &Running) {
    let provider = running.provider();
    let names = ["seen-1", "seen-2", "seen-3"];
    let made: Vec<_> =
        names.iter().map(|name| provider.create(&request(provider.as_ref(), name), &Silent).unwrap().id).collect();
    for id in &made {
        await_state(running, provider.as_ref(), id, NodeState::Running);
    }
    let password = running.section.secret.as_ref().unwrap().expose();
    let named = json!({
        "api_version": "2.2",
        "ex_force_auth_url": running.origin,
        "ex_force_auth_version": "3.x_password",
        "ex_tenant_name": "demo",
        "ex_force_service_region": "RegionOne",
    });
    libcloud::sees_the_same(provider.as_ref(), "openstack", json!(["demo", password]), named);
    for id in made {
        destroy(running, provider.as_ref(), &id);
    }
}
