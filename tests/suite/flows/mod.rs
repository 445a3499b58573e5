//! Money stories and disasters, told through the front door.

mod crash;
mod disk;
#[cfg(feature = "failpoints")]
mod failpoints;
mod outage;
mod receive;
