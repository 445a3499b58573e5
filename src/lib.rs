//! The subledger service, in the order in which a newcomer reads it.
//!
//! What comes in: [`http`] and [`cli`]; [`inbox`] keeps what Stripe delivered, [`stripe`] reads it. What is done with
//! it: [`process`], with [`directory`] to find accounts and [`plans`] to know what is sold. Where it ends: [`ledger`],
//! [`outbox`]; [`stripe_cursor`] knows how far Stripe's lists were read. [`app`] puts it all together from [`config`].

pub mod http;

pub mod cli;

pub mod inbox;
pub mod stripe;

pub mod process;

pub mod directory;
pub mod lease;
pub mod plans;

pub mod ledger;
pub mod outbox;
pub mod stripe_cursor;

pub mod app;
pub mod auth;
pub mod clock;
pub mod config;
pub mod demo;
pub mod telemetry;
pub mod toml_text;
