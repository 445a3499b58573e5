//! The HTTP interface, through the real router, at the mirrored path of `src/http`.

mod edge;
mod harness;
mod keys;
mod plans;
mod service;
mod webhook;
mod whoami;
