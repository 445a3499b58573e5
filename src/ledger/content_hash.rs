//! The fingerprint of an event: SHA-256 over everything that is stored of it but its place in the log.
//!
//! Every field is preceded by its length (u32, big-endian), so that no two events share an input. Stored text is
//! hashed as it stands and never serialised again, so no canonical form of JSON is needed.

use aggregates::time::Timestamp;
use projections::failpoint;
use projections::log::StoredEvent;
use ring::digest::{Context, SHA256};
use uuid::Uuid;

/// Begins every input; a change of the rule changes the number.
const DOMAIN: &[u8] = b"subledger/event/1\0";

/// What is hashed.
#[derive(Clone, Copy, Debug)]
pub struct Hashed<'a> {
    /// Aggregate type.
    pub aggregate_type: &'a str,
    /// The stream.
    pub stream: &'a str,
    /// Sequence in the stream.
    pub sequence: u64,
    /// Its id, hashed as lower-case text with hyphens.
    pub event_id: Uuid,
    /// Name of the event.
    pub event_type: &'a str,
    /// Version of its payload.
    pub event_version: u32,
    /// The tenant; none is hashed as the empty text.
    pub tenant: Option<&'a str>,
    /// Cause.
    pub causation_id: &'a str,
    /// What it belongs to.
    pub correlation_id: &'a str,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// JSON text as stored.
    pub payload: &'a [u8],
    /// JSON text as stored.
    pub metadata: &'a [u8],
}

/// The hash of an event about to be stored.
#[must_use]
pub fn content_hash(event: &Hashed<'_>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(DOMAIN);
    let mut id = [0; 36];
    let fields: [&[u8]; 13] = [
        event.aggregate_type.as_bytes(),
        event.stream.as_bytes(),
        &event.sequence.to_be_bytes(),
        event.event_id.hyphenated().encode_lower(&mut id).as_bytes(),
        event.event_type.as_bytes(),
        &event.event_version.to_be_bytes(),
        event.tenant.unwrap_or_default().as_bytes(),
        event.causation_id.as_bytes(),
        event.correlation_id.as_bytes(),
        &event.occurred_at.micros().to_be_bytes(),
        &event.recorded_at.micros().to_be_bytes(),
        event.payload,
        event.metadata,
    ];
    for field in fields {
        if !failpoint::mutant("hash-without-lengths") {
            // Fields are bounded by the append's 4 MiB.
            context.update(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
        context.update(field);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The hash a stored event ought to have.
#[must_use]
pub fn of_stored(event: &StoredEvent) -> [u8; 32] {
    content_hash(&Hashed {
        aggregate_type: &event.aggregate_type,
        stream: &event.stream,
        sequence: event.sequence,
        event_id: event.event_id,
        event_type: &event.event_type,
        event_version: event.event_version,
        tenant: event.tenant.as_deref(),
        causation_id: &event.causation_id,
        correlation_id: &event.correlation_id,
        occurred_at: event.occurred_at,
        recorded_at: event.recorded_at,
        payload: event.payload.as_bytes(),
        metadata: event.metadata.as_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Hashed<'static> {
        Hashed {
            aggregate_type: "subscription",
            stream: "tenant:acme",
            sequence: 1,
            event_id: Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001),
            event_type: "AccountOpened",
            event_version: 1,
            tenant: Some("acme"),
            causation_id: "evt_1",
            correlation_id: "evt_1",
            occurred_at: Timestamp::EPOCH,
            recorded_at: Timestamp::EPOCH.plus_seconds(1),
            payload: b"{}",
            metadata: b"{\"actor\":{\"kind\":\"operator\"}}",
        }
    }

    /// Golden: the same input put together with another program (Python's hashlib and struct).
    #[test]
    fn golden_hash_never_changes() {
        assert_eq!(
            hex::encode(content_hash(&sample())),
            "d6ede7157686ba3a26723e9959ef77c84d678d566f568096e779c6085518d0ca"
        );
        let nobody = Hashed {
            tenant: None,
            ..sample()
        };
        assert_eq!(
            hex::encode(content_hash(&nobody)),
            "edb4a1eaf05a7118567ccbcc7a202a8d8aae5ec4f6729ebeceaaba103a054434"
        );
    }

    #[test]
    fn a_byte_that_moves_to_the_next_field_changes_the_hash() {
        let one = Hashed {
            causation_id: "ab",
            correlation_id: "c",
            ..sample()
        };
        let other = Hashed {
            causation_id: "a",
            correlation_id: "bc",
            ..sample()
        };
        assert_ne!(content_hash(&one), content_hash(&other));
    }
}
