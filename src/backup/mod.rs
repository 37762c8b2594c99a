//! Backups as this machine sees them: directories that nodes fill, and the manifests in them.

mod directory;
mod manifest;
mod place;

pub use directory::Directory;
pub use manifest::{Manifest, Object, Share, list};
pub use place::{BackupId, BadPlace, Place};
