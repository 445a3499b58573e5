//! One file per resource: its routes, their parameters and answers.

pub mod inbox;
pub mod keys;
pub mod plans;
pub mod projections;
pub mod service;
pub mod webhook;
pub mod whoami;
