//! Random documents through the fuzz entry points: nothing may panic or hang. `SEED=... cargo test -p millpond-wire
//! --test hostile` reruns one seed.

use millpond_wire::fuzz;

/// Pieces that parsers find interesting.
const PIECES: &[&str] = &[
    "<R>",
    "</R>",
    "<R",
    "/>",
    "<a b=\"",
    "'",
    "\"",
    "&amp;",
    "&#x41;",
    "&#0;",
    "&",
    ";",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?xml version=\"1.0\"?>",
    "<?",
    "?>",
    "<!DOCTYPE R [",
    "]>",
    "xmlns:p=\"u\"",
    "p:",
    " ",
    "\n",
    "\r",
    "\u{0}",
    "é",
    "😸",
    "A",
    ".member",
    ".1",
    ".entry.1.key",
    "=",
    "+",
    "%",
    "%41",
    "%FF",
    "%zz",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    "1e999",
    "-",
    "\\u12",
    "null",
    "true",
    "<",
    ">",
];

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn run(seed: u64) {
    let mut random = Random(seed);
    for _ in 0..500 {
        let mut bytes: Vec<u8> = if random.below(2) == 0 { b"<R>".to_vec() } else { Vec::new() };
        for _ in 0..random.below(40) {
            bytes.extend_from_slice(PIECES[random.below(PIECES.len())].as_bytes());
        }
        if random.below(4) == 0 && !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
        }
        fuzz::xml(&bytes);
        fuzz::pairs(&bytes);
    }
}

#[test]
fn random_bytes_neither_panic_nor_hang() {
    if let Some(seed) = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        return run(seed);
    }
    for seed in 0..40 {
        println!("SEED={seed}");
        run(seed);
    }
}
