//! Archives that are good, and such that are not.
#![allow(clippy::disallowed_methods, reason = "a test's own data")]

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::zip_maker::{Made, archive, file, link};

/// Unpacks an archive; what it holds, by name, with the mode of each file, or what is wrong with it.
fn unpacked(bytes: &[u8]) -> Result<Vec<(String, u32, String)>, String> {
    let dir = tempfile::tempdir().unwrap();
    let (new, name) = (dir.path().join("new"), dir.path().join("done"));
    let unpack = || -> Result<(), UnpackError> {
        let archive = Archive::open(bytes)?;
        let mut folder = NewFolder::create(&new)?;
        let size = archive.unpack(&mut folder)?;
        let links = archive.entries.values().filter(|entry| matches!(entry.kind, Kind::Link)).count();
        assert!(links > 0 || size == archive.size(), "{size} bytes of {}", archive.size());
        Ok(folder.finish(&name)?)
    };
    match unpack() {
        Ok(()) => {}
        Err(UnpackError::Fault(fault)) => return Err(fault.to_string()),
        Err(UnpackError::Io(error)) => panic!("{error}"),
    }
    let mut found = Vec::new();
    let mut dirs = vec![name.clone()];
    while let Some(at) = dirs.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.strip_prefix(&name).unwrap().display().to_string();
            let facts = path.symlink_metadata().unwrap();
            if facts.is_dir() {
                dirs.push(path);
            } else if facts.is_symlink() {
                found.push((shown, 0, std::fs::read_link(&path).unwrap().display().to_string()));
            } else {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                found.push((shown, facts.permissions().mode() & 0o777, text));
            }
        }
    }
    found.sort();
    millpond_io::remove_folder(&name).unwrap();
    Ok(found)
}

fn said(name: &str, mode: u32, text: &str) -> (String, u32, String) {
    (name.to_owned(), mode, text.to_owned())
}

#[test]
fn good_archives() {
    let run = Made { mode: 0o100_755, ..file("bootstrap", "#!/bin/sh\n") };
    let packed = Made { method: 8, ..file("a/b/c.txt", &"x".repeat(5000)) };
    for (entries, expected) in [
        (vec![file("index.py", "x")], vec![said("index.py", 0o444, "x")]),
        (vec![run], vec![said("bootstrap", 0o555, "#!/bin/sh\n")]),
        (vec![packed], vec![said("a/b/c.txt", 0o444, &"x".repeat(5000))]),
        (
            vec![file("./", ""), file("dir/", ""), file("dir/./f", "1"), file("dir//g", "2")],
            vec![said("dir/f", 0o444, "1"), said("dir/g", 0o444, "2")],
        ),
        (vec![file("f", "old"), file("f", "new")], vec![said("f", 0o444, "new")]),
        (
            vec![file("lib/real", "x"), link("lib/short", "real"), link("bin/tool", "../lib/real")],
            vec![said("bin/tool", 0, "../lib/real"), said("lib/real", 0o444, "x"), said("lib/short", 0, "real")],
        ),
        // Names of other programs are taken as they are.
        (vec![file("a\\b", "x")], vec![said("a\\b", 0o444, "x")]),
        (vec![file("empty", "")], vec![said("empty", 0o444, "")]),
    ] {
        assert_eq!(unpacked(&archive(&entries)), Ok(expected), "{entries:?}");
    }
}

#[test]
fn bad_archives_are_refused_with_the_place() {
    let with = |change: fn(&mut Made)| {
        let mut made = file("f", "content");
        change(&mut made);
        archive(&[made])
    };
    let long = format!("{}/f", "x".repeat(256));
    for (bytes, expected) in [
        (b"not a zip".to_vec(), "Could not unzip uploaded file"),
        (Vec::new(), "Could not unzip uploaded file"),
        (archive(&[]), "it holds no files"),
        (archive(&[file("dir/", "")]), "it holds no files"),
        (archive(&[file("/etc/passwd", "x")]), "entry /etc/passwd: the name is absolute"),
        (archive(&[file("a/../../x", "x")]), "entry a/../../x: the name climbs out of the archive"),
        (archive(&[file("..", "x")]), "the name climbs"),
        (archive(&[file(&long, "x")]), "the name cannot be a file's"),
        (archive(&[file("a\0b", "x")]), "the name cannot be a file's"),
        (archive(&[Made { name: vec![0xff, 0xfe], ..file("", "x") }]), "the name is not UTF-8"),
        (archive(&[link("l", "/etc/passwd")]), "entry l: the link is absolute"),
        (archive(&[link("l", "../x")]), "entry l: the link leads out of the archive"),
        (archive(&[link("a/b/l", "../../../x")]), "the link leads out of the archive"),
        (archive(&[link("a/up", "../a"), link("l", "a/up/../../x")]), "the link leads out of the archive"),
        (archive(&[link("l", "")]), "the link leads nowhere"),
        (archive(&[link("l", "d"), file("l/x", "x")]), "entry l/x: it lies in what is no directory"),
        (archive(&[file("f", "d"), file("f/x", "x")]), "entry f/x: it lies in what is no directory"),
        (with(|made| made.flags = 1), "entry f: it is encrypted"),
        (with(|made| made.method = 14), "entry f: the compression method 14 is not served"),
        (with(|made| made.crc = Some(1)), "entry f: "),
        (with(|made| made.claimed = Some(3)), "entry f: "),
        (with(|made| made.claimed = Some(300)), "entry f: "),
        (with(|made| made.claimed = Some(262_144_000)), "Unzipped size must be smaller than 262144000 bytes"),
        (archive(&vec![file("f", "x"); 3])[20..].to_vec(), "Could not unzip uploaded file"),
    ] {
        let told = unpacked(&bytes).expect_err(expected);
        assert!(told.contains(expected), "{told:?} and not {expected:?}");
    }
}

/// An archive that says little of itself and holds very much is found out as it is read.
#[test]
fn bombs_are_found_out() {
    let zeros = "0".repeat(3_000_000);
    let bomb = Made { method: 8, claimed: Some(10), ..file("bomb", &zeros) };
    let bytes = archive(&[bomb]);
    assert!(bytes.len() < 20_000);
    let told = unpacked(&bytes).unwrap_err();
    assert!(told.contains("entry bomb"), "{told}");
    // Many entries together are more than the sum may be.
    let many: Vec<Made> = (0..90).map(|number| Made { method: 8, ..file(&format!("f{number}"), &zeros) }).collect();
    assert_eq!(unpacked(&archive(&many)).unwrap_err(), "Unzipped size must be smaller than 262144000 bytes");
}

/// Whatever is changed in an archive, nothing is written outside, and nothing panics.
#[test]
fn changed_archives() {
    let good = archive(&[
        Made { method: 8, ..file("a/b", &"text ".repeat(50)) },
        link("a/l", "b"),
        file("c/", ""),
        file("c/d", "x"),
    ]);
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("SEED={seed}");
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |end: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    };
    for _ in 0..500 {
        let mut changed = good.clone();
        for _ in 0..1 + below(3) {
            let at = below(changed.len());
            changed[at] = below(256) as u8;
        }
        let _ = unpacked(&changed);
    }
}
