//! The demo: histories of several tenants, delivered through the front door.

pub mod story;
