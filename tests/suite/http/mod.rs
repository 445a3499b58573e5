//! The HTTP interface, through the real router, at the mirrored path of `src/http`.

mod account_log;
mod audit;
mod commands;
mod connections;
mod edge;
mod entitlements;
mod harness;
mod hostile;
mod idempotency;
mod inbox;
mod intents;
mod keys;
mod matrix;
mod money;
mod plans;
mod projections;
mod quotas;
mod raw;
mod service;
mod streams;
mod subscription;
mod tenants;
mod walk;
mod webhook;
mod whoami;
