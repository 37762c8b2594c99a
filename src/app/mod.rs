//! What is deployed: the files of an app's directory.
//!
//! [`tree::scan`] walks the directory, leaves out what [`ignore`] says, hashes the rest and gives a [`Manifest`]. [`changes`] compares
//! manifests and says which contents must travel, [`payload`] writes those as one compressed stream, [`diff`] shows what is
//! different to people. [`init`] makes a new app.
//! Nothing here knows of nodes.

pub mod changes;
pub mod diff;
pub mod error;
pub mod ignore;
pub mod init;
pub mod manifest;
pub mod payload;
pub mod tree;

pub use changes::Changes;
pub use error::Error;
pub use ignore::Rules;
pub use manifest::{FileEntry, LinkEntry, Manifest, Mode};
pub use tree::scan;
