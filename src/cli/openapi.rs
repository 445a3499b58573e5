//! `openapi`: the published document, made from the route table of this binary.

use clap::Args;

use super::Shared;
use super::exit::{Exit, Failure};
use crate::http::{TABLE, router};

#[derive(Debug, Args)]
pub(super) struct Openapi {}

pub(super) fn run(_command: &Openapi, shared: &Shared) -> Result<Exit, Failure> {
    shared.text(router::document_text(TABLE))?;
    Ok(Exit::Done)
}
