//! Services that are not on an app's node. Where another node lends one, both are asked, over a connection each.

use std::net::ToSocketAddrs;

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::context::{Context, show};
use crate::config::paths::expand_home;
use crate::config::{ServiceUse, referred};
use crate::deploy::{Lent, Place, Remote, Source, lent};
use crate::error::{Failure, Kind};
use crate::inventory::NodeRecord;
use crate::names::AppName;
use crate::node::{Error, Event};
use crate::ui::Steps;

/// How addresses of PostgreSQL, MySQL and Redis name the certificate that their server must show, or its authority: a file.
const CERTIFICATES: [&str; 4] = ["sslrootcert", "ssl_ca", "ssl-ca", "ssl_ca_certs"];

/// Has other nodes lend what the app is to have there, and finds out the addresses of servers. `take_over`: also what another node
/// has there for an app of that name. Gives the places, as a `deploy` says them.
pub(super) fn arrange(
    context: &Context,
    source: &Source,
    take_over: bool,
    remote: &mut Remote,
    steps: &mut Steps,
) -> Result<Value, Failure> {
    let mut lenders = Lenders::new(context, &source.config.name, Purpose::Serving { take_over });
    let mut places = Map::new();
    for wish in &source.lent {
        let place = match &wish.place {
            Place::Node(name) => lenders.ask(wish, name, remote, steps)?,
            Place::Address(text) => addressed(context, source, wish, text)?,
        };
        places.insert(wish.service.clone(), place);
    }
    Ok(Value::Object(places))
}

/// Has other nodes lend to a copy of an app what they lend to that: the places, as a `clone` says them. A copy of an app whose data
/// are where an address says would share its only account with it; the node refuses that.
pub(super) fn arrange_copy(
    context: &Context,
    copy: &AppName,
    services: &[ServiceUse],
    remote: &mut Remote,
) -> Result<Value, Failure> {
    Lenders::new(context, copy, Purpose::Copying).ask_all(services, remote)
}

/// Has other nodes let an app in from the node it is going to as well: the places, as a `clone` says them.
pub(super) fn arrange_arrival(
    context: &Context,
    app: &AppName,
    services: &[ServiceUse],
    old: &mut Remote,
    new: &mut Remote,
) -> Result<Value, Failure> {
    Lenders::new(context, app, Purpose::Arriving { from: old }).ask_all(services, new)
}

/// Has them let it in from there alone. It serves there already, so what cannot be done now is no failure.
pub(super) fn leave_to(context: &Context, app: &AppName, services: &[ServiceUse], new: &mut Remote) {
    let mut lenders = Lenders::new(context, app, Purpose::Serving { take_over: false });
    for (wish, name) in from_nodes(context, services).unwrap_or_default() {
        if let Err(failure) = lenders.ask(&wish, &name, new, &mut context.ui.steps()) {
            let Failure { message, .. } = failure;
            context.ui.warn(&format!(
                "{name} still lets {app} in from the node it has left, before its next update: {message}"
            ));
        }
    }
}

/// What other nodes lend to a release, and the names of these nodes. What is misplaced was never deployed, so it has none of it.
fn from_nodes(context: &Context, services: &[ServiceUse]) -> Result<Vec<(Lent, String)>, Failure> {
    let (wishes, _) = lent(services, &context.services()?);
    let named = wishes.into_iter().filter_map(|wish| match &wish.place {
        Place::Node(name) => Some((wish.clone(), name.clone())),
        Place::Address(_) => None,
    });
    Ok(named.collect())
}

/// For what a node is asked to lend.
enum Purpose<'a> {
    /// The app, where it is. `take_over`: what a node has there that is lost becomes its own.
    Serving { take_over: bool },
    /// A copy, which is not there yet and must not be.
    Copying,
    /// The app, which is going to the node that asks and is on this one.
    Arriving { from: &'a mut Remote },
}

/// The nodes that are asked to lend an app something.
struct Lenders<'a> {
    context: &'a Context,
    app: &'a AppName,
    purpose: Purpose<'a>,
    /// The last one: several services in a row are of one node.
    open: Option<Remote>,
}

impl<'a> Lenders<'a> {
    fn new(context: &'a Context, app: &'a AppName, purpose: Purpose<'a>) -> Self {
        Lenders { context, app, purpose, open: None }
    }

    /// The places of all services that other nodes lend to a release.
    fn ask_all(&mut self, services: &[ServiceUse], remote: &mut Remote) -> Result<Value, Failure> {
        let mut places = Map::new();
        for (wish, name) in from_nodes(self.context, services)? {
            let place = self.ask(&wish, &name, remote, &mut self.context.ui.steps())?;
            places.insert(wish.service, place);
        }
        Ok(Value::Object(places))
    }

    /// The place of a service, for the node that `remote` is.
    fn ask(&mut self, wish: &Lent, name: &str, remote: &mut Remote, steps: &mut Steps) -> Result<Value, Failure> {
        let Lenders { context, app, purpose, open } = self;
        let lender = context.named(name)?;
        if lender.name == remote.node() {
            return Err(on_its_node(app, purpose, wish, &lender));
        }
        let other = connected(context, open, &lender, steps)?;
        let borrow = json!({
            "verb": "borrow", "app": app, "service": wish.service, "hosts": addresses(context, &lender),
            "copying": matches!(purpose, Purpose::Copying), "lock_timeout": 60,
        });
        let take_over = matches!(purpose, Purpose::Serving { take_over: true });
        let mut lend = json!({
            "verb": "lend", "app": app, "service": wish.service, "with": wish.with, "take_over": take_over,
        });
        let (asking, host) = other.meanwhile(|| asked(purpose, borrow, &mut lend, remote, steps))?;
        for said in ["borrower", "from", "terms"] {
            lend[said] = asking[said].clone();
        }
        // The first time, a database server is installed there.
        let mut place = remote.meanwhile(|| call(other, lend, steps))?["terms"].clone();
        place["at"] = json!(format!("node:{name}"));
        place["host"] = host;
        place["borrower"] = asking["borrower"].clone();
        if take_over {
            place["taken_over"] = json!("yes");
        }
        Ok(place)
    }
}

/// The node that is `open`, or instead of it the one that is wanted.
fn connected<'o>(
    context: &Context,
    open: &'o mut Option<Remote>,
    node: &NodeRecord,
    steps: &mut Steps,
) -> Result<&'o mut Remote, Failure> {
    let remote = match open.take() {
        Some(remote) if remote.node() == node.name => remote,
        _ => {
            steps.start(&format!("connect {}", node.name));
            let (remote, _) = context.connect_installing(node)?;
            steps.done("");
            remote
        }
    };
    Ok(open.insert(remote))
}

/// What the app's node says of itself; and where the lender is for the node that is to use it. `lend` is told which nodes these are.
fn asked(
    purpose: &mut Purpose,
    borrow: Value,
    lend: &mut Value,
    remote: &mut Remote,
    steps: &mut Steps,
) -> Result<(Value, Value), Failure> {
    if let Purpose::Arriving { from } = purpose {
        let mut arrive = borrow.clone();
        arrive["arriving"] = json!(true);
        let arriving = call(remote, arrive, steps)?;
        lend["node"] = json!(from.node());
        lend["arriving"] = json!({"node": remote.node(), "from": arriving["from"]});
        return Ok((call(from, borrow, steps)?, arriving["host"].clone()));
    }
    lend["node"] = json!(remote.node());
    let asking = call(remote, borrow, steps)?;
    let host = asking["host"].clone();
    Ok((asking, host))
}

fn on_its_node(app: &AppName, purpose: &Purpose, wish: &Lent, lender: &NodeRecord) -> Failure {
    let (service, node) = (&wish.service, &lender.name);
    match purpose {
        Purpose::Arriving { .. } => {
            let message = format!(
                "{node} lends {app} its {service}, and cannot have {app} as well: to a node itself nothing is lent"
            );
            Failure::new(Kind::Usage, message)
                .hint(format!("cloudtool backup {app}; cloudtool remove {app} --with-data; say service.{service} without a node, update, then cloudtool restore"))
        }
        _ => Failure::new(Kind::Usage, format!("{app} is on {node} itself: say service.{service} without a node")),
    }
}

/// An address goes to the node and nowhere else; a certificate that it names by a file of this machine goes along.
fn addressed(context: &Context, source: &Source, wish: &Lent, text: &str) -> Result<Value, Failure> {
    let bad = |reason: String| Failure::new(Kind::Usage, reason);
    let from = format!("service.{} in app.ini", wish.service);
    let ask = |question: &str| context.ui.ask_secret(question).ok();
    let found = referred::resolve(text, from.clone(), source.config.name.as_str(), &ask).map_err(bad)?;
    let mut url = Url::parse(found.value.expose()).map_err(|error| {
        bad(format!("{} is no address like postgresql://USER:PASSWORD@HOST/DATABASE: {error}", found.from))
    })?;
    if found.from == from && url.password().is_some() {
        context.ui.warn(&format!("{from} has a password in it, for all who read the app: env:NAME, file:PATH and command:WORDS say where it is instead"));
    }
    let (certificates, rest): (Vec<_>, Vec<_>) = url
        .query_pairs()
        .into_owned()
        .partition(|(name, value)| CERTIFICATES.contains(&name.as_str()) && value != "system");
    let mut place = json!({"at": "url"});
    if let Some((_, file)) = certificates.first() {
        let file = source.dir.join(expand_home(file));
        let content = std::fs::read_to_string(&file).map_err(|error| {
            bad(format!("{}: the certificate {} cannot be read: {error}", found.from, file.display()))
        })?;
        place["certificate"] = json!(content);
        url.query_pairs_mut().clear().extend_pairs(rest);
    }
    place["url"] = json!(url.as_str());
    Ok(place)
}

/// The same of a copy that did not come about: `places` are what [`arrange_copy`] gave.
pub(super) fn give_back_places(context: &Context, app: &AppName, places: &Value) {
    let lenders: Vec<Value> = places
        .as_object()
        .into_iter()
        .flatten()
        .map(|(service, place)| json!({"service": service, "at": place["at"], "borrower": place["borrower"]}))
        .collect();
    give_back(context, app, &json!(lenders));
}

/// Has the nodes that lent something to an app that is gone destroy what they keep for it: `lenders` of the answer to `remove`.
/// One that cannot be asked is no reason to fail: the databases are gone already, and what is left are names.
pub(super) fn give_back(context: &Context, app: &AppName, lenders: &Value) {
    for lender in lenders.as_array().into_iter().flatten() {
        let name = lender["at"].as_str().unwrap_or_default().trim_start_matches("node:");
        let request =
            json!({"verb": "reclaim", "app": app, "service": lender["service"], "borrower": lender["borrower"]});
        let asked = context.named(name).and_then(|node| {
            let (mut remote, _) = context.connect_installing(&node)?;
            context.call(&mut remote, request)
        });
        if let Err(failure) = asked {
            context.ui.warn(&format!("{name} still knows {app}, though its data are gone: {}", failure.message));
        }
    }
}

fn call(remote: &mut Remote, request: Value, steps: &mut Steps) -> Result<Value, Failure> {
    let node = remote.node().to_owned();
    let answer = remote.call(request, &mut |event| {
        let event = match event {
            Event::Step { step, state, seconds, detail } => {
                Event::Step { step: format!("{node} {step}"), state, seconds, detail }
            }
            other => other,
        };
        show(steps, event);
    });
    answer.map_err(Error::into_failure)
}

/// Where a node may be reached by another: in their own network first.
fn addresses(context: &Context, node: &NodeRecord) -> Vec<Value> {
    let way = context.destination(node);
    let named = (way.host.as_str(), way.port).to_socket_addrs().into_iter().flatten().map(|address| address.ip());
    let mut found: Vec<_> = node.private_ips.iter().copied().chain(named).chain(node.public_ips.clone()).collect();
    let mut seen = std::collections::HashSet::new();
    found.retain(|address| seen.insert(*address));
    found.into_iter().map(|address| json!([address.to_string(), way.port])).collect()
}
