//! Many wildcards on one field: each is looked for by the piece of its text that fewest others have, and only then tried.

use std::collections::HashMap;

use super::tables::{Beginnings, Id};
use crate::hash::Seeded;
use crate::wildcard::Wildcard;

/// So many wildcards may share a beginning or an end before a piece of their middle is looked at.
const SHARED: u32 = 4;
/// The sizes of pieces that are looked for in the middle, in bytes. The largest that fits is taken.
const SIZES: [usize; 4] = [8, 4, 2, 1];

/// Wildcards, by the piece that each is looked for by.
#[derive(Clone, Debug, Default)]
pub(super) struct Wildcards {
    beginnings: Beginnings,
    /// Of the reversed texts.
    endings: Beginnings,
    pieces: Vec<Pieces>,
    /// Those without any piece.
    others: Vec<Id>,
    /// What the tables lead to: wildcards that share a piece.
    lists: Vec<Box<[Id]>>,
}

/// Pieces of one size, anywhere in a text.
#[derive(Clone, Debug)]
struct Pieces {
    size: usize,
    /// One bit for each of 65,536 hashes: most places of a text hold no piece.
    filter: Box<[u64]>,
    lists: HashMap<u64, Id, Seeded>,
}

/// The wildcards that are looked for by the same piece.
type ByPiece<P> = HashMap<P, Vec<Id>, Seeded>;

/// Where a wildcard is looked for.
enum Place {
    Beginning(Vec<u8>),
    Ending(Vec<u8>),
    Within(usize, u64),
    Anywhere,
}

impl Wildcards {
    pub(super) fn build(wildcards: &[(&Wildcard, Id)]) -> Self {
        let counts = Counts::of(wildcards);
        let (mut beginnings, mut endings) = (ByPiece::default(), ByPiece::default());
        let mut within = ByPiece::default();
        let mut new = Self::default();
        for (wildcard, id) in wildcards {
            match counts.place(wildcard) {
                Place::Beginning(piece) => beginnings.entry(piece).or_default().push(*id),
                Place::Ending(piece) => endings.entry(piece).or_default().push(*id),
                Place::Within(size, piece) => within.entry((size, piece)).or_default().push(*id),
                Place::Anywhere => new.others.push(*id),
            }
        }
        new.beginnings = Beginnings::build(new.listed(beginnings));
        new.endings = Beginnings::build(new.listed(endings));
        for ((size, piece), list) in new.listed(within) {
            new.add_piece(size, piece, list);
        }
        new
    }

    fn listed<P>(&mut self, by_piece: ByPiece<P>) -> Vec<(P, Id)> {
        let mut list = |ids: Vec<Id>| {
            self.lists.push(ids.into());
            u32::try_from(self.lists.len() - 1).unwrap_or(Id::MAX)
        };
        by_piece.into_iter().map(|(piece, ids)| (piece, list(ids))).collect()
    }

    fn add_piece(&mut self, size: usize, piece: u64, list: Id) {
        let at = self.pieces.iter().position(|pieces| pieces.size == size).unwrap_or_else(|| {
            self.pieces.push(Pieces { size, filter: vec![0; 1024].into(), lists: HashMap::default() });
            self.pieces.len() - 1
        });
        let (word, bit) = filter_bit(piece);
        self.pieces[at].filter[word] |= bit;
        self.pieces[at].lists.insert(piece, list);
    }

    /// Hands out every wildcard that a text could match, maybe more than once.
    pub(super) fn each(&self, text: &[u8], reversed: &[u8], mut hand: impl FnMut(Id)) {
        let mut list = |id: Id| self.lists[id as usize].iter().copied().for_each(&mut hand);
        self.beginnings.each(text, &mut list);
        self.endings.each(reversed, &mut list);
        for pieces in &self.pieces {
            for window in text.windows(pieces.size) {
                let piece = as_number(window);
                let (word, bit) = filter_bit(piece);
                if pieces.filter[word] & bit != 0
                    && let Some(id) = pieces.lists.get(&piece)
                {
                    list(*id);
                }
            }
        }
        self.others.iter().copied().for_each(hand);
    }

    /// Whether [`Wildcards::each`] looks at the reversed text.
    pub(super) fn has_endings(&self) -> bool {
        !self.endings.is_empty()
    }
}

fn as_number(piece: &[u8]) -> u64 {
    piece.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn filter_bit(piece: u64) -> (usize, u64) {
    let hash = piece.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    ((hash / 64) as usize, 1 << (hash % 64))
}

/// The largest size that fits into a piece.
fn size_for(piece: &[u8]) -> Option<usize> {
    SIZES.into_iter().find(|size| *size <= piece.len())
}

/// How many wildcards have each piece.
#[derive(Default)]
struct Counts<'a> {
    beginnings: HashMap<&'a [u8], u32, Seeded>,
    endings: HashMap<&'a [u8], u32, Seeded>,
    within: HashMap<(usize, u64), u32, Seeded>,
}

impl<'a> Counts<'a> {
    fn of(wildcards: &[(&'a Wildcard, Id)]) -> Self {
        let mut counts = Self::default();
        for (wildcard, _) in wildcards {
            if let [first, .., last] = wildcard.pieces() {
                *counts.beginnings.entry(first).or_default() += 1;
                *counts.endings.entry(last).or_default() += 1;
            }
        }
        for (wildcard, _) in wildcards {
            if counts.ends(wildcard).is_some() {
                continue;
            }
            for piece in wildcard.pieces() {
                let Some(size) = size_for(piece) else { continue };
                for window in piece.windows(size) {
                    *counts.within.entry((size, as_number(window))).or_default() += 1;
                }
            }
        }
        counts
    }

    /// The beginning or the end, when few others have the same.
    fn ends(&self, wildcard: &Wildcard) -> Option<Place> {
        let [first, .., last] = wildcard.pieces() else {
            // No star: the whole text is its beginning.
            return wildcard.pieces().first().map(|only| Place::Beginning(only.to_vec()));
        };
        let count = |counts: &HashMap<&[u8], u32, Seeded>, piece: &[u8]| {
            if piece.is_empty() { u32::MAX } else { counts.get(piece).copied().unwrap_or(u32::MAX) }
        };
        let (front, back) = (count(&self.beginnings, first), count(&self.endings, last));
        if front.min(back) > SHARED {
            return None;
        }
        Some(if front <= back { Place::Beginning(first.to_vec()) } else { Place::Ending(reversed(last)) })
    }

    fn place(&self, wildcard: &Wildcard) -> Place {
        if let Some(place) = self.ends(wildcard) {
            return place;
        }
        let windows =
            wildcard.pieces().iter().filter_map(|piece| size_for(piece).map(|size| (size, piece.windows(size))));
        let rarest = windows
            .flat_map(|(size, windows)| windows.map(move |window| (size, as_number(window))))
            .min_by_key(|key| (self.within.get(key).copied().unwrap_or(u32::MAX), usize::MAX - key.0));
        rarest.map_or(Place::Anywhere, |(size, piece)| Place::Within(size, piece))
    }
}

/// A text backwards.
pub(super) fn reversed(text: &[u8]) -> Vec<u8> {
    text.iter().rev().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_that_matches_is_left_out() {
        let mut texts: Vec<String> = (0..30).map(|n| format!("*user-{n}-*")).collect();
        texts.extend((0..30).map(|n| format!("logs/{n}/*.csv")));
        texts.extend((0..30).map(|n| format!("data/*/{n}.csv")));
        texts.extend(["*", "*a*", "*é*", "plain", "", "x*", "*x", "*ab*cd*"].map(str::to_owned));
        let wildcards: Vec<_> = texts.iter().map(|text| Wildcard::parse(text).unwrap()).collect();
        let index = Wildcards::build(&wildcards.iter().zip(0..).collect::<Vec<_>>());
        for text in
            ["", "a", "x", "plain", "é", "logs/7/user-7-.csv", "data/user-12-x/29.csv", "zabzcdz", "user-1-user-29-"]
        {
            let mut found = Vec::new();
            index.each(text.as_bytes(), &reversed(text.as_bytes()), |id| found.push(id as usize));
            for (n, wildcard) in wildcards.iter().enumerate() {
                assert!(found.contains(&n) || !wildcard.matches(text.as_bytes()), "{} {text}", texts[n]);
            }
            assert!(found.len() < 20, "{text}: {}", found.len());
        }
    }
}
