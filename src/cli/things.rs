//! The names that can be completed.

use std::cell::RefCell;
use std::collections::HashMap;

use super::complete::Known;
use super::context::Context;
use crate::inventory::Inventory;
use crate::providers::Provider;

/// What clouds answered, by cloud and list.
type Lists = HashMap<(Option<String>, &'static str), Vec<String>>;

/// What there is, from the inventory and, once for each cloud, from the cloud.
pub(super) struct Things<'a> {
    context: &'a Context,
    cloud: RefCell<Option<String>>,
    asked: RefCell<Lists>,
}

impl<'a> Things<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Things { context, cloud: RefCell::default(), asked: RefCell::default() }
    }

    /// The cloud that is asked; without one the chosen or the default one.
    pub(super) fn of(&self, cloud: Option<&str>) {
        self.cloud.replace(cloud.map(str::to_owned));
    }

    /// What a cloud lists. One that does not answer has nothing to complete with.
    fn of_cloud(&self, what: &'static str, list: impl Fn(&dyn Provider) -> Vec<String>) -> Vec<String> {
        let cloud = self.cloud.borrow().clone();
        let ask = || {
            let provider = match &cloud {
                Some(cloud) => self.context.provider_named(cloud),
                None => self.context.provider().map(|(_, provider)| provider),
            };
            provider.map(|provider| list(provider.as_ref())).unwrap_or_default()
        };
        self.asked.borrow_mut().entry((cloud.clone(), what)).or_insert_with(ask).clone()
    }

    fn of_inventory<T>(&self, list: impl Fn(&Inventory) -> Result<Vec<T>, crate::inventory::Error>) -> Vec<T> {
        self.context.inventory().ok().and_then(|inventory| list(&inventory).ok()).unwrap_or_default()
    }
}

impl Known for Things<'_> {
    fn clouds(&self) -> Vec<String> {
        self.context.config().map(|config| config.providers.keys().cloned().collect()).unwrap_or_default()
    }

    fn nodes(&self) -> Vec<String> {
        self.of_inventory(Inventory::nodes).into_iter().map(|node| node.name).collect()
    }

    fn labels(&self) -> Vec<String> {
        self.of_inventory(Inventory::all_labels)
    }

    fn apps(&self) -> Vec<String> {
        self.of_inventory(Inventory::locations).into_iter().map(|(_, app)| app).collect()
    }

    fn locations(&self) -> Vec<String> {
        self.of_inventory(Inventory::locations).into_iter().map(|(location, _)| location).collect()
    }

    fn images(&self) -> Vec<String> {
        self.of_cloud("images", |cloud| ids(cloud.images().unwrap_or_default(), |image| image.id))
    }

    fn sizes(&self) -> Vec<String> {
        self.of_cloud("sizes", |cloud| ids(cloud.sizes().unwrap_or_default(), |size| size.id))
    }

    fn regions(&self) -> Vec<String> {
        self.of_cloud("locations", |cloud| ids(cloud.regions().unwrap_or_default(), |region| region.id))
    }
}

fn ids<T>(items: Vec<T>, id: impl Fn(T) -> String) -> Vec<String> {
    items.into_iter().map(id).collect()
}
