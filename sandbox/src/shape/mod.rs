//! What leaves the sandbox: lists, expanded references, and older versions of each shape.

pub mod calendar;
pub mod expand;
pub mod list;
pub mod money;
pub mod read;
pub mod render;
