use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::several::{self, Failures};
use super::unfinished::Made;
use super::{host_key, login_keys, ranges, setup_node, sshd};
use crate::config::ProviderConfig;
use crate::error::{Failure, Kind};
use crate::inventory::{KnownHosts, NodeRecord};
use crate::names::NodeName;
use crate::providers::{
    CreateRequest, Image, Node, NodeState, Progress, Provider, Size, Wait, select, select_image, select_size,
    wait_until_running,
};
use crate::ui::Ui;

/// How long a node that has just been made may refuse the key: some clouds' agents put it there after sshd has begun to answer.
const KEY_ARRIVES: Duration = Duration::from_secs(30);

/// Create nodes
///
/// Several are created at the same time. A node's host key is made beforehand where the cloud takes it there, pinned before the first
/// connection, and replaced on the node right after the first login. The first node becomes the default one.
///
/// If something fails after a node was ordered, or on Ctrl-C, the node is named with its price, and whether it is to be destroyed is asked,
/// or decided by --destroy-on-failure.
#[derive(Debug, Args)]
pub(super) struct CreateNode {
    /// What the nodes are called: host names; `web{1..3}` is web1 web2 web3
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// The image: an id, a name, or a glob that matches exactly one
    #[arg(long, value_name = "GLOB", env = "CLOUDTOOL_IMAGE")]
    image: Option<String>,
    /// The size: an id, a name, a glob that matches exactly one, or what it must have: `ram>=2G,cpus>=2,disk>=40G,price<10,cheapest`
    #[arg(long, value_name = "GLOB|WISHES", env = "CLOUDTOOL_SIZE")]
    size: Option<String>,
    /// The place: an id, a name, or a glob that matches exactly one
    #[arg(long, value_name = "GLOB", env = "CLOUDTOOL_LOCATION")]
    location: Option<String>,
    /// Set the nodes up as soon as they answer (implies --wait)
    #[arg(long)]
    setup_node: bool,
    /// Return only when the nodes run and their sshds answer
    #[arg(long)]
    wait: bool,
    /// How many seconds to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// A node that was made and then failed is destroyed without a question, also on Ctrl-C
    #[arg(long, env = "CLOUDTOOL_DESTROY_ON_FAILURE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    destroy_on_failure: bool,
    /// If there is a node of a name already, it is not an error; --setup-node then sets that one up
    #[arg(long)]
    if_not_exists: bool,
}

pub(super) fn run(context: &Context, args: CreateNode) -> Result<(), Failure> {
    context.unfinished.destroy_on_failure(args.destroy_on_failure);
    let names = ranges::expand_all(&args.names)?;
    let names: Vec<NodeName> = names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    let (section, cloud) = context.provider()?;
    let cloud: Arc<dyn Provider> = cloud.into();
    let places: Vec<Place> = existing(cloud.as_ref(), &names, args.if_not_exists)?;
    let order = if places.iter().all(|place| place.node.is_some()) {
        None
    } else {
        Some(Order::new(&section, cloud.as_ref(), &args)?)
    };
    let job = Job { cloud, order, args };
    let all = places.len();
    let mut failures = Failures::default();
    let mut failed = Vec::new();
    let limit = if all == 1 { NonZeroUsize::MIN } else { several::LIMIT };
    let work = |place: &Place| {
        if all == 1 {
            job.make(context, place)
        } else {
            job.make(&context.for_one_of_several(place.name.as_str()), place)
        }
    };
    several::each(&places, limit, work, |place, outcome| {
        if let Err(failure) = outcome {
            failed.push((&place.name, failure));
        }
    });
    context.unfinished.asking();
    // Asked one after the other, and when nothing else moves on the terminal any more.
    for (name, Failed { failure, made }) in failed {
        let failure = match made {
            Some(made) => made.failure(&context.ui, failure, job.args.destroy_on_failure),
            None => failure,
        };
        context.unfinished.over(name.as_str());
        failures.add(&context.ui, all, failure);
    }
    failures.outcome(all)
}

/// A name, and the node that has it already.
struct Place {
    name: NodeName,
    node: Option<Node>,
}

/// Which of the names are taken. Asks the cloud once.
fn existing(cloud: &dyn Provider, names: &[NodeName], is_fine: bool) -> Result<Vec<Place>, Failure> {
    let mut nodes: Vec<Node> = cloud.nodes()?;
    nodes.retain(|node| node.state != NodeState::Terminated);
    names
        .iter()
        .map(|name| {
            let mut of_name = nodes.iter().filter(|node| node.name == name.as_str());
            let node = of_name.next().cloned();
            if node.is_some() && (!is_fine || of_name.next().is_some()) {
                return Err(Failure::new(Kind::Usage, format!("there is a node {name} at {} already", cloud.name()))
                    .hint("choose another name, say --if-not-exists, or destroy it: cloudtool destroy-node"));
            }
            Ok(Place { name: name.clone(), node })
        })
        .collect()
}

/// What all nodes of a run have in common.
struct Order {
    image: String,
    size: Size,
    location: Option<String>,
    authorized_keys: Vec<String>,
    /// The private key that will open the nodes where it is not one of the user's own.
    identity: Option<PathBuf>,
}

impl Order {
    fn new(section: &ProviderConfig, cloud: &dyn Provider, args: &CreateNode) -> Result<Self, Failure> {
        if !cloud.capabilities().create {
            return Err(Failure::new(Kind::Usage, format!("the provider {} cannot make nodes", cloud.name()))
                .hint("set up a server you have with: cloudtool setup-node HOST"));
        }
        let name = cloud.name();
        // What is wrong may be in the configuration, not on the command line.
        let named = |key: &str, said: &Option<String>, configured: &Option<String>| {
            let from = format!(" (`{key}` in [provider:{}])", section.name);
            let from = if said.is_none() && configured.is_some() { from } else { String::new() };
            move |failure: Failure| Failure { message: format!("{}{from}", failure.message), ..failure }
        };
        let (authorized_keys, identity) = login_keys::find(section)?;
        let wanted = args.image.as_deref().or(section.image.as_deref());
        let mut images = cloud.images()?;
        if let Some(id) = wanted.filter(|wanted| !images.iter().any(|image| image.id == *wanted)) {
            images.extend(cloud.unlisted_image(id)?);
        }
        let image = select_image(name, wanted, &images)
            .map_err(|error| named("image", &args.image, &section.image)(error.into()))?;
        let size = size_for(cloud, image, args.size.as_deref().or(section.size.as_deref())).map_err(named(
            "size",
            &args.size,
            &section.size,
        ))?;
        let location = match args.location.as_deref().or(section.location.as_deref()) {
            Some(wanted) => Some(
                select(name, wanted, &cloud.regions()?)
                    .map_err(|error| named("location", &args.location, &section.location)(error.into()))?
                    .id
                    .clone(),
            ),
            None => None,
        };
        Ok(Order { image: image.id.clone(), size, location, authorized_keys, identity })
    }
}

/// Why there is no finished node, and the node, if one was made.
struct Failed {
    failure: Failure,
    made: Option<Box<Made>>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Failed { failure, made: None }
    }
}

/// The size that was asked for among those that can run the image.
fn size_for(cloud: &dyn Provider, image: &Image, wanted: Option<&str>) -> Result<Size, Failure> {
    let all = cloud.sizes()?;
    let fitting: Vec<Size> = all.iter().filter(|size| cloud.fits(image, size)).cloned().collect();
    match select_size(cloud.name(), wanted, &fitting) {
        Ok(size) => Ok(size.clone()),
        Err(error) => Err(match select_size(cloud.name(), wanted, &all) {
            Ok(size) if !cloud.fits(image, size) => {
                let message = format!("{} cannot run {}: they are for different processors", size.id, image.name);
                Failure::new(Kind::Usage, message).hint("choose another --size, or an --image for its processor")
            }
            _ => error.into(),
        }),
    }
}

/// A run of `create-node`.
struct Job {
    cloud: Arc<dyn Provider>,
    /// `None` when all nodes are there already.
    order: Option<Order>,
    args: CreateNode,
}

impl Job {
    /// One node from its order to its set-up.
    fn make(&self, context: &Context, place: &Place) -> Result<(), Failed> {
        let start = Instant::now();
        let (record, made) = match (&place.node, &self.order) {
            (Some(node), _) => (exists(context, node)?, None),
            (None, Some(order)) => {
                let (made, known_key) = self.order(context, order, &place.name)?;
                let created = self.created(context, order, &made.node, known_key, start);
                context.unfinished.checkpoint();
                let result = if created.is_ok() { "done" } else { "failed" };
                context.record("create-node", Some(&made.node.name), None, result, Some(&made.detail()));
                let made = Some(Box::new(made));
                match created {
                    Ok(record) => (record, made),
                    Err(failure) => return Err(Failed { failure, made }),
                }
            }
            // There is an order when any node is missing.
            (None, None) => return Ok(()),
        };
        let finished = self.finish(context, &record, start, made.is_some());
        context.unfinished.checkpoint();
        if finished.is_ok() {
            context.unfinished.over(&record.name);
        }
        finished.map_err(|failure| Failed { failure, made })
    }

    /// Orders one node, with a host key of its own where it can have one.
    fn order(&self, context: &Context, order: &Order, name: &NodeName) -> Result<(Made, Option<String>), Failure> {
        let host_key = if self.cloud.capabilities().host_keys { Some(host_key::make()?) } else { None };
        let known_key = host_key.as_ref().map(|pair| pair.public.clone());
        let request = CreateRequest {
            name: name.clone(),
            image: order.image.clone(),
            size: order.size.id.clone(),
            location: order.location.clone(),
            authorized_keys: order.authorized_keys.clone(),
            host_key,
            user_data: None,
        };
        context.unfinished.ordering(name.as_str());
        match self.cloud.create(&request, &Told(&context.ui)) {
            Ok(node) => {
                let made = Made { cloud: self.cloud.clone(), node, price: order.size.price.clone() };
                context.unfinished.made(made.clone());
                Ok((made, known_key))
            }
            Err(error) => {
                context.unfinished.over(name.as_str());
                let in_doubt = error.leaves_doubt();
                let failure = Failure::from(error);
                context.record("create-node", Some(name.as_str()), None, "failed", Some(&failure.message));
                Err(if in_doubt {
                    failure.hint(format!(
                        "the order may have been carried out all the same; look: cloudtool list-nodes --provider {}",
                        self.cloud.name()
                    ))
                } else {
                    failure
                })
            }
        }
    }

    /// Waits until an ordered node runs and has an address, and writes it down: first as soon as it is there, then with that.
    fn created(
        &self,
        context: &Context,
        order: &Order,
        node: &Node,
        known_key: Option<String>,
        start: Instant,
    ) -> Result<NodeRecord, Failure> {
        let describe = |node: &Node| {
            let record = NodeRecord { identity: order.identity.clone(), ..NodeRecord::of(node, None) };
            let Some(key) = known_key.clone() else { return record };
            let told = &node.access.host_keys;
            NodeRecord {
                key_made_here: told.is_empty() || told.contains(&key),
                host_keys: if told.is_empty() { vec![key] } else { told.clone() },
                ..record
            }
        };
        remember(context, &describe(node))?;
        let wait = Wait::on(self.cloud.as_ref(), self.time_left(start));
        let node = wait_until_running(self.cloud.as_ref(), &node.id, wait, &Told(&context.ui))?;
        context.unfinished.checkpoint();
        let record = describe(&node);
        remember(context, &record)?;
        tell(&context.ui, &node);
        context.ui.line(format!("{} is created ({:.1} s)", node.name, start.elapsed().as_secs_f64()));
        Ok(record)
    }

    /// What comes after a node is there, as far as it was asked for.
    fn finish(&self, context: &Context, record: &NodeRecord, start: Instant, is_new: bool) -> Result<(), Failure> {
        if self.args.wait || self.args.setup_node {
            sshd::wait_for(record, self.time_left(start))?;
        }
        if !self.args.setup_node {
            context.ui.say(format!("Next: cloudtool setup-node {}", record.name));
            return Ok(());
        }
        let answering = Instant::now();
        loop {
            context.unfinished.checkpoint();
            match setup_node::set_up(context, record) {
                Err(failure) if is_new && failure.kind == Kind::Authentication && answering.elapsed() < KEY_ARRIVES => {
                    std::thread::sleep(Duration::from_secs(5));
                }
                outcome => return outcome,
            }
        }
    }

    fn time_left(&self, start: Instant) -> Duration {
        Duration::from_secs(self.args.timeout).saturating_sub(start.elapsed())
    }
}

/// A node of that name is there, and that is fine.
fn exists(context: &Context, node: &Node) -> Result<NodeRecord, Failure> {
    tell(&context.ui, node);
    context.ui.line(format!("{} exists ({})", node.name, node.state));
    let known = context.inventory()?.get_node(&node.provider, &node.id)?;
    let record = NodeRecord::of(node, known);
    remember(context, &record)?;
    Ok(record)
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

/// Pins the host keys that are known for sure, and writes the node down.
fn remember(context: &Context, record: &NodeRecord) -> Result<(), Failure> {
    if let Some(address) = &record.address
        && !record.host_keys.is_empty()
    {
        KnownHosts::open()?.pin(address, record.port, &record.host_keys)?;
    }
    let inventory = context.inventory()?;
    inventory.upsert_node(record)?;
    if inventory.default_node()?.is_none() {
        inventory.set_default_node(Some(&record.name))?;
    }
    Ok(())
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
