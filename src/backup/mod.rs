//! Backups as this machine sees them: where they go, directories that nodes fill, and the manifests in them.

mod archive;
mod destination;
mod directory;
mod manifest;
mod place;
mod url;

pub use archive::Archive;
pub use destination::{At, BadDestination, Destination, Sources};
pub use directory::Directory;
pub use manifest::{Manifest, Object, Share, list, parse};
pub use place::{BackupId, BadPlace, Place};
pub use url::Url;
