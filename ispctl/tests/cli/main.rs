//! Drives the built `ispctl` on SQLite and PostgreSQL.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounting;
mod administration;
mod api;
mod configuration;
mod doctor;
mod freeradius;
mod groups;
mod import;
mod import_losses;
mod installation;
mod keys;
mod lab;
mod netbox;
mod orders;
mod oss;
mod passwords;
mod policy;
mod push;
mod quotas;
mod scale;
mod service;
mod sessions;
mod silence;
mod source;
mod subscribers;
mod tokens;
mod vendors;

/// Make one test for each database out of `fn name(lab: &Lab)`.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { crate::lab::Lab::run_on(crate::lab::Kind::Sqlite, super::$name); })+
        }
        mod postgres {
            $(#[test] fn $name() { crate::lab::Lab::run_on(crate::lab::Kind::Postgres, super::$name); })+
        }
    };
}
pub(crate) use on_both_databases;
