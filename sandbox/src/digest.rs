//! Digests for the record.

use sha2::{Digest, Sha256};

/// SHA-256 of parts, each with its length (8 bytes, little-endian) before it: two lists have one digest only if they are the same.
pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn where_a_word_ends_counts() {
        assert_ne!(super::of([&b"rm"[..], b"-rf"]), super::of([&b"rm-"[..], b"rf"]));
        assert_eq!(super::of([&b"df"[..]]), super::of([&b"df"[..]]));
    }
}
