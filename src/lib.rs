//! App Engine for servers you own.
//!
//! The folders follow the data: [`config`] says what the user asked for, [`app`] what is deployed, [`providers`] and
//! [`inventory`] where servers come from, [`node`] how to talk to one, [`deploy`] what to do there, [`develop`] how an app runs on this machine, [`backup`] where its data are kept safe. [`cli`] and [`ui`] are the
//! only ones that know of a terminal. `docs/architecture.md` explains the borders.

pub mod app;
pub mod backup;
pub mod cli;
pub mod config;
pub mod deploy;
pub mod develop;
pub mod error;
pub mod inventory;
pub mod names;
pub mod node;
pub mod providers;
pub mod times;
pub mod ui;
