//! One file per resource: its routes, their parameters and answers.

pub mod service;
pub mod whoami;
