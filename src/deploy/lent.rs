//! Which of an app's services are not on its node: `service.postgis = node:db1`, or the address of a database.

use crate::config::ServiceUse;
use crate::config::app_ini::Misplaced;
use crate::node::Services;

/// A service whose server is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    /// The service whose server it is: `postgresql` for what says it of `postgis`.
    pub service: String,
    /// What works in its share: `postgis`.
    pub with: Vec<String>,
    pub place: Place,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A node that lends it, by the name it has here.
    Node(String),
    /// An address, or what it is known from: `env:NAME`, `file:PATH`, `command:WORDS`. Perhaps a secret.
    Address(String),
}

/// The services of `asked` that are elsewhere, each once; and those that cannot be where they are said to be, because
/// nothing of them could, or because two that share a database are said to be in two places.
pub fn lent(asked: &[ServiceUse], services: &Services) -> (Vec<Lent>, Vec<Misplaced>) {
    let (mut found, mut misplaced): (Vec<Lent>, _) = (Vec::new(), Vec::new());
    for service in asked {
        let name = &service.name;
        let (holder, place) = match (holder(name, services), place_of(&service.value)) {
            (Some(holder), Some(place)) => (holder, place),
            // Of a service without data, and of the user's own, an address means what that service makes of it.
            (None, Some(Place::Address(_))) if !services.has(name, "dump") || services.is_own(name) => continue,
            (None, Some(_)) => {
                misplaced.push(Misplaced { service: name.clone(), why: not_lendable(name, services) });
                continue;
            }
            (_, None) => continue,
        };
        match found.iter().find(|known| known.service == holder) {
            Some(known) if known.place != place => {
                let why = format!(
                    "what the app has in {holder} is said to be in two places: say it at one of its services, or the same at both"
                );
                misplaced.push(Misplaced { service: name.clone(), why });
            }
            Some(_) => {}
            None => found.push(Lent { service: holder, with: Vec::new(), place }),
        }
    }
    for lent in &mut found {
        let works_in =
            |name: &&String| **name != lent.service && holder(name, services).as_ref() == Some(&lent.service);
        lent.with = asked.iter().map(|service| &service.name).filter(works_in).cloned().collect();
    }
    (found, misplaced)
}

/// Nothing where the value means something else, like `node:/exports` of NFS.
fn place_of(value: &str) -> Option<Place> {
    let named = |c: char| c.is_ascii_alphanumeric() || ".:@[]_-".contains(c);
    match value.split_once(':')? {
        ("node", node) => (!node.is_empty() && node.chars().all(named)).then(|| Place::Node(node.to_owned())),
        ("env" | "file" | "command", _) => Some(Place::Address(value.to_owned())),
        (_, rest) => rest.starts_with("//").then(|| Place::Address(value.to_owned())),
    }
}

/// The service itself, or the first it requires, whose data can be elsewhere.
fn holder(name: &str, services: &Services) -> Option<String> {
    services.with_required(&[name.to_owned()]).into_iter().find(|name| services.has(name, "borrow"))
}

fn not_lendable(name: &str, services: &Services) -> String {
    let able: Vec<String> = services.names().into_iter().filter(|name| holder(name, services).is_some()).collect();
    format!("{name} cannot be on another server; those that can: {}", able.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(services: &[(&str, &str)]) -> (Vec<Lent>, Vec<Misplaced>) {
        let uses: Vec<ServiceUse> =
            services.iter().map(|(name, value)| ServiceUse { name: (*name).into(), value: (*value).into() }).collect();
        lent(&uses, &Services::default())
    }

    #[test]
    fn what_works_in_another_s_database_goes_with_it() {
        let place = Place::Node("db1".into());
        let postgis = vec![Lent { service: "postgresql".into(), with: vec!["postgis".into()], place }];
        assert_eq!(asked(&[("postgis", "node:db1")]), (postgis.clone(), vec![]));
        assert_eq!(asked(&[("postgresql", ""), ("postgis", "node:db1"), ("files", "")]), (postgis.clone(), vec![]));
        assert_eq!(asked(&[("postgresql", "node:db1"), ("postgis", "node:db1")]), (postgis.clone(), vec![]));
        for address in ["postgresql://a:b@c/d", "env:DATABASE", "file:~/database", "command:pass show db"] {
            let found = asked(&[("postgresql", address), ("mongodb", address)]);
            let place = Place::Address(address.to_owned());
            assert_eq!(found, (vec![Lent { service: "postgresql".into(), with: Vec::new(), place }], vec![]));
        }
        for elsewhere in ["", "node:", "node:/exports", "host:/path"] {
            assert_eq!(asked(&[("nfs", elsewhere), ("postgresql", elsewhere)]), (vec![], vec![]), "{elsewhere}");
        }
    }

    #[test]
    fn what_cannot_be_elsewhere_is_refused() {
        let refused = |services: &[(&str, &str)]| {
            let lines = asked(services).1.into_iter().map(|it| format!("{}: {}", it.service, it.why));
            lines.collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(refused(&[("couchdb", "node:db1"), ("memcached", "node:db1")]), @r"
        couchdb: couchdb cannot be on another server; those that can: mysql, postgis, postgresql, redis
        memcached: memcached cannot be on another server; those that can: mysql, postgis, postgresql, redis
        ");
        insta::assert_snapshot!(refused(&[("couchdb", "http://a:secret@b/c")]), @"couchdb: couchdb cannot be on another server; those that can: mysql, postgis, postgresql, redis");
        insta::assert_snapshot!(refused(&[("postgresql", "postgresql://a:secret@b/c"), ("postgis", "node:b")]), @"postgis: what the app has in postgresql is said to be in two places: say it at one of its services, or the same at both");
    }
}
