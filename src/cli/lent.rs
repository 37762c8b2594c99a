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
    let mut places = Map::new();
    for wish in &source.lent {
        let place = match &wish.place {
            Place::Node(name) => {
                let asker = Asker { app: &source.config.name, copying: false, take_over };
                borrowed(context, &asker, wish, name, remote, steps)?
            }
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
    let mut places = Map::new();
    let asker = Asker { app: copy, copying: true, take_over: false };
    // What is misplaced was never deployed, so a copy has none of it.
    let (wishes, _) = lent(services, &context.services()?);
    for wish in wishes {
        if let Place::Node(name) = &wish.place {
            let place = borrowed(context, &asker, &wish, name, remote, &mut context.ui.steps())?;
            places.insert(wish.service, place);
        }
    }
    Ok(Value::Object(places))
}

/// Who asks other nodes for something.
struct Asker<'a> {
    app: &'a AppName,
    /// It is not there yet, and must not be.
    copying: bool,
    /// What a node has there that is lost becomes this app's.
    take_over: bool,
}

fn borrowed(
    context: &Context,
    asker: &Asker,
    wish: &Lent,
    name: &str,
    remote: &mut Remote,
    steps: &mut Steps,
) -> Result<Value, Failure> {
    let (app, lender) = (asker.app, context.named(name)?);
    if lender.name == remote.node() {
        let message = format!("{app} is on {} itself: say service.{} without a node", lender.name, wish.service);
        return Err(Failure::new(Kind::Usage, message));
    }
    steps.start(&format!("connect {}", lender.name));
    let (mut other, _) = context.connect_installing(&lender)?;
    steps.done("");
    let borrow = json!({
        "verb": "borrow", "app": app, "service": wish.service, "hosts": addresses(context, &lender),
        "copying": asker.copying, "lock_timeout": 60,
    });
    let asking = call(remote, borrow, steps)?;
    let lend = json!({
        "verb": "lend", "app": app, "service": wish.service, "with": wish.with, "node": remote.node(),
        "borrower": asking["borrower"], "from": asking["from"], "terms": asking["terms"],
        "take_over": asker.take_over,
    });
    // The first time, a database server is installed there.
    let mut place = remote.meanwhile(|| call(&mut other, lend, steps))?["terms"].clone();
    place["at"] = json!(format!("node:{name}"));
    place["host"] = asking["host"].clone();
    place["borrower"] = asking["borrower"].clone();
    if asker.take_over {
        place["taken_over"] = json!("yes");
    }
    Ok(place)
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
