//! Every driver against a server of its API that nobody here wrote, or against a fake of ours behind the vendor's own contract.
//!
//! `make test-clouds` installs the servers (into `/var/cache/cloudtool-tests/clouds`) and runs this; names are `CLOUD::TEST`.

mod conformance;
mod ec2;
mod eucalyptus;
mod fakes;
mod libcloud;
mod meddler;
mod openstack;
mod rackspace;
mod server;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use cloudtool::config::ProviderConfig;
use cloudtool::names::Secret;
use cloudtool::providers::http::{Manners, Patience};
use cloudtool::providers::{self, Opening, Provider, Settings};
use libtest_mimic::{Arguments, Trial};

/// What a test is called, and the test.
pub type Test = (&'static str, fn(&Running));

/// A cloud under test. Its servers start with its first test and live until the process ends.
pub struct Cloud {
    /// The driver's name.
    pub name: &'static str,
    pub start: fn() -> Running,
    /// What is tested of this cloud alone.
    pub own_tests: &'static [Test],
}

/// A cloud that runs.
pub struct Running {
    /// The section that leads to it.
    pub section: ProviderConfig,
    /// The address that requests go to: what [`meddler::Meddler`] stands in front of. Everything is below it.
    pub origin: String,
    /// The same section with credentials the server refuses; `None` where it accepts any.
    pub wrong_credentials: Option<ProviderConfig>,
    /// Does what makes time go by, where the server's clock stands still.
    pub pass_time: fn(),
    /// Kept alive.
    pub servers: Vec<server::Server>,
}

/// What no error, log or trace may show: every secret of every section has this in it.
pub const SENTINEL: &str = "s3ntinel";

const CLOUDS: &[&Cloud] = &[
    &fakes::DIGITALOCEAN,
    &fakes::HETZNER,
    &fakes::LINODE,
    &fakes::VULTR,
    &fakes::GCE,
    &openstack::CLOUD,
    &rackspace::CLOUD,
    &ec2::CLOUD,
    &eucalyptus::CLOUD,
];

impl Running {
    pub fn open(&self, section: &ProviderConfig) -> Box<dyn Provider> {
        open(section, &manners())
    }

    /// EC2 and its like.
    pub fn speaks_xml(&self) -> bool {
        ["ec2", "eucalyptus"].contains(&self.section.provider.as_str())
    }

    /// Mimic makes machines of images and sizes that are not there.
    pub fn believes_everything(&self) -> bool {
        self.section.provider == "rackspace"
    }

    pub fn provider(&self) -> Box<dyn Provider> {
        self.open(&self.section)
    }
}

pub fn open(section: &ProviderConfig, manners: &Manners) -> Box<dyn Provider> {
    try_open(section, manners).expect("the section is complete")
}

pub fn try_open(section: &ProviderConfig, manners: &Manners) -> providers::Result<Box<dyn Provider>> {
    let settings = Settings { section, ask: &|_| None };
    providers::open(&Opening { settings, known: Vec::new(), manners: manners.clone() })
}

/// Like a user's, only in a hurry.
pub fn manners() -> Manners {
    let patience = Patience { first: std::time::Duration::from_millis(20), ..Patience::default() };
    // Moto takes a second for its list of sizes on an idle machine, and twenty on a busy one.
    Manners { timeout: std::time::Duration::from_secs(120), patience, ..Manners::default() }
}

/// A section with a secret.
pub fn section(driver: &str, endpoint: &str, secret: &str) -> ProviderConfig {
    ProviderConfig {
        name: format!("my-{driver}"),
        provider: driver.into(),
        secret: Some(Secret::new(secret)),
        endpoint: Some(endpoint.into()),
        ..ProviderConfig::default()
    }
}

fn main() {
    let mut arguments = Arguments::from_args();
    // The tests of a cloud share its servers and their state, and the clouds a machine of two cores.
    arguments.test_threads.get_or_insert(1);
    let (mut trials, mut servers) = (Vec::new(), Vec::new());
    for &cloud in CLOUDS {
        let running: &'static OnceLock<Running> = Box::leak(Box::default());
        servers.push((cloud, running));
        for (name, test) in conformance::TESTS.iter().chain(cloud.own_tests) {
            trials.push(Trial::test(format!("{}::{name}", cloud.name), move || {
                test(running.get_or_init(cloud.start));
                Ok(())
            }));
        }
    }
    if arguments.filter.is_none() && !arguments.list {
        start_ahead(servers);
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Starts the servers of all clouds, one after the other, while the tests of the first ones run: most of the time those wait.
fn start_ahead(servers: Vec<(&'static Cloud, &'static OnceLock<Running>)>) {
    std::thread::spawn(move || {
        for (cloud, running) in servers {
            // The test that needs one that does not start tries it again, and fails.
            let start = AssertUnwindSafe(|| _ = running.get_or_init(cloud.start));
            let _ = catch_unwind(start);
        }
        // Servers are killed with the thread that started them.
        loop {
            std::thread::park();
        }
    });
}
