//! Whether what was done to the ledger may be recorded.

use super::event::OperationEvent;
use super::state::OperationState;
use crate::subscription::Decision;

/// A command to a stream of operation: record that this was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationCommand(pub OperationEvent);

/// Why it may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationRejection {
    /// No such key.
    #[error("there is no key {0}; list the keys to find its id")]
    UnknownKey(Box<str>),
    /// A key works no longer.
    #[error("key {0} was revoked; make a new one")]
    KeyRevoked(Box<str>),
    /// A key has a successor.
    #[error("key {key} was rotated to {successor} already; rotate that one")]
    KeyRotated {
        /// The key.
        key: Box<str>,
        /// Its successor.
        successor: Box<str>,
    },
    /// A run that never began.
    #[error("run {0} was never started, so it cannot finish")]
    UnknownRun(Box<str>),
    /// A catalogue version that is not newer.
    #[error("catalogue version {offered} is not newer than version {known}; give it the next number")]
    CatalogueNotNewer {
        /// Version offered.
        offered: u32,
        /// Newest version.
        known: u32,
    },
}

/// Decides whether it is recorded; what was recorded before is not recorded again.
pub fn decide(
    state: &OperationState,
    command: &OperationCommand,
) -> Result<Decision<OperationEvent>, OperationRejection> {
    let done = match &command.0 {
        OperationEvent::KeyCreated { .. } => state.key_made,
        OperationEvent::KeyRotated { key, successor, .. } => is_rotated(state, key, successor)?,
        OperationEvent::KeyRevoked { key } => {
            is_made(state, key)?;
            state.key_revoked
        }
        OperationEvent::RunStarted { .. } => state.run_started,
        OperationEvent::RunFinished { run, .. } => {
            if !state.run_started {
                return Err(OperationRejection::UnknownRun(run.clone()));
            }
            state.run_finished
        }
        OperationEvent::CatalogueLoaded { version, content_hash } => is_loaded(state, *version, content_hash)?,
        OperationEvent::ReceiptReplayed { .. }
        | OperationEvent::ReceiptDiscarded { .. }
        | OperationEvent::RawReceiptRead { .. }
        | OperationEvent::ProjectionRebuilt { .. }
        | OperationEvent::ProjectionSwapped { .. }
        | OperationEvent::ProjectionSkipped { .. } => false,
    };
    if done {
        return Ok(Decision::AlreadyApplied);
    }
    Ok(Decision::Record {
        events: vec![command.0.clone()],
        refresh: Vec::new(),
    })
}

fn is_made(state: &OperationState, key: &str) -> Result<(), OperationRejection> {
    if state.key_made {
        return Ok(());
    }
    Err(OperationRejection::UnknownKey(key.into()))
}

fn is_rotated(state: &OperationState, key: &str, wanted: &str) -> Result<bool, OperationRejection> {
    is_made(state, key)?;
    if state.key_revoked {
        return Err(OperationRejection::KeyRevoked(key.into()));
    }
    match &state.key_successor {
        None => Ok(false),
        Some((successor, _)) if &**successor == wanted => Ok(true),
        Some((successor, _)) => Err(OperationRejection::KeyRotated {
            key: key.into(),
            successor: successor.clone(),
        }),
    }
}

fn is_loaded(state: &OperationState, version: u32, hash: &str) -> Result<bool, OperationRejection> {
    match &state.catalogue {
        Some((known, content)) if *known == version && &**content == hash => Ok(true),
        Some((known, _)) if *known >= version => Err(OperationRejection::CatalogueNotNewer {
            offered: version,
            known: *known,
        }),
        Some(_) | None => Ok(false),
    }
}
