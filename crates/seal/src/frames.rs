//! Bodies of any length: frames that are sealed one by one, so that a range can be read without the rest.
//!
//! A frame holds 65,520 bytes of content and becomes 65,536 bytes, just one block of the object store. Its nonce is its number, and the last one
//! is marked in it: frames can be neither exchanged nor left out at the end. A key is for one body alone (the STREAM construction, Hoang,
//! Reyhanitabar, Rogaway, Vizár: "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015).

use bytes::{Bytes, BytesMut};
use ring::aead::{Aad, LessSafeKey, Nonce};

use crate::{Key, Unopened};

/// The bytes that a frame adds.
pub const TAG: usize = 16;
/// The bytes of a whole frame.
pub const FRAME_SEALED: usize = 64 * 1024;
/// The bytes of content in a whole frame.
pub const FRAME_PLAIN: usize = FRAME_SEALED - TAG;

/// The bytes that content of a length becomes. Content of none becomes none.
pub fn sealed_len(plain: u64) -> u64 {
    plain + plain.div_ceil(FRAME_PLAIN as u64) * TAG as u64
}

/// The bytes of content in a sealed body of a length; `None` when no body has it.
pub fn plain_len(sealed: u64) -> Option<u64> {
    let frames = sealed.div_ceil(FRAME_SEALED as u64);
    let plain = sealed.checked_sub(frames * TAG as u64)?;
    (sealed_len(plain) == sealed).then_some(plain)
}

fn nonce(frame: u64, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&frame.to_le_bytes());
    bytes[11] = u8::from(last);
    Nonce::assume_unique_for_key(bytes)
}

/// Seals a body, in order.
pub struct FrameSealer {
    key: LessSafeKey,
    frame: u64,
    /// Content of the frame that is being gathered.
    gathered: BytesMut,
}

impl FrameSealer {
    /// Begins a body. No other body may have this key.
    pub fn new(key: &Key) -> Result<Self, Unopened> {
        Ok(Self { key: key.aead()?, frame: 0, gathered: BytesMut::new() })
    }

    /// Takes content and gives the frames that it completes, as one piece; empty when it completes none.
    pub fn update(&mut self, mut content: &[u8]) -> Result<Bytes, Unopened> {
        let mut sealed = BytesMut::new();
        while !content.is_empty() {
            // A whole frame is only sealed when more comes, for the last one is marked.
            if self.gathered.len() == FRAME_PLAIN {
                let frame = self.seal(false)?;
                if sealed.is_empty() { sealed = frame } else { sealed.unsplit(frame) }
            }
            if self.gathered.capacity() < FRAME_SEALED && self.gathered.len() + content.len() > FRAME_PLAIN {
                self.gathered.reserve(FRAME_SEALED - self.gathered.len());
            }
            let fits = content.len().min(FRAME_PLAIN - self.gathered.len());
            let (now, later) = content.split_at(fits);
            self.gathered.extend_from_slice(now);
            content = later;
        }
        Ok(sealed.freeze())
    }

    /// Ends the body and gives its last frame; empty for a body without content.
    pub fn finish(mut self) -> Result<Bytes, Unopened> {
        if self.gathered.is_empty() { Ok(Bytes::new()) } else { Ok(self.seal(true)?.freeze()) }
    }

    fn seal(&mut self, last: bool) -> Result<BytesMut, Unopened> {
        let mut frame = std::mem::take(&mut self.gathered);
        let nonce = nonce(self.frame, last);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut frame).map_err(|_| Unopened)?;
        frame.extend_from_slice(tag.as_ref());
        self.frame += 1;
        Ok(frame)
    }
}

/// Opens frames of a body, in any order.
pub struct FrameOpener {
    key: LessSafeKey,
    /// The number of the body's last frame.
    last: u64,
}

impl FrameOpener {
    /// For a body whose content has this length, which must not be zero.
    pub fn new(key: &Key, plain: u64) -> Result<Self, Unopened> {
        let frames = plain.div_ceil(FRAME_PLAIN as u64);
        Ok(Self { key: key.aead()?, last: frames.checked_sub(1).ok_or(Unopened)? })
    }

    /// Opens a whole frame in place and cuts its tag off. Nothing of a frame that was changed is handed out.
    pub fn open(&self, frame: u64, sealed: &mut BytesMut) -> Result<(), Unopened> {
        let opened = self.open_in(frame, sealed);
        sealed.truncate(opened.unwrap_or(0));
        opened.map(drop)
    }

    /// Opens a whole frame where it lies. Its content is then the first so many bytes; what a frame that was changed leaves there is nobody's.
    pub fn open_in(&self, frame: u64, sealed: &mut [u8]) -> Result<usize, Unopened> {
        if frame > self.last {
            return Err(Unopened);
        }
        let opened = self.key.open_in_place(nonce(frame, frame == self.last), Aad::empty(), sealed);
        opened.map(|plain| plain.len()).map_err(|_| Unopened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: usize = FRAME_PLAIN;

    fn key() -> Key {
        Key::from_bytes(&[3; 32])
    }

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 31 % 251) as u8).collect()
    }

    fn sealed(content: &[u8], chunk: usize) -> Vec<u8> {
        let mut sealer = FrameSealer::new(&key()).unwrap();
        let mut sealed = Vec::new();
        for chunk in content.chunks(chunk.max(1)) {
            sealed.extend_from_slice(&sealer.update(chunk).unwrap());
        }
        sealed.extend_from_slice(&sealer.finish().unwrap());
        sealed
    }

    #[test]
    fn bodies_come_back_frame_by_frame() {
        for len in [0, 1, 15, 16, 17, P - 1, P, P + 1, 2 * P, 2 * P + 5, 5 * P - 1] {
            let plain = content(len);
            let whole = sealed(&plain, 1 << 20);
            assert_eq!(whole.len() as u64, sealed_len(len as u64), "{len}");
            assert_eq!(plain_len(whole.len() as u64), Some(len as u64));
            for chunk in [777, P, P + 1, 100_000] {
                assert_eq!(sealed(&plain, chunk), whole, "{len} by {chunk}");
            }
            if len == 0 {
                continue;
            }
            let opener = FrameOpener::new(&key(), len as u64).unwrap();
            // In reverse, as ranges come in any order.
            for (number, frame) in whole.chunks(FRAME_SEALED).enumerate().rev() {
                let mut frame = BytesMut::from(frame);
                opener.open(number as u64, &mut frame).unwrap();
                let end = (number * P + P).min(len);
                assert_eq!(frame, plain[number * P..end], "{len} frame {number}");
            }
        }
    }

    #[test]
    fn lengths_that_no_body_has() {
        for sealed in [1, 16, FRAME_SEALED as u64 + 1, FRAME_SEALED as u64 + 16] {
            assert_eq!(plain_len(sealed), None, "{sealed}");
        }
        assert_eq!(plain_len(0), Some(0));
        assert!(FrameOpener::new(&key(), 0).is_err());
    }

    #[test]
    fn frames_that_were_changed_exchanged_or_left_out_do_not_open() {
        let plain = content(2 * P + 5);
        let whole = sealed(&plain, 1 << 20);
        let frames: Vec<_> = whole.chunks(FRAME_SEALED).map(BytesMut::from).collect();
        let opener = FrameOpener::new(&key(), plain.len() as u64).unwrap();
        let opens = |opener: &FrameOpener, number, frame: &BytesMut| {
            let mut frame = frame.clone();
            let opened = opener.open(number, &mut frame).is_ok();
            assert!(opened || frame.is_empty(), "nothing of a frame that did not open is left");
            opened
        };
        assert!(opens(&opener, 0, &frames[0]));
        assert!(!opens(&opener, 1, &frames[0]) && !opens(&opener, 0, &frames[1]) && !opens(&opener, 3, &frames[2]));
        // A body cut behind its second frame, with the length that it would then have.
        let cut = FrameOpener::new(&key(), 2 * P as u64).unwrap();
        assert!(opens(&cut, 0, &frames[0]) && !opens(&cut, 1, &frames[1]));
        let other = FrameOpener::new(&Key::from_bytes(&[4; 32]), plain.len() as u64).unwrap();
        assert!(!opens(&other, 0, &frames[0]));
        for at in (0..frames[2].len()).chain([]) {
            let mut changed = frames[2].clone();
            changed[at] ^= 1;
            assert!(!opens(&opener, 2, &changed), "byte {at}");
        }
    }
}
