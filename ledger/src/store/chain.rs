//! The hash chain, as pure arithmetic: what exactly is hashed, and how a link follows from the one before.
//!
//! An entry's *leaf* is SHA-256 over a canonical, length-prefixed encoding of everything in its row; the *link* at a
//! position is SHA-256 over the position, the link before it and the leaf. Leaves can be computed in any order and on
//! any thread; links cannot.

use sha2::{Digest as _, Sha256};

/// SHA-256.
pub(crate) type Hash = [u8; 32];

/// The link before the first.
pub(crate) const GENESIS: Hash = [0; 32];

const ENTRY_TAG: &[u8] = b"petrel.entry.v1";
const LINK_TAG: &[u8] = b"petrel.link.v1";

/// One entry's row in the bytes that Postgres stores and sends, borrowed: nothing is decoded before it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content<'a> {
    /// Row.
    pub id: i64,
    /// Microseconds since 2000-01-01 UTC, as Postgres counts.
    pub at: i64,
    /// UTF-8.
    pub kind: &'a [u8],
    /// UTF-8.
    pub actor: &'a [u8],
    /// 16 bytes, if it belongs to a request.
    pub request: Option<&'a [u8]>,
    /// The exact JSON text.
    pub body: &'a [u8],
}

impl<'a> Content<'a> {
    /// The columns of `select id, at, kind, actor, request, body`, in Postgres's binary format. None: not such a row.
    pub fn from_columns(columns: &[Option<&'a [u8]>]) -> Option<Content<'a>> {
        let &[Some(id), Some(at), Some(kind), Some(actor), request, Some(body)] = columns else {
            return None;
        };
        Some(Content {
            id: i64::from_be_bytes(id.try_into().ok()?),
            at: i64::from_be_bytes(at.try_into().ok()?),
            kind,
            actor,
            request: request.filter(|bytes| bytes.len() == 16),
            body,
        })
    }

    /// The canonical encoding, appended to `out`: fixed-width numbers big-endian, every text behind its length, so that
    /// no two different entries encode alike.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(ENTRY_TAG);
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&self.at.to_be_bytes());
        for text in [self.kind, self.actor, self.request.unwrap_or_default(), self.body] {
            out.extend_from_slice(&(text.len() as u64).to_be_bytes());
            out.extend_from_slice(text);
        }
    }

    /// Hash of the canonical encoding. `buffer` is scratch, to save an allocation per entry.
    pub fn leaf(&self, buffer: &mut Vec<u8>) -> Hash {
        buffer.clear();
        self.encode(buffer);
        Sha256::digest(&buffer).into()
    }
}

/// The link at position `seq` (from 1).
pub(crate) fn link(previous: &Hash, seq: i64, leaf: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(LINK_TAG);
    hasher.update(seq.to_be_bytes());
    hasher.update(previous);
    hasher.update(leaf);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Owned = (i64, i64, Vec<u8>, Vec<u8>, Option<[u8; 16]>, Vec<u8>);

    fn content(of: &Owned) -> Content<'_> {
        Content {
            id: of.0,
            at: of.1,
            kind: &of.2,
            actor: &of.3,
            request: of.4.as_ref().map(|id| &id[..]),
            body: &of.5,
        }
    }

    /// Reads an encoding back. That this is possible is what makes it injective.
    fn decode(mut bytes: &[u8]) -> Owned {
        fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
            let (taken, rest) = bytes.split_at(length);
            *bytes = rest;
            taken
        }
        fn number(bytes: &mut &[u8]) -> i64 {
            i64::from_be_bytes(take(bytes, 8).try_into().unwrap())
        }
        fn text(bytes: &mut &[u8]) -> Vec<u8> {
            let length = number(bytes) as usize;
            take(bytes, length).to_vec()
        }
        assert_eq!(take(&mut bytes, ENTRY_TAG.len()), ENTRY_TAG);
        let (id, at) = (number(&mut bytes), number(&mut bytes));
        let (kind, actor, request, body) =
            (text(&mut bytes), text(&mut bytes), text(&mut bytes), text(&mut bytes));
        assert!(bytes.is_empty());
        (id, at, kind, actor, (!request.is_empty()).then(|| request.try_into().unwrap()), body)
    }

    /// Few symbols and short texts, so that near misses (a byte moved from one field to the next) do come up.
    fn owned() -> impl Strategy<Value = Owned> {
        let text = || prop::collection::vec(prop::sample::select(b"\0\x01\x02a".to_vec()), 0..4);
        (
            0..3i64,
            0..3i64,
            text(),
            text(),
            prop::option::of(prop::sample::select(vec![[0; 16], [1; 16]])),
            text(),
        )
    }

    proptest! {
        #[test]
        fn an_encoding_can_be_read_back_so_no_two_entries_encode_alike(entry in owned()) {
            let mut bytes = Vec::new();
            content(&entry).encode(&mut bytes);
            prop_assert_eq!(decode(&bytes), entry);
        }

        #[test]
        fn different_entries_have_different_leaves(one in owned(), other in owned()) {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            prop_assert_eq!(content(&one).leaf(&mut a) == content(&other).leaf(&mut b), one == other);
        }
    }

    #[test]
    fn a_link_depends_on_its_position_its_past_and_its_entry() {
        let (past, leaf) = ([1; 32], [2; 32]);
        let here = link(&past, 1, &leaf);
        assert_ne!(here, link(&past, 2, &leaf));
        assert_ne!(here, link(&[3; 32], 1, &leaf));
        assert_ne!(here, link(&past, 1, &[3; 32]));
    }

    #[test]
    fn the_encoding_is_the_one_that_existing_chains_were_sealed_with() {
        let entry = Content {
            id: 7,
            at: 1,
            kind: b"vote.approved",
            actor: b"console:ann",
            request: Some(&[9; 16]),
            body: b"{}",
        };
        let link = link(&GENESIS, 1, &entry.leaf(&mut Vec::new()));
        // Computed by another program from the description above.
        assert_eq!(hex::encode(link), "1665dbf30a091b6894b29e6843414219d317e6515e8c9d5f3f212295ff5fbf66");
    }
}
