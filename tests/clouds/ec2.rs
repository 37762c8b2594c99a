//! EC2: moto, which checks signatures and permissions. Amazon's SDK prepares and looks, and libcloud is a second client.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudtool::config::ProviderConfig;
use cloudtool::error::{Explain, Kind};
use cloudtool::names::Secret;
use cloudtool::providers::http::{Manners, Trace};
use cloudtool::providers::{CreateRequest, Error, Node, NodeState, Progress, Provider, Silent};
use serde_json::Value;

use crate::conformance::{await_state, destroy, request, section_behind};
use crate::meddler::{Fault, Meddler};
use crate::server::{Server, free_port, installed};
use crate::{Cloud, Running, SENTINEL, manners, open, section};

pub const CLOUD: Cloud = Cloud {
    name: "ec2",
    start,
    own_tests: &[
        ("a_missing_permission_is_named", a_missing_permission_is_named),
        ("a_node_can_be_reached_from_outside", a_node_can_be_reached_from_outside),
        ("ec2s_own_throttling_is_waited_for", ec2s_own_throttling_is_waited_for),
        ("an_order_without_an_answer_makes_one_instance", an_order_without_an_answer_makes_one_instance),
        ("a_new_instance_may_be_unknown_for_a_while", a_new_instance_may_be_unknown_for_a_while),
        ("the_instance_is_told_what_it_should_be", the_instance_is_told_what_it_should_be),
        ("pages_are_followed_to_the_end", pages_are_followed_to_the_end),
        ("libcloud_sees_the_same", libcloud_sees_the_same),
        ("the_real_secret_is_not_shown", the_real_secret_is_not_shown),
        ("credentials_of_a_session_are_used", credentials_of_a_session_are_used),
        ("the_documented_policy_is_enough", the_documented_policy_is_enough),
        ("several_are_ordered_at_once", several_are_ordered_at_once),
        ("profiles_of_amazons_tools_are_used", profiles_of_amazons_tools_are_used),
    ],
};

/// The users of the server, by name.
static ACCOUNTS: OnceLock<Value> = OnceLock::new();

fn start() -> Running {
    let port = free_port();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(installed("moto/bin/moto_server"));
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).envs([
        ("INITIAL_NO_AUTH_ACTION_COUNT", "3"),
        ("MOTO_ENABLE_AMI_VALIDATION", "1"),
        ("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "1"),
        ("MOTO_ENABLE_KEYPAIR_VALIDATION", "1"),
    ]);
    let server = Server::start("ec2", &mut command, port);
    let origin = format!("http://127.0.0.1:{port}");
    let accounts = ACCOUNTS.get_or_init(|| python("ec2_admin.py", &[&origin, "accounts"], &Value::Null));
    let section = section_of(&origin, &accounts["admin"]);
    let wrong = ProviderConfig { secret: Some(Secret::new(format!("{SENTINEL}-secret"))), ..section.clone() };
    Running { section, origin, wrong_credentials: Some(wrong), pass_time: || {}, servers: vec![server] }
}

fn account(name: &str) -> &'static Value {
    &ACCOUNTS.get().expect("the server runs")[name]
}

fn section_of(origin: &str, account: &Value) -> ProviderConfig {
    let field = |name: &str| account[name].as_str().unwrap().to_owned();
    ProviderConfig {
        username: Some(field("aws_access_key_id")),
        region: Some("us-east-1".into()),
        ..section("ec2", origin, &field("aws_secret_access_key"))
    }
}

/// What a script of `tests/clouds/servers` prints, as that user.
pub fn python(script: &str, arguments: &[&str], account: &Value) -> Value {
    let mut command = Command::new(installed("moto/bin/python"));
    command.arg(format!("{}/tests/clouds/servers/{script}", env!("CARGO_MANIFEST_DIR"))).args(arguments);
    for (key, value) in account.as_object().into_iter().flatten() {
        command.env(key.to_uppercase(), value.as_str().unwrap());
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{script} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A wish for a node. The lists it is chosen from are long, and are asked for once.
fn wish(running: &Running, name: &str) -> CreateRequest {
    static ANY: OnceLock<CreateRequest> = OnceLock::new();
    let any = ANY.get_or_init(|| request(running.provider().as_ref(), name));
    CreateRequest { name: name.parse().unwrap(), ..any.clone() }
}

fn admin(running: &Running, arguments: &[&str]) -> Value {
    let arguments = [&[running.origin.as_str()], arguments].concat();
    python("ec2_admin.py", &arguments, account("admin"))
}

fn a_missing_permission_is_named(running: &Running) {
    let reader = running.open(&section_of(&running.origin, account("reader")));
    let error = reader.create(&wish(running, "not-allowed"), &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Authentication, "{error}");
    let text = error.to_string();
    // By the first thing that was missing yet: the key, the group, the instance.
    assert!(text.contains("AccessDenied") && text.contains("not authorized to perform: ec2:"), "{text}");
    assert!(text.contains("(403 to "), "{text}");
    assert!(error.hint().is_some_and(|hint| hint.contains("`secret` in [provider:my-ec2]")), "{:?}", error.hint());
    // Amazon's own word for it.
    const REFUSAL: &str = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized.</Message></Error></Errors></Response>";
    let meddler = Meddler::looking_into(&running.origin, |_, _| Fault::Xml(403, REFUSAL));
    let error = open(&section_behind(running, &meddler), &manners()).nodes().unwrap_err();
    assert_eq!((error.kind(), meddler.seen().len()), (Kind::Authentication, 1), "{error}");
    assert!(error.hint().is_some());
}

fn a_node_can_be_reached_from_outside(running: &Running) {
    let provider = running.provider();
    let node = provider.create(&wish(running, "reached"), &Silent).unwrap();
    assert_eq!(node.answer["groupSet"][0]["groupName"], "cloudtool");
    let groups = admin(running, &["groups"]);
    assert_eq!(groups["cloudtool"], serde_json::json!([22, 80, 443]));

    // In a subnet, the group is the one of its network.
    let mut section = running.section.clone();
    section.rest.insert("network".into(), node.answer["subnetId"].as_str().unwrap().to_owned());
    let in_subnet = running.open(&section);
    let mut wish = self::wish(running, "in-subnet");
    wish.location = None;
    let other = in_subnet.create(&wish, &Silent).unwrap();
    assert_eq!(other.answer["subnetId"], node.answer["subnetId"]);
    assert_eq!(other.answer["groupSet"][0]["groupName"], "cloudtool");
    section.rest.insert("network".into(), "subnet-00000000".into());
    wish.name = "in-no-subnet".parse().unwrap();
    assert!(
        running.open(&section).create(&wish, &Silent).unwrap_err().to_string().contains("InvalidSubnetID.NotFound")
    );
    destroy(running, provider.as_ref(), &node.id);
    destroy(running, provider.as_ref(), &other.id);

    // Who may not make the group gets the default one, and is told. (Another region: the group is not there yet.)
    struct Told(Mutex<Vec<String>>);
    impl Progress for Told {
        fn step(&self, _message: &str) {}
        fn warning(&self, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }
    let mut section = section_of(&running.origin, account("unwalled"));
    section.region = Some("eu-west-1".into());
    let unwalled = running.open(&section);
    let mut wish = self::wish(running, "unwalled");
    wish.location = None;
    wish.authorized_keys.clear();
    let told = Told(Mutex::default());
    let node = unwalled.create(&wish, &told).unwrap();
    assert!(!node.answer["groupSet"].to_string().contains("cloudtool"), "{}", node.answer);
    let told = told.0.lock().unwrap();
    assert!(told.len() == 1 && told[0].contains("may not let SSH in"), "{told:?}");
    destroy(running, unwalled.as_ref(), &node.id);
}

fn ec2s_own_throttling_is_waited_for(running: &Running) {
    const REFUSAL: &str = "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.</Message></Error></Errors></Response>";
    // Of each action the first two, the order too: nothing was done.
    let seen: Arc<Mutex<std::collections::HashMap<String, usize>>> = Arc::default();
    let meddler = Meddler::looking_into(&running.origin, move |body, _| {
        let mut seen = seen.lock().unwrap();
        let count = seen.entry(action(body).to_owned()).or_default();
        *count += 1;
        if *count <= 2 { Fault::Xml(503, REFUSAL) } else { Fault::None }
    });
    let provider = open(&section_behind(running, &meddler), &manners());
    let node = provider.create(&wish(running, "throttled"), &Silent).unwrap();
    assert_eq!(count(&meddler, "RunInstances"), 3);
    assert_eq!(named(running, "throttled"), [node.id.as_str()]);
    destroy(running, running.provider().as_ref(), &node.id);
    // Not for ever.
    let meddler = Meddler::looking_into(&running.origin, |_, _| Fault::Xml(503, REFUSAL));
    let error = open(&section_behind(running, &meddler), &manners()).nodes().unwrap_err();
    assert_eq!((error.kind(), meddler.seen().len()), (Kind::Provider, 5), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("Too many requests")));
}

fn action(body: &str) -> &str {
    body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default()
}

fn count(meddler: &Meddler, wanted: &str) -> usize {
    meddler.seen().iter().filter(|seen| action(&seen.body) == wanted).count()
}

fn named(running: &Running, name: &str) -> Vec<String> {
    let nodes = running.provider().nodes().unwrap();
    let alive = nodes.into_iter().filter(|node| node.name == name && node.state != NodeState::Terminated);
    alive.map(|node: Node| node.id).collect()
}

fn an_order_without_an_answer_makes_one_instance(running: &Running) {
    let quick = Manners { timeout: Duration::from_secs(4), ..manners() };
    // What was carried out is found by its tag; what never arrived is sent once more, with the same token.
    for (index, (fault, orders)) in
        [(Fault::Truncate, 1), (Fault::Swallow, 1), (Fault::Garble, 1), (Fault::Hang, 2)].into_iter().enumerate()
    {
        let name = format!("once-{index}");
        let before = AtomicUsize::new(0);
        let meddler = Meddler::looking_into(&running.origin, move |body, _| {
            let is_first = action(body) == "RunInstances" && before.fetch_add(1, Ordering::SeqCst) == 0;
            if is_first { fault } else { Fault::None }
        });
        let provider = open(&section_behind(running, &meddler), &quick);
        let made = provider.create(&wish(running, &name), &Silent);
        let made = made.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(count(&meddler, "RunInstances"), orders, "{fault:?}");
        assert_eq!(named(running, &name), [made.id.as_str()], "{fault:?}");
        let tokens: std::collections::HashSet<String> = meddler
            .seen()
            .iter()
            .filter_map(|seen| seen.body.split('&').find(|pair| pair.starts_with("ClientToken=")).map(str::to_owned))
            .collect();
        assert_eq!(tokens.len(), 1, "{fault:?}");
        destroy(running, running.provider().as_ref(), &made.id);
    }
}

fn a_new_instance_may_be_unknown_for_a_while(running: &Running) {
    const REFUSAL: &str = "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>It does not exist</Message></Error></Errors></Response>";
    let before = AtomicUsize::new(0);
    let meddler = Meddler::looking_into(&running.origin, move |body, _| {
        let is_asked_for = body.contains("&InstanceId.1=") && before.fetch_add(1, Ordering::SeqCst) < 2;
        if is_asked_for { Fault::Xml(400, REFUSAL) } else { Fault::None }
    });
    let provider = open(&section_behind(running, &meddler), &manners());
    let node = provider.create(&wish(running, "young"), &Silent).unwrap();
    assert_eq!(provider.get(&node.id).unwrap().id, node.id);
    assert_eq!(meddler.seen().iter().filter(|seen| seen.body.contains("&InstanceId.1=")).count(), 3);
    destroy(running, provider.as_ref(), &node.id);
    // What somebody else ordered is known, or is not there.
    let meddler = Meddler::looking_into(&running.origin, |_, _| Fault::Xml(400, REFUSAL));
    let error = open(&section_behind(running, &meddler), &manners()).get(&node.id).unwrap_err();
    assert!(matches!(error, Error::NoSuchNode { .. }) && meddler.seen().len() == 1, "{error}");
}

fn the_instance_is_told_what_it_should_be(running: &Running) {
    let provider = running.provider();
    let wish = self::wish(running, "told");
    let node = provider.create(&wish, &Silent).unwrap();
    let told = admin(running, &["user-data", &node.id]);
    let told = told.as_str().unwrap();
    assert!(told.starts_with("#cloud-config\n") && told.contains(&wish.authorized_keys[0]), "{told}");
    let host_key = wish.host_key.unwrap();
    assert!(told.contains(host_key.private.expose()) && told.contains(&host_key.public), "{told}");
    let tags: Vec<_> = node.answer["tagSet"].as_array().unwrap().iter().map(|tag| &tag["key"]).collect();
    assert!(["Name", "cloudtool", "cloudtool-order"].iter().all(|key| tags.iter().any(|tag| tag == key)), "{tags:?}");
    assert!(node.answer["keyName"].as_str().is_some_and(|name| name.starts_with("cloudtool-")));
    destroy(running, provider.as_ref(), &node.id);
}

fn pages_are_followed_to_the_end(running: &Running) {
    // A region of its own, because those are many; a page has a hundred.
    const MANY: usize = 101;
    admin(running, &["many", "eu-west-3", &MANY.to_string()]);
    let mut section = running.section.clone();
    section.region = Some("eu-west-3".into());
    let mut ids: Vec<_> = running.open(&section).nodes().unwrap().into_iter().map(|node| node.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MANY);
}

/// Both clients' nodes, without those that ended.
pub fn compare_nodes(provider: &dyn Provider, view: &Value) {
    let words = |state: NodeState| match state {
        NodeState::Running => "running",
        NodeState::Pending => "pending",
        NodeState::Stopped => "stopped",
        NodeState::Stopping => "stopping",
        _ => "unknown",
    };
    let mut ours: Vec<_> = (provider.nodes().unwrap().into_iter())
        .map(|node| {
            (
                node.id,
                node.name,
                words(node.state).to_owned(),
                node.public_ips.iter().map(ToString::to_string).collect(),
            )
        })
        .collect();
    let text = |node: &Value, field: &str| node[field].as_str().unwrap_or_default().to_owned();
    let mut theirs: Vec<(String, String, String, Vec<String>)> = (view["nodes"].as_array().unwrap().iter())
        .filter(|node| node["state"] != "terminated")
        .map(|node| {
            let ips = node["public_ips"].as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned);
            (text(node, "id"), text(node, "name"), text(node, "state"), ips.collect())
        })
        .collect();
    ours.sort();
    theirs.sort();
    assert!(!ours.is_empty());
    assert_eq!(ours, theirs);
}

fn libcloud_sees_the_same(running: &Running) {
    let provider = running.provider();
    let one = provider.create(&wish(running, "seen-by-both"), &Silent).unwrap();
    let two = provider.create(&wish(running, "seen-by-both-too"), &Silent).unwrap();
    for node in [&one, &two] {
        await_state(running, provider.as_ref(), &node.id, NodeState::Running);
    }
    provider.stop(&two.id, &Silent).unwrap();
    await_state(running, provider.as_ref(), &two.id, NodeState::Stopped);
    let image = admin(running, &["image", &one.id, "an-image-of-ours"]);
    let (host, port) = running.origin.trim_start_matches("http://").split_once(':').unwrap();
    let view = python("libcloud_view.py", &["ec2", host, port, "/"], account("admin"));
    compare_nodes(provider.as_ref(), &view);

    // Ours are those of a few owners, theirs are all.
    let theirs: Vec<_> = view["images"].as_array().unwrap().iter().map(|image| &image["id"]).collect();
    let images = provider.images().unwrap();
    assert!(images.iter().any(|one| image == one.id && one.name == "an-image-of-ours"), "{images:?}");
    assert!(images.iter().all(|image| theirs.iter().any(|id| **id == image.id)));
    assert!(images.len() < theirs.len());
    // Another owner's is found by its id.
    let foreign =
        theirs.iter().filter_map(|id| id.as_str()).find(|id| images.iter().all(|image| image.id != *id)).unwrap();
    assert_eq!(provider.unlisted_image(foreign).unwrap().map(|image| image.id).as_deref(), Some(foreign));
    assert_eq!(provider.unlisted_image("ami-0123456789abcdef0").unwrap(), None);

    // Theirs are from a list of their own, without newer ones: where both know a size, it has the same price, and the same
    // memory but for two of which their list says 256 MB and 52 MB more than Amazon does.
    let sizes = provider.sizes().unwrap();
    let mut same = 0;
    for size in &sizes {
        let Some(other) = view["sizes"].as_array().unwrap().iter().find(|other| other["id"] == size.id.as_str()) else {
            continue;
        };
        let hourly = size.price.as_ref().and_then(|price| price.hourly);
        let price = other["price"].as_f64().filter(|price| *price > 0.0);
        assert_eq!(hourly, price, "{}", size.id);
        if !["m1.medium", "r3.large"].contains(&size.id.as_str()) {
            assert_eq!(size.memory_mb, other["ram"].as_u64(), "{}", size.id);
        }
        same += 1;
    }
    assert!(same > 300, "{same} of {}", sizes.len());
    destroy(running, provider.as_ref(), &one.id);
    destroy(running, provider.as_ref(), &two.id);
}

fn the_real_secret_is_not_shown(running: &Running) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace");
    let manners = Manners { trace: Some(Arc::new(Trace::open(&file).unwrap())), ..manners() };
    let mut section = running.section.clone();
    section.secrets.insert("session_token".into(), Secret::new(format!("{SENTINEL}-token")));
    // The server knows no such token, and says so; the one without it gets as far as an order.
    let _ = open(&section, &manners).nodes();
    let provider = open(&running.section, &manners);
    let node = provider.create(&wish(running, "traced"), &Silent).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"Action\":\"RunInstances\"") && text.contains("\"UserData\":\"***\""), "{text}");
    let secret = running.section.secret.as_ref().unwrap().expose();
    let escaped: String = secret.replace('+', "%2B").replace('/', "%2F");
    for hidden in [secret, &escaped, SENTINEL, "Signature=", &STANDARD.encode("#cloud-config\n")] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    destroy(running, running.provider().as_ref(), &node.id);
}

fn credentials_of_a_session_are_used(running: &Running) {
    let session = account("session");
    let mut section = section_of(&running.origin, session);
    let token = session["aws_session_token"].as_str().unwrap();
    section.secrets.insert("session_token".into(), Secret::new(token));
    running.open(&section).nodes().unwrap();
    for token in [None, Some("another")] {
        section.secrets.clear();
        section.secrets.extend(token.map(|token| ("session_token".to_owned(), Secret::new(token))));
        let error = running.open(&section).nodes().unwrap_err();
        assert_eq!(error.kind(), Kind::Authentication, "{token:?}: {error}");
    }
}

fn the_documented_policy_is_enough(running: &Running) {
    // In a region where the key and the group must be made.
    let mut section = section_of(&running.origin, account("documented"));
    section.region = Some("eu-north-1".into());
    let provider = running.open(&section);
    let wish = CreateRequest { location: None, ..request(provider.as_ref(), "documented") };
    let node = provider.create(&wish, &Silent).unwrap();
    assert_eq!(node.answer["groupSet"][0]["groupName"], "cloudtool");
    section.rest.insert("network".into(), node.answer["subnetId"].as_str().unwrap().to_owned());
    let wish = CreateRequest { name: "documented-too".parse().unwrap(), ..wish };
    let other = running.open(&section).create(&wish, &Silent).unwrap();
    await_state(running, provider.as_ref(), &node.id, NodeState::Running);
    provider.reboot(&node.id, &Silent).unwrap();
    provider.stop(&node.id, &Silent).unwrap();
    await_state(running, provider.as_ref(), &node.id, NodeState::Stopped);
    provider.start(&node.id, &Silent).unwrap();
    destroy(running, provider.as_ref(), &node.id);
    destroy(running, provider.as_ref(), &other.id);
}

fn several_are_ordered_at_once(running: &Running) {
    // In a region where neither the key nor the group are there yet: all of them find that out.
    let mut section = running.section.clone();
    section.region = Some("eu-west-2".into());
    let provider = running.open(&section);
    let names = ["web1", "web2", "web3"];
    let nodes: Vec<Node> = std::thread::scope(|scope| {
        let order = |name| {
            let wish = CreateRequest { location: None, ..wish(running, name) };
            let provider = &provider;
            scope.spawn(move || provider.create(&wish, &Silent).unwrap())
        };
        let orders = names.map(order);
        orders.map(|order| order.join().unwrap()).into()
    });
    for (node, name) in nodes.iter().zip(names) {
        assert_eq!((node.name.as_str(), &node.answer["groupSet"][0]["groupName"]), (name, &Value::from("cloudtool")));
        assert_eq!(node.answer["groupSet"], nodes[0].answer["groupSet"]);
    }
    assert_eq!(provider.nodes().unwrap().len(), names.len());
}

fn profiles_of_amazons_tools_are_used(running: &Running) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    let field = |name: &str| account("reader")[name].as_str().unwrap();
    let text = format!(
        "[default]\naws_access_key_id = x\naws_secret_access_key = x\n[work]\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = us-east-1\n",
        field("aws_access_key_id"),
        field("aws_secret_access_key")
    );
    std::fs::write(&file, text).unwrap();
    let mut section = ProviderConfig { username: None, secret: None, region: None, ..running.section.clone() };
    section.rest.insert("credentials_file".into(), file.display().to_string());
    section.rest.insert("profile".into(), "work".into());
    running.open(&section).nodes().unwrap();
    section.rest.insert("profile".into(), "default".into());
    section.region = Some("us-east-1".into());
    let error = running.open(&section).nodes().unwrap_err();
    assert_eq!(error.kind(), Kind::Authentication, "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("the profile \"default\" in ")), "{:?}", error.hint());
    section.rest.insert("profile".into(), "nobody".into());
    let error = crate::try_open(&section, &manners()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("there is no profile \"nobody\""), "{error}");
}
