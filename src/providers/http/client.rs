//! The HTTP client of the process, which all APIs share.

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::blocking::Client;

use super::super::error::{Error, Result};
use super::request::told;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Made once, and only when something is sent: a client reads the system's hundred and more root certificates, which takes 20 ms.
static CLIENT: LazyLock<reqwest::Result<Client>> = LazyLock::new(|| {
    Client::builder()
        .user_agent(concat!("cloudtool/", env!("CARGO_PKG_VERSION")))
        // Another address would be shown our credentials.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        // Every request has its own.
        .timeout(None)
        .build()
});

/// The client, for the requests of `provider`.
///
/// Errors: [`Error::Api`] when this machine cannot make one.
pub(super) fn client(provider: &str) -> Result<&'static Client> {
    CLIENT.as_ref().map_err(|error| Error::Api { provider: provider.to_owned(), message: told(error) })
}
