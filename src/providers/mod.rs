//! Where nodes come from: one trait, [`Provider`], and one file a cloud.
//!
//! In come wishes ([`CreateRequest`], ids, names); out go [`Node`]s as the provider's API describes them. A provider knows
//! nothing of SSH, of apps or of a terminal: it says how to reach a node ([`Access`]) and reports what it is doing to a
//! [`Progress`]. Everything blocks, and everything is object safe: commands hold a `Box<dyn Provider>`.
//!
//! A driver follows the pages of its API to the end by itself: lists are always whole. Creation is asynchronous:
//! [`Provider::create`] returns a node that is usually [`NodeState::Pending`], and [`wait_until_running`] polls
//! [`Provider::get`].

mod cloud_init;
mod credentials;
pub mod digitalocean;
mod drivers;
pub mod ec2;
mod error;
pub mod eucalyptus;
pub mod gce;
pub mod hetzner;
pub mod hosts;
pub mod http;
mod images;
mod json;
mod keys;
pub mod linode;
pub mod local;
mod node;
pub mod openstack;
mod order;
pub mod rackspace;
mod select;
mod sizes;
pub mod vultr;
mod wait;
mod wishes;

pub use credentials::{Ask, Settings};
pub use drivers::{COLUMNS, Column, DRIVERS, Driver, Opening, driver_names, open};
pub use error::{Error, Result};
pub use images::has_default;
pub use node::{Access, CreateRequest, HostKeyPair, Image, Node, NodeState, Price, Region, Size};
pub use select::{Choice, select, select_image, select_size};
pub use sizes::an_hour;
pub use wait::{Wait, wait_until_running};

use std::time::Duration;

/// Listens to what a provider is doing. Providers never print.
pub trait Progress: Sync {
    /// Something begins: a short sentence without a final full stop, e.g. `building the image debian-12`.
    fn step(&self, message: &str);

    /// Something the user should know although the work goes on, as a whole sentence.
    fn warning(&self, message: &str);
}

/// A listener for those who do not listen.
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _message: &str) {}
    fn warning(&self, _message: &str) {}
}

/// What a provider's API can do. What it cannot, its methods refuse with [`Error::Unsupported`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    pub create: bool,
    pub destroy: bool,
    pub start: bool,
    pub stop: bool,
    pub reboot: bool,
    pub suspend: bool,
    /// The host key of [`CreateRequest::host_key`] gets onto the node, or the provider makes one itself: the caller can
    /// pin [`Access::host_keys`] before it connects.
    pub host_keys: bool,
    /// [`CreateRequest::user_data`] is honoured.
    pub user_data: bool,
    /// Sizes carry prices.
    pub prices: bool,
    /// How long to wait before a created node is looked at for the first time.
    pub first_poll: Duration,
}

/// A cloud, or whatever else nodes come from.
///
/// Ids are the provider's own, opaque to the caller, and stay the same for the life of a node. Methods that are given an id
/// fail with [`Error::NoSuchNode`] when there is none. `destroy`, `start`, `stop` and `reboot` return when the provider has
/// accepted the order, not when it is carried out, and are no errors when there is nothing to do.
pub trait Provider: Send + Sync {
    /// The word the user writes after `--provider`.
    fn name(&self) -> &str;

    fn capabilities(&self) -> Capabilities;

    /// Every image a node can be made from, the provider's default first where it has one.
    fn images(&self) -> Result<Vec<Image>>;

    /// The image of that id, where there are more than [`Provider::images`] lists; `None` when there is none, or all are listed.
    fn unlisted_image(&self, id: &str) -> Result<Option<Image>> {
        let _ = id;
        Ok(None)
    }

    /// Every size, the provider's default first where it has one.
    fn sizes(&self) -> Result<Vec<Size>>;

    /// Whether a node of this size can run this image, as far as is known: ARM and x86 are not told apart by every API.
    fn fits(&self, image: &Image, size: &Size) -> bool {
        let _ = (image, size);
        true
    }

    /// Every place a node can be made in, the provider's default first where it has one.
    fn regions(&self) -> Result<Vec<Region>>;

    /// Every node of the account, whether cloudtool made it or not.
    fn nodes(&self) -> Result<Vec<Node>>;

    fn get(&self, id: &str) -> Result<Node>;

    /// Orders a node. Fails with [`Error::NameTaken`] when there is one of that name already; whatever was made before
    /// another failure is taken away again, or named by the error.
    fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Node>;

    /// Takes a node and its disk away for good, in whatever state it is.
    fn destroy(&self, id: &str, progress: &dyn Progress) -> Result<()>;

    fn start(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        let _ = (id, progress);
        Err(self.unsupported("start a node"))
    }

    fn stop(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        let _ = (id, progress);
        Err(self.unsupported("stop a node"))
    }

    fn reboot(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        let _ = (id, progress);
        Err(self.unsupported("reboot a node"))
    }

    fn suspend(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        let _ = (id, progress);
        Err(self.unsupported("suspend a node"))
    }

    fn resume(&self, id: &str, progress: &dyn Progress) -> Result<()> {
        let _ = (id, progress);
        Err(self.unsupported("resume a node"))
    }

    /// The node of that name, `None` when there is none, [`Error::AmbiguousName`] when there are several.
    fn find(&self, name: &str) -> Result<Option<Node>> {
        let mut found: Vec<Node> =
            self.nodes()?.into_iter().filter(|n| n.name == name && n.state != NodeState::Terminated).collect();
        if found.len() > 1 {
            return Err(Error::AmbiguousName {
                provider: self.name().to_owned(),
                name: name.to_owned(),
                ids: found.into_iter().map(|n| n.id).collect(),
            });
        }
        Ok(found.pop())
    }

    /// The error for an id that no node has.
    fn missing(&self, id: &str) -> Error {
        Error::NoSuchNode { provider: self.name().to_owned(), id: id.to_owned() }
    }

    /// The same in the place of an API's word for it; any other error stays what it is.
    fn no_such_node(&self, error: Error, id: &str) -> Error {
        if error.is_not_found() { self.missing(id) } else { error }
    }

    /// The error of a verb this provider does not have; `what` completes "cannot ...".
    fn unsupported(&self, what: &'static str) -> Error {
        Error::Unsupported { provider: self.name().to_owned(), what, hint: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trait_is_object_safe() {
        fn takes(_: &dyn Provider) {}
        let _ = takes;
    }
}
