//! Money stories and disasters, told through the front door.

mod accounts;
mod apply;
mod asks_stripe;
mod convergence;
mod crash;
mod disk;
mod disk_faults;
#[cfg(feature = "failpoints")]
mod failpoints;
mod forget;
mod layouts;
mod outage;
mod powercut;
mod receive;
mod restore;
mod samples;
mod stock_loaders;
mod streams;
mod stripe_reads;
mod world;
