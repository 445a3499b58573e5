//! The demo: histories of several tenants, delivered through the front door.
//!
//! [`cast`] tells who they are, [`delivery`] brings their webhooks into the disorder of a real network and posts them
//! with real signatures, [`tour`] says what there is to look at. Everything goes through `POST /webhooks/stripe`;
//! nothing is written beside it.

pub mod cast;
pub mod delivery;
pub mod story;
pub mod tour;
