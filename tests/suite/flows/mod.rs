//! Money stories and disasters, told through the front door.

#[cfg(feature = "failpoints")]
mod crash;
mod receive;
