//! Joins entries and seals, without I/O.

use super::{Fault, Verified};
use crate::store::chain::{GENESIS, Hash, link};
use crate::{Checkpoint, verify_checkpoint};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// One entry as it was read: hashed already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub id: i64,
    pub leaf: Hash,
    /// Too new to be in any seal.
    pub unsealed: bool,
}

/// One seal as it was read.
#[derive(Debug, Default)]
pub(super) struct Seal {
    pub first: i64,
    pub last: i64,
    pub previous: Vec<u8>,
    pub ids: Vec<i64>,
    pub hashes: Vec<u8>,
}

impl Seal {
    fn hash(&self, at: usize) -> Hash {
        self.hashes.as_chunks().0.get(at).copied().unwrap_or(GENESIS)
    }

    /// What the table's checks say, in case they were switched off.
    fn is_whole(&self) -> bool {
        self.hashes.len() == 32 * self.ids.len()
            && self.last - self.first + 1 == self.ids.len() as i64
            && self.previous.len() == 32
    }
}

/// What became of an entry that a seal names.
pub(super) enum Claimed {
    Found(Hash),
    /// It is not there.
    Gone,
    /// More entries must be read first.
    NotYet,
    /// It was read so long ago that it had to be let go; look it up.
    Forgotten,
}

/// Entries held at most that no seal has named yet. Normally these are the few that became visible out of order.
const HELD: usize = 1 << 20;

pub(super) struct Walk {
    signed: BTreeMap<i64, Vec<String>>,
    ahead: VecDeque<Leaf>,
    no_more: bool,
    waiting: BTreeMap<i64, Hash>,
    /// How many `waiting` may hold.
    held: usize,
    /// Let go to bound memory: all ids up to here that are not in `waiting`.
    forgotten: i64,
    foreign_total: u64,
    foreign: BTreeSet<i64>,
    seq: i64,
    hash: Hash,
    /// The running hash as sealed, after the last link.
    previous: Hash,
    /// As computed, when the last link did not come out as sealed.
    doubted: Option<Hash>,
    found: Verified,
}

impl Walk {
    pub fn new(checkpoints: &[Checkpoint], trusted_key: Option<&str>) -> Walk {
        let mut walk = Walk {
            signed: BTreeMap::new(),
            ahead: VecDeque::new(),
            no_more: false,
            waiting: BTreeMap::new(),
            held: HELD,
            forgotten: i64::MIN,
            foreign_total: 0,
            foreign: BTreeSet::new(),
            seq: 0,
            hash: GENESIS,
            previous: GENESIS,
            doubted: None,
            found: Verified {
                entries: 0,
                seq: 0,
                head: String::new(),
                unsealed_total: 0,
                unsealed: Vec::new(),
                faults_total: 0,
                faults: Vec::new(),
            },
        };
        for checkpoint in checkpoints {
            if verify_checkpoint(checkpoint, trusted_key) {
                walk.signed.entry(checkpoint.seq).or_default().push(checkpoint.hash.to_lowercase());
            } else {
                walk.fault(Fault::BadSignature { seq: checkpoint.seq });
            }
        }
        walk
    }

    /// The last position walked over.
    pub fn length(&self) -> i64 {
        self.seq
    }

    /// More entries, in the order of their ids.
    pub fn read(&mut self, more: Vec<Leaf>) {
        self.ahead.extend(more);
    }

    /// There are no more.
    pub fn end_of_entries(&mut self) {
        self.no_more = true;
    }

    /// A seal begins: it must continue where the last one ended.
    pub fn begin(&mut self, seal: &Seal) {
        let expected = self.seq + 1;
        let doubted = self.doubted.take();
        if seal.first > expected {
            self.missing(expected, seal.first - 1);
        } else if seal.first < expected || !seal.is_whole() {
            self.fault(Fault::Broken { seq: seal.first });
        } else if seal.previous == self.previous {
            self.doubted = doubted;
        } else if doubted.is_some_and(|computed| seal.previous == computed) {
            self.seal_was_edited(self.seq);
        } else {
            self.fault(Fault::Broken { seq: seal.first });
        }
        self.previous = seal.previous.as_slice().try_into().unwrap_or(GENESIS);
    }

    /// Takes the entry that a seal names.
    pub fn claim(&mut self, id: i64) -> Claimed {
        while self.ahead.front().is_some_and(|leaf| leaf.id < id) {
            self.pass_one();
        }
        match self.ahead.front() {
            Some(leaf) if leaf.id == id => {
                let leaf = self.ahead.pop_front().map_or(GENESIS, |leaf| leaf.leaf);
                Claimed::Found(leaf)
            }
            None if !self.no_more => Claimed::NotYet,
            _ => match self.waiting.remove(&id) {
                Some(leaf) => Claimed::Found(leaf),
                None if id <= self.forgotten => Claimed::Forgotten,
                None => Claimed::Gone,
            },
        }
    }

    /// An entry that had been let go was looked up and is there.
    pub fn remember(&mut self, id: i64) {
        self.foreign.remove(&id);
        self.foreign_total = self.foreign_total.saturating_sub(1);
    }

    /// Checks one position of a seal; `leaf` is None when its entry is gone.
    pub fn link(&mut self, seal: &Seal, at: usize, leaf: Option<Hash>) {
        let seq = seal.first + at as i64;
        let sealed = seal.hash(at);
        let Some(leaf) = leaf else {
            self.missing(seq, seq);
            self.doubted = None;
            self.previous = sealed;
            return self.check_signed(seq, &sealed);
        };
        self.found.entries += 1;
        let computed = link(&self.previous, seq, &leaf);
        if computed == sealed {
            self.doubted = None;
        } else if self.doubted.take().is_some_and(|before| link(&before, seq, &leaf) == sealed) {
            // This link follows from what was computed at the last position and not from what is stored there: the
            // entry there is as it was, the seal's hash is not.
            self.seal_was_edited(seq - 1);
        } else {
            self.fault(Fault::Edited { seq, id: seal.ids[at] });
            self.doubted = Some(computed);
        }
        self.previous = sealed;
        self.check_signed(seq, &sealed);
    }

    /// A seal ends.
    pub fn end(&mut self, seal: &Seal) {
        self.seq = self.seq.max(seal.last);
        self.hash = self.previous;
    }

    /// No seal is left: whatever was read and not claimed is unsealed or foreign.
    pub fn pass(&mut self) {
        while !self.ahead.is_empty() {
            self.pass_one();
        }
    }

    pub fn finish(mut self) -> Verified {
        self.pass();
        self.foreign_total += self.waiting.len() as u64;
        self.foreign.extend(self.waiting.keys().take(Verified::LISTED));
        for id in std::mem::take(&mut self.foreign) {
            self.fault(Fault::Foreign { id });
            self.foreign_total -= 1;
        }
        self.found.faults_total += self.foreign_total;
        if let Some((&signed, _)) = self.signed.last_key_value()
            && signed > self.seq
        {
            self.fault(Fault::CutTail { ends: self.seq, signed });
        }
        self.found.seq = self.seq;
        self.found.head = hex::encode(self.hash);
        self.found
    }

    /// The next entry is not what a seal names now.
    fn pass_one(&mut self) {
        let Some(leaf) = self.ahead.pop_front() else { return };
        if leaf.unsealed {
            self.found.unsealed_total += 1;
            if self.found.unsealed.len() < Verified::LISTED {
                self.found.unsealed.push(leaf.id);
            }
            return;
        }
        self.waiting.insert(leaf.id, leaf.leaf);
        if self.waiting.len() > self.held
            && let Some((id, _)) = self.waiting.pop_first()
        {
            self.forgotten = self.forgotten.max(id);
            self.foreign_total += 1;
            if self.foreign.len() < Verified::LISTED {
                self.foreign.insert(id);
            }
        }
    }

    fn check_signed(&mut self, seq: i64, sealed: &Hash) {
        if self.signed.get(&seq).is_some_and(|hashes| hashes.iter().any(|hash| *hash != hex::encode(sealed)))
        {
            self.fault(Fault::Replaced { seq });
        }
    }

    fn missing(&mut self, from: i64, to: i64) {
        if let Some(Fault::Missing { to: before, .. }) = self.found.faults.last_mut()
            && *before + 1 == from
        {
            *before = to;
        } else {
            self.fault(Fault::Missing { from, to });
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.found.faults_total += 1;
        if self.found.faults.len() < Verified::LISTED {
            self.found.faults.push(fault);
        }
    }

    /// The entry at this position looked edited, and it is the seal that was.
    fn seal_was_edited(&mut self, position: i64) {
        let edited = |fault: &&mut Fault| matches!(fault, Fault::Edited { seq, .. } if *seq == position);
        if let Some(fault) = self.found.faults.iter_mut().rev().find(edited) {
            *fault = Fault::Broken { seq: position };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(id: i64) -> Leaf {
        Leaf { id, leaf: [id as u8; 32], unsealed: false }
    }

    /// One sound seal of these ids, continuing after `last`.
    fn seal(last: &Seal, ids: &[i64]) -> Seal {
        let previous = last.hashes.last_chunk().copied().unwrap_or(GENESIS);
        let (mut hash, mut hashes) = (previous, Vec::new());
        for (&id, seq) in ids.iter().zip(last.last + 1..) {
            hash = link(&hash, seq, &leaf(id).leaf);
            hashes.extend(hash);
        }
        Seal {
            first: last.last + 1,
            last: last.last + ids.len() as i64,
            previous: previous.to_vec(),
            ids: ids.to_vec(),
            hashes,
        }
    }

    /// Walks with room for two entries only; the database still has those of `stored`.
    fn walk(entries: &[i64], seals: &[Seal], stored: &[i64]) -> Verified {
        let mut walk = Walk::new(&[], None);
        walk.held = 2;
        walk.read(entries.iter().copied().map(leaf).collect());
        walk.end_of_entries();
        for seal in seals {
            walk.begin(seal);
            for (at, &id) in seal.ids.iter().enumerate() {
                let found = match walk.claim(id) {
                    Claimed::Found(leaf) => Some(leaf),
                    Claimed::Forgotten if stored.contains(&id) => {
                        walk.remember(id);
                        Some(leaf(id).leaf)
                    }
                    Claimed::Forgotten | Claimed::Gone => None,
                    Claimed::NotYet => unreachable!("all were read"),
                };
                walk.link(seal, at, found);
            }
            walk.end(seal);
        }
        walk.finish()
    }

    #[test]
    fn entries_far_out_of_order_are_let_go_and_looked_up_again() {
        let one = seal(&Seal::default(), &[9, 10]);
        let two = seal(&one, &[1, 2, 3, 4, 5, 6, 7, 8]);
        let all: Vec<i64> = (1..=10).collect();
        let found = walk(&all, &[one, two], &all);
        assert_eq!((found.faults, found.faults_total, found.entries, found.seq), (vec![], 0, 10, 10));
    }

    #[test]
    fn entries_that_were_let_go_and_never_sealed_are_foreign_and_those_gone_are_missing() {
        let one = seal(&Seal::default(), &[9, 10]);
        let two = seal(&one, &[1, 2, 3, 8]);
        let found = walk(&[2, 3, 4, 5, 6, 7, 8, 9, 10], &[one, two], &[2, 3, 4, 5, 6, 7, 8]);
        let foreign = (4..=7).map(|id| Fault::Foreign { id });
        let expected: Vec<Fault> = [Fault::Missing { from: 3, to: 3 }].into_iter().chain(foreign).collect();
        assert_eq!((found.faults_total, found.faults), (5, expected));
    }

    #[test]
    fn a_seal_that_is_not_whole_or_does_not_continue_is_broken() {
        let one = seal(&Seal::default(), &[1, 2]);
        let mut short = seal(&one, &[3]);
        short.hashes.pop();
        assert_eq!(walk(&[1, 2, 3], &[one, short], &[]).faults[0], Fault::Broken { seq: 3 });
        let one = seal(&Seal::default(), &[1, 2]);
        let again = seal(&Seal::default(), &[3]);
        assert_eq!(walk(&[1, 2, 3], &[one, again], &[]).faults[0], Fault::Broken { seq: 1 });
    }
}
