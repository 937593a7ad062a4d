//! MurmurHash3 of 128 bits, of the variant for 64-bit machines.

use std::num::Wrapping;

type Word = Wrapping<u64>;

const FIRST: Word = Wrapping(0x87c3_7b91_1142_53d5);
const SECOND: Word = Wrapping(0x4cf5_ad43_2745_937f);

fn rotated(word: Word, by: u32) -> Word {
    Wrapping(word.0.rotate_left(by))
}

fn word(bytes: &[u8]) -> Word {
    Wrapping(bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
}

fn first(word: Word) -> Word {
    rotated(word * FIRST, 31) * SECOND
}

fn second(word: Word) -> Word {
    rotated(word * SECOND, 33) * FIRST
}

fn mixed(mut word: Word) -> Word {
    word ^= word >> 33;
    word *= Wrapping(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word *= Wrapping(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}

/// The hash with the seed 0, its two words in the order of their bytes from the least.
pub fn murmur3(bytes: &[u8]) -> [u8; 16] {
    let (mut left, mut right) = (Wrapping(0), Wrapping(0));
    let blocks = bytes.chunks_exact(16);
    let rest = blocks.remainder();
    for block in blocks {
        let (low, high) = block.split_at(8);
        left ^= first(word(low));
        left = (rotated(left, 27) + right) * Wrapping(5) + Wrapping(0x52dc_e729);
        right ^= second(word(high));
        right = (rotated(right, 31) + left) * Wrapping(5) + Wrapping(0x3849_5ab5);
    }
    let (low, high) = rest.split_at(rest.len().min(8));
    right ^= second(word(high));
    left ^= first(word(low));
    let length = Wrapping(bytes.len() as u64);
    left ^= length;
    right ^= length;
    left += right;
    right += left;
    left = mixed(left);
    right = mixed(right);
    left += right;
    right += left;
    let mut hash = [0; 16];
    let (low, high) = hash.split_at_mut(8);
    low.copy_from_slice(&left.0.to_le_bytes());
    high.copy_from_slice(&right.0.to_le_bytes());
    hash
}
