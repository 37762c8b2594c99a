//! What the user asked for: `app.ini` of an app ([`app_ini`]) and the user's own configuration ([`user`]).
//!
//! In comes the text of an INI file, out comes a validated value or every problem of the file at once, each with file, line,
//! key and the nearest right name. Both are read by [`ini_file`], which knows lines; [`values`] and [`paths`] know what a
//! number, a time or a path of an app may look like; [`settings`] is what travels to the node.

pub mod app_ini;
mod backups;
mod calendar;
pub mod clouds_yaml;
mod command;
pub mod edit;
pub mod error;
pub mod ini_file;
pub mod pairs;
pub mod paths;
pub mod referred;
mod runner;
pub mod settings;
pub mod source;
pub mod user;
pub mod values;

pub use app_ini::AppConfig;
pub use backups::BackupsConfig;
pub use error::{Error, Problem, Warning};
pub use settings::{
    BackupPlan, Concurrency, ConfigWish, Cron, Fetch, Job, Platform, Process, Runner, ServiceUse, Settings, When,
};
pub use user::{ProviderConfig, UserConfig};
