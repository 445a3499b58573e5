//! The HTTP interface, through the real router, at the mirrored path of `src/http`.

mod edge;
mod harness;
mod keys;
mod matrix;
mod plans;
mod projections;
mod service;
mod walk;
mod webhook;
mod whoami;
