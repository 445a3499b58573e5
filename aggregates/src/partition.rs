//! Which partition of the log a stream lives in.

use crate::ids::StreamId;

/// Name of the hash, written into every ledger; a ledger made with another one is refused.
pub const HASH_NAME: &str = "sha256-8be-mod";

/// Most partitions a ledger can have.
pub const PARTS_MAX: u32 = 4096;

/// The partition of a stream: the first eight bytes of SHA-256 of its routing key, big-endian,
/// modulo `parts`. Never the database's hash, so that a ledger can move between stores.
#[must_use]
pub fn part_of(stream: &StreamId, parts: u32) -> u32 {
    part_of_key(stream.routing_key(), parts)
}

/// The same for a key that is not a stream: a receipt, a directory entry, an API principal.
#[must_use]
pub fn part_of_key(key: &str, parts: u32) -> u32 {
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    let head = digest
        .as_ref()
        .iter()
        .take(8)
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    u32::try_from(head % u64::from(parts.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values: computed once from the definition with another program (`sha256sum`).
    #[test]
    fn golden_parts_never_change() {
        assert_eq!(part_of_key("anything", 1), 0);
        for (key, part_64, part_4096) in [("tenant:acme", 3, 2819), ("cus_123", 38, 3878), ("", 20, 3092)] {
            assert_eq!(part_of_key(key, 64), part_64, "{key}");
            assert_eq!(part_of_key(key, PARTS_MAX), part_4096, "{key}");
        }
    }
}
