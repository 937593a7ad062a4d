//! Archives for tests, also such as no other program would make.

/// An entry of an archive.
#[derive(Clone, Debug)]
pub struct Made {
    pub name: Vec<u8>,
    pub content: Vec<u8>,
    /// The mode of its file.
    pub mode: u32,
    /// 0: stored, 8: deflated; others are claimed.
    pub method: u16,
    pub flags: u16,
    /// What the archive says of its size, where that is not true.
    pub claimed: Option<u32>,
    pub crc: Option<u32>,
}

/// A plain file.
pub fn file(name: &str, content: &str) -> Made {
    Made { name: name.into(), content: content.into(), mode: 0o100_644, method: 0, flags: 0, claimed: None, crc: None }
}

/// A symbolic link.
pub fn link(name: &str, to: &str) -> Made {
    Made { mode: 0o120_777, ..file(name, to) }
}

fn deflated(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// The archive of some entries (APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16).
pub fn archive(entries: &[Made]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let data = if entry.method == 8 { deflated(&entry.content) } else { entry.content.clone() };
        let mut crc = flate2::Crc::new();
        crc.update(&entry.content);
        let mut common = Vec::new();
        for number in [20, entry.flags, entry.method, 0, 0] {
            common.extend(u16::to_le_bytes(number));
        }
        let size = entry.claimed.unwrap_or(entry.content.len() as u32);
        for number in [entry.crc.unwrap_or(crc.sum()), data.len() as u32, size] {
            common.extend(u32::to_le_bytes(number));
        }
        common.extend((entry.name.len() as u16).to_le_bytes());
        common.extend(0u16.to_le_bytes());
        let offset = out.len() as u32;
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(&entry.name);
        out.extend(data);
    }
    let (count, offset, length) = (entries.len() as u16, out.len() as u32, directory.len() as u32);
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend(0u16.to_le_bytes());
    out
}

/// The archive of a function that there is nothing wrong with.
#[allow(dead_code, reason = "not every test uses it")]
pub fn function() -> Vec<u8> {
    archive(&[file("index.py", "def handler(event, context):\n    return event\n")])
}
