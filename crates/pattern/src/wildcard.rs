//! Wildcards: `*` stands for any characters or none, `\*` and `\\` for themselves.

use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A wildcard, as the pieces between its stars: the text begins with the first, ends with the last, and has the others in order between.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Wildcard {
    /// As it stands in the pattern.
    text: Box<str>,
    /// One more than there are stars. Only the first and the last may be empty.
    pieces: Box<[Box<[u8]>]>,
}

impl Wildcard {
    /// Reads one; in words what is wrong with it. Positions count the opening quote, as AWS's do.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let (mut pieces, mut piece, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(byte) = bytes.get(at) {
            match (byte, bytes.get(at + 1)) {
                (b'*', Some(b'*')) => return Err(format!("Consecutive wildcard characters at pos {}", at + 1)),
                (b'*', _) => pieces.push(std::mem::take(&mut piece).into_boxed_slice()),
                (b'\\', Some(escaped @ (b'*' | b'\\'))) => {
                    piece.push(*escaped);
                    at += 1;
                }
                (b'\\', _) => return Err(format!("Invalid escape character at pos {}", at + 1)),
                _ => piece.push(*byte),
            }
            at += 1;
        }
        pieces.push(piece.into_boxed_slice());
        Ok(Self { text: text.into(), pieces: pieces.into() })
    }

    /// As it stands in the pattern.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The pieces between the stars.
    pub(crate) fn pieces(&self) -> &[Box<[u8]>] {
        &self.pieces
    }

    /// Each piece is taken where it stands first: what is left for the others is then longest.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let [first, middle @ .., last] = &*self.pieces else {
            return self.pieces.first().is_some_and(|only| **only == *text);
        };
        let Some(rest) = text.strip_prefix(&**first) else { return false };
        let Some(mut rest) = rest.strip_suffix(&**last) else { return false };
        for piece in middle {
            let Some(at) = find(rest, piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        true
    }
}

fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, piece)
}

/// How hard wildcards on one field are together: how many of their beginnings one text can match at once, at worst. Counting stops
/// beyond `limit`, and where there are too many cases to look at.
pub(crate) fn complexity(wildcards: &[&Wildcard], limit: usize) -> usize {
    /// Sets of beginnings that are looked at before it counts as too complex.
    const MAX_CASES: usize = 2_000;
    let patterns: Vec<Vec<Option<u8>>> = wildcards.iter().map(|wildcard| tokens(wildcard)).collect();
    let start: Beginnings = patterns.iter().enumerate().map(|(n, tokens)| settled(tokens, n, 0)).collect();
    let (mut seen, mut open, mut most) = (HashSet::new(), vec![start], 0);
    while let Some(now) = open.pop() {
        // Behind a star, any byte leaves the beginning as it is.
        let stay: Beginnings =
            now.iter().copied().filter(|(n, at)| *at > 0 && patterns[*n][at - 1].is_none()).collect();
        // What has met no star has one beginning at a time, and needs no choice.
        most = most.max(now.iter().filter(|(n, at)| patterns[*n][..*at].contains(&None)).count());
        if most > limit || seen.len() > MAX_CASES {
            return most.max(limit + 1);
        }
        let mut by_byte: BTreeMap<u8, Beginnings> = BTreeMap::new();
        for &(n, at) in &now {
            if let Some(Some(byte)) = patterns[n].get(at) {
                by_byte.entry(*byte).or_insert_with(|| stay.clone()).insert(settled(&patterns[n], n, at + 1));
            }
        }
        for next in by_byte.into_values().chain([stay]) {
            if !next.is_empty() && seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    most
}

/// Of each wildcard by its number, how far it is matched.
type Beginnings = BTreeSet<(usize, usize)>;

/// The bytes, and none for a star.
fn tokens(wildcard: &Wildcard) -> Vec<Option<u8>> {
    let mut tokens = Vec::new();
    for (n, piece) in wildcard.pieces.iter().enumerate() {
        tokens.extend((n > 0).then_some(None));
        tokens.extend(piece.iter().map(|byte| Some(*byte)));
    }
    tokens
}

/// A star needs no byte: a beginning in front of one stands behind it.
fn settled(tokens: &[Option<u8>], n: usize, at: usize) -> (usize, usize) {
    (n, if tokens.get(at) == Some(&None) { at + 1 } else { at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, matches) in [
            ("A*e", "Alice", true),
            ("A*e", "Ae", true),
            ("A*e", "alice", false),
            ("A*e", "A", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("plain", "plain", true),
            ("*b*", "abc", true),
            ("*ab*ab*", "abab", true),
            ("*ab*ab*", "aab", false),
            ("a\\*b*", "a*b!", true),
            ("a\\*b*", "aXb!", false),
            ("a\\\\*", "a\\x", true),
            ("*aab", "aaab", true),
            ("*ä*", "xäx", true),
            ("x*aba*aba*y", "xababay", false),
            ("x*aba*aba*y", "xabaabay", true),
        ] {
            assert_eq!(Wildcard::parse(pattern).unwrap().matches(text.as_bytes()), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn bad_ones_are_refused() {
        for (pattern, reason) in [
            ("a**b", "Consecutive wildcard characters at pos 2"),
            ("a\\b", "Invalid escape character at pos 2"),
            ("\\", "Invalid escape character at pos 1"),
        ] {
            assert_eq!(Wildcard::parse(pattern).unwrap_err(), reason);
        }
    }

    #[test]
    fn complexity_counts_what_a_text_can_match_at_once() {
        for (patterns, expected) in [
            (&["plain"][..], 0),
            (&["a*"], 1),
            (&["*"], 1),
            (&["a*b*c"], 3),
            (&["a*", "b*", "c*"], 1),
            (&["*a", "*b", "*c"], 4),
            (&["*aaaa"], 5),
        ] {
            let parsed: Vec<_> = patterns.iter().map(|text| Wildcard::parse(text).unwrap()).collect();
            assert_eq!(complexity(&parsed.iter().collect::<Vec<_>>(), 100), expected, "{patterns:?}");
        }
        let hard = Wildcard::parse(&"*aab*baa*abab".repeat(20)).unwrap();
        assert!(complexity(&[&hard], 10) > 10);
    }
}
