use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::setup_node;
use crate::config::ProviderConfig;
use crate::error::{Failure, Kind};
use crate::inventory::{Inventory, KnownHosts, NodeRecord};
use crate::names::NodeName;
use crate::providers::{CreateRequest, Node, Progress, Provider, Wait, select_or_default, wait_until_running};
use crate::ui::Ui;

/// Create a node
///
/// The node's host key is pinned before the first connection. The first node becomes the default one.
#[derive(Debug, Args)]
pub(super) struct CreateNode {
    /// What the node is called: a host name
    name: NodeName,
    /// The image: an id, a name, or a glob that matches exactly one
    #[arg(long, value_name = "GLOB", env = "CLOUDTOOL_IMAGE")]
    image: Option<String>,
    /// The size: an id, a name, or a glob that matches exactly one
    #[arg(long, value_name = "GLOB", env = "CLOUDTOOL_SIZE")]
    size: Option<String>,
    /// The place: an id, a name, or a glob that matches exactly one
    #[arg(long, value_name = "GLOB", env = "CLOUDTOOL_LOCATION")]
    location: Option<String>,
    /// Set the node up as soon as it answers (implies --wait)
    #[arg(long)]
    setup_node: bool,
    /// Return only when the node runs and its sshd answers
    #[arg(long)]
    wait: bool,
    /// How many seconds to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// If there is a node of that name already, it is not an error; --setup-node then sets that one up
    #[arg(long)]
    if_not_exists: bool,
}

pub(super) fn run(context: &Context, args: CreateNode) -> Result<(), Failure> {
    let (section, provider) = context.provider()?;
    let record = match existing(context, provider.as_ref(), &args)? {
        Some(record) => record,
        None => create(context, &section, provider.as_ref(), &args)?,
    };
    if args.wait || args.setup_node {
        wait_for_sshd(&record, Duration::from_secs(args.timeout))?;
    }
    if args.setup_node {
        setup_node::set_up(context, &record)?;
    } else {
        context.ui.say(format!("Next: cloudtool setup-node {}", record.name));
    }
    Ok(())
}

/// The node of that name, if there is one and that is fine.
fn existing(context: &Context, provider: &dyn Provider, args: &CreateNode) -> Result<Option<NodeRecord>, Failure> {
    let Some(node) = provider.find(args.name.as_str())? else { return Ok(None) };
    if !args.if_not_exists {
        return Err(Failure::new(Kind::Usage, format!("there is a node {} at {} already", node.name, provider.name()))
            .hint("choose another name, say --if-not-exists, or destroy it: cloudtool destroy-node"));
    }
    tell(&context.ui, &node);
    context.ui.line(format!("{} exists ({})", node.name, node.state));
    let known = context.inventory()?.get_node(provider.name(), &node.id)?;
    let record = record_of(&node, known.and_then(|known| known.identity));
    remember(context, &node, &record)?;
    Ok(Some(record))
}

fn create(
    context: &Context,
    section: &ProviderConfig,
    provider: &dyn Provider,
    args: &CreateNode,
) -> Result<NodeRecord, Failure> {
    let request = wish(section, provider, args)?;
    let identity = request.1;
    let request = request.0;
    let told = Told(&context.ui);
    let start = Instant::now();
    let node = provider.create(&request, &told)?;
    let created = || -> Result<NodeRecord, Failure> {
        let wait = Wait::on(provider, Duration::from_secs(args.timeout));
        let node = wait_until_running(provider, &node.id, wait, &told)?;
        let record = record_of(&node, identity.clone());
        remember(context, &node, &record)?;
        tell(&context.ui, &node);
        context.ui.line(format!("{} is created ({:.1} s)", node.name, start.elapsed().as_secs_f64()));
        Ok(record)
    };
    let outcome = created().map_err(|failure| failure_with_node(failure, &node));
    let result = if outcome.is_ok() { "done" } else { "failed" };
    context.record("create-node", Some(&node.name), None, result, Some(&node.id));
    outcome
}

/// Says where a node is.
fn tell(ui: &Ui, node: &Node) {
    let mut event = json!({"event": "node", "forwarded_port": node.access.forwarded_port});
    // A node is plain data: it always serialises to an object.
    if let (Some(event), Ok(Value::Object(fields))) = (event.as_object_mut(), serde_json::to_value(node)) {
        event.extend(fields);
    }
    ui.event(&event);
    ui.say(format!("  {} has the address {}", node.name, node.access.address.as_deref().unwrap_or("(none yet)")));
    if let Some(port) = node.access.forwarded_port {
        ui.say(format!("  its port 80 is http://127.0.0.1:{port}/ here, an app on it http://APP.localhost:{port}/"));
    }
}

/// A node that exists and may cost money must not be forgotten in an error.
fn failure_with_node(failure: Failure, node: &Node) -> Failure {
    let hint = format!(
        "the node {} (id {}) was made and is still there; take it away with: cloudtool destroy-node {}",
        node.name, node.id, node.name
    );
    Failure { hint: Some(hint), ..failure }
}

/// What to ask the provider for, and the private key that will open the node where it is not one of the user's own.
fn wish(
    section: &ProviderConfig,
    provider: &dyn Provider,
    args: &CreateNode,
) -> Result<(CreateRequest, Option<PathBuf>), Failure> {
    if !provider.capabilities().create {
        return Err(Failure::new(Kind::Usage, format!("the provider {} cannot make nodes", provider.name()))
            .hint("set up a server you have with: cloudtool setup-node HOST"));
    }
    let images = provider.images()?;
    let image = args.image.as_deref().or(section.image.as_deref());
    let sizes = provider.sizes()?;
    let size = args.size.as_deref().or(section.size.as_deref());
    let location = match args.location.as_deref().or(section.location.as_deref()) {
        Some(wanted) => Some(select_or_default(provider.name(), Some(wanted), &provider.regions()?)?.id.clone()),
        None => None,
    };
    let (authorized_keys, identity) = login_keys(section)?;
    let request = CreateRequest {
        name: args.name.clone(),
        image: select_or_default(provider.name(), image, &images)?.id.clone(),
        size: select_or_default(provider.name(), size, &sizes)?.id.clone(),
        location,
        authorized_keys,
        host_key: None,
        user_data: None,
    };
    Ok((request, identity))
}

/// The public keys that may log in: those of the configuration, else the user's own, else a pair made for cloudtool.
fn login_keys(section: &ProviderConfig) -> Result<(Vec<String>, Option<PathBuf>), Failure> {
    if let Some(configured) = &section.root_authorized_keys {
        let text = if configured.trim_start().starts_with("ssh-") || configured.trim_start().starts_with("ecdsa-") {
            configured.clone()
        } else {
            read(Path::new(configured.trim()))?
        };
        return Ok((key_lines(&text), None));
    }
    let own = dirs::home_dir().map(|home| home.join(".ssh"));
    let mut keys = Vec::new();
    for name in ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"] {
        if let Some(file) = own.as_ref().map(|dir| dir.join(name)).filter(|file| file.is_file()) {
            keys.extend(key_lines(&read(&file)?));
        }
    }
    if !keys.is_empty() {
        return Ok((keys, None));
    }
    let private = Inventory::default_dir()?.join("id_ed25519");
    let public = private.with_extension("pub");
    if !private.is_file() {
        make_key(&private)?;
    }
    Ok((key_lines(&read(&public)?), Some(private)))
}

fn make_key(private: &Path) -> Result<(), Failure> {
    let fail = |reason: String| {
        Failure::new(Kind::Failed, format!("no key pair could be made at {}: {reason}", private.display()))
    };
    if let Some(dir) = private.parent() {
        std::fs::create_dir_all(dir).map_err(|error| fail(error.to_string()))?;
    }
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "cloudtool", "-f"])
        .arg(private)
        .output()
        .map_err(|error| {
            fail(format!("ssh-keygen: {error}")).hint("install openssh-client, or make a key of your own: ssh-keygen")
        })?;
    if output.status.success() { Ok(()) } else { Err(fail(String::from_utf8_lossy(&output.stderr).trim().to_owned())) }
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Kind::Usage, format!("{} cannot be read: {error}", file.display())))
}

fn key_lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn record_of(node: &Node, identity: Option<PathBuf>) -> NodeRecord {
    NodeRecord {
        provider: node.provider.clone(),
        id: node.id.clone(),
        name: node.name.clone(),
        address: node.access.address.clone(),
        port: node.access.port,
        user: Some(node.access.user.clone()),
        identity,
        host_keys: node.access.host_keys.clone(),
        answer: json!({"api": node.answer, "forwarded_port": node.access.forwarded_port}),
    }
}

/// Pins the host keys the provider vouches for, and writes the node down.
fn remember(context: &Context, node: &Node, record: &NodeRecord) -> Result<(), Failure> {
    if let Some(address) = &node.access.address
        && !node.access.host_keys.is_empty()
    {
        KnownHosts::open()?.pin(address, node.access.port, &node.access.host_keys)?;
    }
    let inventory = context.inventory()?;
    inventory.upsert_node(record)?;
    if inventory.default_node()?.is_none() {
        inventory.set_default_node(Some(&record.name))?;
    }
    Ok(())
}

/// Waits until something that speaks SSH answers.
fn wait_for_sshd(record: &NodeRecord, timeout: Duration) -> Result<(), Failure> {
    let address = (record.address.clone().unwrap_or_else(|| record.name.clone()), record.port);
    let start = Instant::now();
    loop {
        match ssh_answers((address.0.as_str(), address.1)) {
            Ok(()) => return Ok(()),
            Err(reason) if start.elapsed() > timeout => {
                return Err(Failure::new(
                    Kind::Unreachable,
                    format!("{} did not answer within {} s: {reason}", record.name, timeout.as_secs()),
                )
                .hint(format!("it may still come: cloudtool setup-node {}", record.name)));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

fn ssh_answers(address: (&str, u16)) -> std::io::Result<()> {
    use std::io::Read;
    use std::net::ToSocketAddrs;
    let mut last = std::io::Error::other("the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                let mut banner = [0; 4];
                stream.read_exact(&mut banner)?;
                if &banner == b"SSH-" {
                    return Ok(());
                }
                last = std::io::Error::other("no sshd answers there");
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Says what a provider is doing.
pub(super) struct Told<'a>(pub(super) &'a Ui);

impl Progress for Told<'_> {
    fn step(&self, message: &str) {
        self.0.say(format!("  {message}"));
    }

    fn warning(&self, message: &str) {
        self.0.warn(message);
    }
}
