//! Tables from values to what they lead to: by equality, by beginning, by range.

use crate::hash::{hash, seed};

/// A number of something: an access, a target, a node.
pub(super) type Id = u32;
/// Nothing has this number.
pub(super) const NONE: Id = Id::MAX;

/// Byte strings, one behind the other.
#[derive(Clone, Debug, Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    fn get(&self, n: usize) -> &[u8] {
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[n] as usize]
    }

    fn len(&self) -> usize {
        self.ends.len()
    }
}

/// From values to numbers, by equality. The tag tells values of different kinds apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Exact {
    seed: u64,
    /// A power of two, at most half full.
    slots: Vec<Slot>,
    bytes: Vec<u8>,
}

/// All that a look-up needs but the text itself, in one place.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u64,
    start: u32,
    length: u32,
    tag: u8,
    /// None where the slot is free.
    id: Id,
}

impl Exact {
    /// Of values that are all different.
    pub(super) fn build<'a>(entries: impl ExactSizeIterator<Item = (u8, &'a [u8], Id)>) -> Self {
        let mut new = Self { seed: seed(), ..Self::default() };
        if entries.len() == 0 {
            return new;
        }
        let free = Slot { hash: 0, start: 0, length: 0, tag: 0, id: NONE };
        new.slots = vec![free; (entries.len() * 2).next_power_of_two()];
        for (tag, text, id) in entries {
            let hash = hash(new.seed, tag, text);
            let mut at = new.slot(hash);
            while new.slots[at].id != NONE {
                at = (at + 1) & (new.slots.len() - 1);
            }
            let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            new.slots[at] = Slot { hash, start: small(new.bytes.len()), length: small(text.len()), tag, id };
            new.bytes.extend_from_slice(text);
        }
        new
    }

    fn slot(&self, hash: u64) -> usize {
        // The upper half is mixed best.
        (hash >> 32) as usize & (self.slots.len() - 1)
    }

    pub(super) fn get(&self, tag: u8, text: &[u8]) -> Option<Id> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = hash(self.seed, tag, text);
        let mut at = self.slot(hash);
        loop {
            let slot = &self.slots[at];
            if slot.id == NONE {
                return None;
            }
            if slot.hash == hash && slot.tag == tag && slot.length as usize == text.len() {
                let start = slot.start as usize;
                if &self.bytes[start..start + text.len()] == text {
                    return Some(slot.id);
                }
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}

/// From beginnings to numbers. In the order of the beginnings, those that a text begins with are the last one that is not behind the text,
/// or one that this one begins with itself, and so on: each knows the longest other one that it begins with.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginnings {
    texts: Texts,
    shorter: Vec<u32>,
    ids: Vec<Id>,
}

impl Beginnings {
    /// Of beginnings that are all different.
    pub(super) fn build(mut entries: Vec<(Vec<u8>, Id)>) -> Self {
        entries.sort_unstable();
        let mut new = Self::default();
        for (text, id) in entries {
            let mut shorter = u32::try_from(new.texts.len()).ok().and_then(|len| len.checked_sub(1)).unwrap_or(NONE);
            while shorter != NONE && !text.starts_with(new.texts.get(shorter as usize)) {
                shorter = new.shorter[shorter as usize];
            }
            new.texts.push(&text);
            new.shorter.push(shorter);
            new.ids.push(id);
        }
        new
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Hands out the numbers of all beginnings of a text.
    pub(super) fn each(&self, text: &[u8], mut hand: impl FnMut(Id)) {
        let (mut low, mut high) = (0, self.texts.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.texts.get(middle) <= text { low = middle + 1 } else { high = middle }
        }
        let Some(mut at) = low.checked_sub(1) else { return };
        let mut begins = false;
        loop {
            begins = begins || text.starts_with(self.texts.get(at));
            if begins {
                hand(self.ids[at]);
            }
            match self.shorter[at] {
                NONE => return,
                shorter => at = shorter as usize,
            }
        }
    }
}

/// From ranges, both ends included, to numbers: sorted by their lower ends, under a tree of the highest upper ends.
#[derive(Clone, Debug)]
pub(super) struct Ranges<T> {
    /// Lower end, upper end, number.
    sorted: Vec<(T, T, Id)>,
    /// Node `n` has the children `2n` and `2n + 1`; the leaves, from `width` on, are the ranges.
    highest: Vec<Option<T>>,
    width: usize,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self { sorted: Vec::new(), highest: Vec::new(), width: 0 }
    }
}

impl<T: Ord + Copy> Ranges<T> {
    pub(super) fn build(mut sorted: Vec<(T, T, Id)>) -> Self {
        sorted.sort_unstable();
        let width = sorted.len().next_power_of_two();
        let mut highest = vec![None; width * 2];
        for (n, (_, high, _)) in sorted.iter().enumerate() {
            highest[width + n] = Some(*high);
        }
        for n in (1..width).rev() {
            highest[n] = highest[2 * n].max(highest[2 * n + 1]);
        }
        Self { sorted, highest, width }
    }

    /// Hands out the numbers of all ranges that a value is in.
    pub(super) fn each(&self, value: T, mut hand: impl FnMut(Id)) {
        let count = self.sorted.partition_point(|(low, _, _)| *low <= value);
        if count > 0 {
            self.below(1, 0, self.width, count, value, &mut hand);
        }
    }

    /// As deep as the tree: the logarithm of the number of ranges.
    fn below(&self, node: usize, start: usize, width: usize, count: usize, value: T, hand: &mut impl FnMut(Id)) {
        if start >= count || self.highest[node].is_none_or(|highest| highest < value) {
            return;
        }
        if width == 1 {
            return hand(self.sorted[start].2);
        }
        let half = width / 2;
        self.below(2 * node, start, half, count, value, hand);
        self.below(2 * node + 1, start + half, half, count, value, hand);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        let words = ["", "a", "b", "aws.s3", "eight by", "nine byte", "sixteen bytes ok"];
        let table = Exact::build(words.iter().enumerate().map(|(n, word)| (1, word.as_bytes(), n as Id)));
        for (n, word) in words.iter().enumerate() {
            assert_eq!(table.get(1, word.as_bytes()), Some(n as Id));
            assert_eq!(table.get(2, word.as_bytes()), None);
        }
        assert_eq!(table.get(1, b"c"), None);
        assert_eq!(Exact::default().get(1, b""), None);
    }

    #[test]
    fn all_beginnings_are_found() {
        let words = ["", "a", "ab", "abc", "abd", "b", "logs/", "logs/2024/"];
        let table =
            Beginnings::build(words.iter().enumerate().map(|(n, w)| (w.as_bytes().to_vec(), n as Id)).collect());
        for text in ["", "a", "abx", "abcd", "abdd", "ac", "b", "c", "logs", "logs/2025/x", "logs/2024/x"] {
            let mut found = Vec::new();
            table.each(text.as_bytes(), |id| found.push(id as usize));
            found.sort_unstable();
            let expected: Vec<_> = (0..words.len()).filter(|n| text.starts_with(words[*n])).collect();
            assert_eq!(found, expected, "{text}");
        }
        Beginnings::default().each(b"a", |_| panic!("nothing is there"));
    }

    #[test]
    fn all_ranges_are_found() {
        let ranges: Vec<(u64, u64)> = (0..50).map(|n| (n * 7 % 31, n * 7 % 31 + n * n % 17)).collect();
        let table = Ranges::build(ranges.iter().enumerate().map(|(n, (low, high))| (*low, *high, n as Id)).collect());
        for value in 0..60 {
            let mut found = Vec::new();
            table.each(value, |id| found.push(id as usize));
            found.sort_unstable();
            let expected: Vec<_> = (0..50).filter(|n| (ranges[*n].0..=ranges[*n].1).contains(&value)).collect();
            assert_eq!(found, expected, "{value}");
        }
        Ranges::default().each(5, |_| panic!("nothing is there"));
    }
}
