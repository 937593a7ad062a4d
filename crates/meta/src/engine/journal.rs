//! A look at fjall's journals before fjall opens them. fjall takes the first byte that it cannot parse for the torn end of a
//! crash and cuts the journal there, which is right at the end of the last journal and loses commits anywhere else; and it
//! refuses to open when a torn group has both of its ends on disk but not its middle, which a power cut can leave behind.
//! So the journals are read first: damage that has commits behind it is an error before anything was changed, and a torn last
//! group, which was never acknowledged, is cut off. fjall's checksum leaves out the sequence number of a group, on which the
//! order of rows rests; so the row of the commit number also tells the sequence number that it was written under.
//!
//! The format (fjall 3, `journal/entry.rs`), integers little-endian:
//! start = 1, items u32, seqno u64; item = 2, type u8, compression u8, keyspace u64, key length u16, value length u32, stored
//! length u32, key, value; clear = 4, keyspace u64; end = 3, XXH3-64 over items and clears u64, "FJL\x03".

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use millpond_io::{Disk, File, IoError, OpenMode, SyncPoint};
use xxhash_rust::xxh3::xxh3_64;

use super::committer::{COMMIT_KEY, CommitRow, MAX_GROUP_DISK_BYTES};

const MAGIC: &[u8; 4] = b"FJL\x03";
const START_BYTES: usize = 1 + 4 + 8;
const END_BYTES: usize = 1 + 8 + 4;
const ITEM_HEAD_BYTES: usize = 1 + 1 + 1 + 8 + 2 + 4 + 4;
const CLEAR_BYTES: usize = 1 + 8;
/// How much further than told a group's sequence number may be: background work takes numbers too, one for each table that it
/// writes or merges.
const SEQNO_SLACK: u64 = 4096;
/// Read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What is wrong with a journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// Nothing: it ends where its last group ends, or in zeros.
    Sound,
    /// The last group is incomplete. It begins here.
    Torn(u64),
    /// A group is damaged, and there are groups behind it, here or in a later journal. It begins here.
    Damaged(u64),
}

/// A journal that was read.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) path: PathBuf,
    pub(super) finding: Finding,
    /// The last commit number in its sound part.
    pub(super) commit: Option<u64>,
    /// Whether anything was written to it.
    begun: bool,
}

/// The numbers of a database's journals, ascending.
pub(super) fn numbers(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, IoError> {
    let mut numbers: Vec<u64> = Vec::new();
    for name in disk.list(dir)? {
        numbers.extend(name.strip_suffix(".jnl").and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The bytes of a group with these rows, keys and kept values.
pub(super) fn group_bytes<'a>(rows: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>) -> u64 {
    let item =
        |(key, value): (&Bytes, &Option<Bytes>)| ITEM_HEAD_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len);
    (START_BYTES + END_BYTES + rows.map(item).sum::<usize>()) as u64
}

/// Reads all journals of a database, in order. Changes nothing.
pub(super) fn examine(disk: &dyn Disk, dir: &Path) -> Result<Vec<Journal>, IoError> {
    let mut seqno = None;
    let mut journals = Vec::new();
    for number in numbers(disk, dir)? {
        journals.push(read_journal(disk, dir.join(format!("{number}.jnl")), &mut seqno)?);
    }
    settle_torn(&mut journals);
    Ok(journals)
}

/// A group is begun when the one before it is durable. So a torn one was durable once, and is damage, when a later journal holds
/// any part of another; it is what a failed write or a power cut left when all later ones are empty.
fn settle_torn(journals: &mut [Journal]) {
    let mut followed = false;
    for journal in journals.iter_mut().rev() {
        if let Finding::Torn(at) = journal.finding
            && followed
        {
            journal.finding = Finding::Damaged(at);
        }
        followed |= journal.begun;
    }
}

/// Cuts a journal off.
pub(super) fn cut(disk: &dyn Disk, path: &Path, at: u64) -> Result<(), IoError> {
    let file = disk.open(path, OpenMode::Write)?;
    file.set_len(at)?;
    file.sync_data(SyncPoint("meta.journal.cut"))
}

fn read_journal(disk: &dyn Disk, path: PathBuf, seqno: &mut Option<u64>) -> Result<Journal, IoError> {
    let file = disk.open(&path, OpenMode::Read)?;
    let mut window = Window { file, buffer: Vec::new(), at: 0, read_to: 0, ended: false };
    let mut journal = Journal { path, finding: Finding::Sound, commit: None, begun: false };
    let mut out_of_order = false;
    loop {
        match parse(window.bytes()) {
            Parsed::Group(group) => {
                if !group.in_order(*seqno) {
                    out_of_order = true;
                    break;
                }
                journal.commit = group.commit.as_ref().map(|row| row.commit).or(journal.commit);
                *seqno = Some(group.seqno);
                window.advance(group.len);
            }
            Parsed::Incomplete if !window.ended && window.bytes().len() < MAX_GROUP_DISK_BYTES => window.fill()?,
            Parsed::Incomplete | Parsed::Wrong => break,
        }
    }
    let at = window.at;
    let tail = window.tail()?;
    journal.begun = at > 0 || !tail.is_empty();
    if !tail.is_empty() {
        let damaged = out_of_order || group_behind(&tail, journal.commit);
        journal.finding = if damaged { Finding::Damaged(at) } else { Finding::Torn(at) };
    }
    Ok(journal)
}

/// Whether a whole group of a later commit lies anywhere behind the first byte. One is in flight at a time, so such a group
/// means that the one before it was complete once.
fn group_behind(tail: &[u8], before: Option<u64>) -> bool {
    // Anywhere a group's head could be, as the damage may hide where the one before it ends. Its first item follows it.
    let head = |window: &[u8]| window.first() == Some(&1) && matches!(window.last(), Some(2 | 4));
    tail.windows(START_BYTES + 1).enumerate().skip(1).filter(|(_, window)| head(window)).any(|(at, _)| {
        // Values are the users' bytes and may look like a group; it must also have a commit number.
        matches!(parse(&tail[at..]), Parsed::Group(Group { commit: Some(row), .. }) if Some(row.commit) > before)
    })
}

/// A part of a file, read on demand.
struct Window {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    /// Where the file's unread part begins.
    at: u64,
    /// Where the buffer ends in the file.
    read_to: u64,
    ended: bool,
}

impl Window {
    fn bytes(&self) -> &[u8] {
        let consumed = self.buffer.len() - usize::try_from(self.read_to - self.at).unwrap_or(0);
        &self.buffer[consumed..]
    }

    fn advance(&mut self, len: usize) {
        self.at += len as u64;
    }

    fn fill(&mut self) -> Result<(), IoError> {
        let kept = self.bytes().to_vec();
        self.buffer = kept;
        let from = self.buffer.len();
        self.buffer.resize(from + CHUNK_BYTES, 0);
        let got = self.file.read_at(&mut self.buffer[from..], self.read_to)?;
        self.buffer.truncate(from + got);
        self.read_to += got as u64;
        self.ended = got < CHUNK_BYTES;
        Ok(())
    }

    /// All that is left, without the zeros at its end (journals are made longer than they are).
    fn tail(mut self) -> Result<Vec<u8>, IoError> {
        let mut tail = self.bytes().to_vec();
        let mut zeros_from = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut skipped = tail.len() - zeros_from;
        tail.truncate(zeros_from);
        loop {
            let got = self.file.read_at(&mut chunk, self.read_to)?;
            if got == 0 {
                return Ok(tail);
            }
            self.read_to += got as u64;
            match chunk[..got].iter().rposition(|byte| *byte != 0) {
                None => skipped += got,
                Some(last) => {
                    tail.resize(zeros_from + skipped, 0);
                    tail.extend_from_slice(&chunk[..=last]);
                    zeros_from = tail.len();
                    skipped = got - last - 1;
                }
            }
        }
    }
}

enum Parsed {
    Group(Group),
    /// The bytes end within a group.
    Incomplete,
    /// This is no group, or its checksum does not match.
    Wrong,
}

struct Group {
    len: usize,
    seqno: u64,
    commit: Option<CommitRow>,
}

impl Group {
    /// Whether its sequence number is behind the last group's and near the one it was written under.
    fn in_order(&self, before: Option<u64>) -> bool {
        let told = self
            .commit
            .as_ref()
            .is_none_or(|row| (row.seqno..=row.seqno.saturating_add(SEQNO_SLACK)).contains(&self.seqno));
        told && before.is_none_or(|before| self.seqno > before)
    }
}

fn parse(bytes: &[u8]) -> Parsed {
    let Some(mut start) = bytes.get(..START_BYTES) else {
        return if bytes.first().is_none_or(|tag| *tag == 1) { Parsed::Incomplete } else { Parsed::Wrong };
    };
    if start.get_u8() != 1 {
        return Parsed::Wrong;
    }
    let (items, seqno) = (start.get_u32_le(), start.get_u64_le());
    let (mut at, mut commit) = (START_BYTES, None);
    for _ in 0..items {
        match parse_item(&bytes[at..]) {
            Item::Len(len, number) => {
                at += len;
                commit = number.or(commit);
            }
            Item::Incomplete => return Parsed::Incomplete,
            Item::Wrong => return Parsed::Wrong,
        }
    }
    let Some(mut end) = bytes.get(at..at + END_BYTES) else { return Parsed::Incomplete };
    if end.get_u8() != 3 || end.get_u64_le() != xxh3_64(&bytes[START_BYTES..at]) || end != MAGIC {
        return Parsed::Wrong;
    }
    Parsed::Group(Group { len: at + END_BYTES, seqno, commit })
}

enum Item {
    /// Its length, and its content if it is the row of the commit number.
    Len(usize, Option<CommitRow>),
    Incomplete,
    Wrong,
}

fn parse_item(bytes: &[u8]) -> Item {
    match bytes.first() {
        None => return Item::Incomplete,
        Some(2) => {}
        Some(4) if bytes.len() >= CLEAR_BYTES => return Item::Len(CLEAR_BYTES, None),
        Some(4) => return Item::Incomplete,
        Some(_) => return Item::Wrong,
    }
    let Some(mut head) = bytes.get(1..ITEM_HEAD_BYTES) else { return Item::Incomplete };
    let (kind, compression, _keyspace) = (head.get_u8(), head.get_u8(), head.get_u64_le());
    let (key, value, stored) = (usize::from(head.get_u16_le()), head.get_u32_le(), head.get_u32_le());
    // Values, tombstones and weak tombstones; nothing is compressed, as fjall is built without it.
    if kind > 2 || compression != 0 || value != stored || value as usize > MAX_GROUP_DISK_BYTES {
        return Item::Wrong;
    }
    let len = ITEM_HEAD_BYTES + key + value as usize;
    let Some(body) = bytes.get(ITEM_HEAD_BYTES..len) else { return Item::Incomplete };
    let (key, value) = body.split_at(key);
    Item::Len(len, if key == COMMIT_KEY { CommitRow::decode(value) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fjall::{Database, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
    use millpond_io::RealDisk;

    const GROUPS: u64 = 20;

    /// A journal that fjall wrote, with the ends of its groups.
    fn written() -> (tempfile::TempDir, PathBuf, Vec<u8>, Vec<usize>) {
        let dir = tempfile::tempdir().unwrap();
        {
            let db = Database::builder(dir.path()).worker_threads(1).open().unwrap();
            let space = db.keyspace("rows", KeyspaceCreateOptions::default).unwrap();
            for n in 1..=GROUPS {
                let mut batch = OwnedWriteBatch::with_capacity(db.clone(), 3).durability(Some(PersistMode::SyncData));
                batch.insert(&space, n.to_be_bytes(), vec![n as u8; 40]);
                batch.remove(&space, (n / 2).to_be_bytes());
                batch.insert(&space, COMMIT_KEY, CommitRow { commit: n, seqno: db.seqno() }.encode());
                batch.commit().unwrap();
            }
        }
        let path = dir.path().join("0.jnl");
        let file = RealDisk.open(&path, OpenMode::Write).unwrap();
        // fjall makes it 64 MiB long; that many zeros would only take time.
        file.set_len(16 << 10).unwrap();
        let mut bytes = vec![0; 16 << 10];
        file.read_at(&mut bytes, 0).unwrap();
        let mut ends = vec![0];
        while let Parsed::Group(group) = parse(&bytes[*ends.last().unwrap()..]) {
            ends.push(ends.last().unwrap() + group.len);
        }
        (dir, path, bytes, ends)
    }

    fn examined(dir: &Path, path: &Path, bytes: &[u8]) -> (Finding, Option<u64>) {
        let file = RealDisk.open(path, OpenMode::Write).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        let mut journals = examine(&RealDisk, dir).unwrap();
        assert_eq!(journals.len(), 1);
        let journal = journals.remove(0);
        (journal.finding, journal.commit)
    }

    #[test]
    fn what_fjall_wrote_is_sound() {
        let (dir, path, bytes, ends) = written();
        assert_eq!(ends.len() as u64, GROUPS + 1);
        assert_eq!(examined(dir.path(), &path, &bytes), (Finding::Sound, Some(GROUPS)));
    }

    #[test]
    fn every_flipped_byte_is_found() {
        let (dir, path, bytes, ends) = written();
        let last = ends[ends.len() - 2];
        for at in 0..*ends.last().unwrap() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x11;
            let group = ends.iter().rposition(|end| *end <= at).unwrap();
            let found = examined(dir.path(), &path, &changed);
            if (5..13).contains(&(at - ends[group])) {
                // A sequence number: found here or by the next group's, unless the order is still right.
                let later = (Finding::Damaged(ends[(group + 1).min(ends.len() - 1)] as u64), Some(group as u64 + 1));
                let here = (Finding::Damaged(ends[group] as u64), (group > 0).then_some(group as u64));
                let harmless = at >= last && found == (Finding::Sound, Some(GROUPS));
                assert!(found == later || found == here || harmless, "byte {at}: {found:?}");
                continue;
            }
            let expected = if at < last { Finding::Damaged(ends[group] as u64) } else { Finding::Torn(last as u64) };
            let commit = (group > 0).then_some(group as u64);
            assert_eq!(found, (expected, commit), "byte {at}");
        }
    }

    #[test]
    fn torn_ends_are_torn() {
        let (dir, path, bytes, ends) = written();
        let (last, end) = (ends[ends.len() - 2], ends[ends.len() - 1]);
        for cut in last + 1..end {
            // The end was not written, or the beginning was not, or the middle.
            for zeros in [cut..end, last..cut, last + 1..cut] {
                let mut changed = bytes.clone();
                changed[zeros.clone()].fill(0);
                let (finding, commit) = examined(dir.path(), &path, &changed);
                let nothing_left = changed[last..].iter().all(|byte| *byte == 0);
                let expected =
                    if nothing_left || zeros.is_empty() { Finding::Sound } else { Finding::Torn(last as u64) };
                if changed != bytes {
                    assert_eq!((finding, commit), (expected, Some(GROUPS - 1)), "{zeros:?}");
                }
            }
        }
        cut(&RealDisk, &path, last as u64).unwrap();
        let journal = examine(&RealDisk, dir.path()).unwrap().remove(0);
        assert_eq!((journal.finding, journal.commit), (Finding::Sound, Some(GROUPS - 1)));
    }

    #[test]
    fn a_torn_end_is_damage_when_a_later_journal_was_begun() {
        let (dir, path, bytes, ends) = written();
        let (last, end) = (ends[ends.len() - 2], ends[ends.len() - 1]);
        let (torn, damaged) = (Finding::Torn(last as u64), Finding::Damaged(last as u64));
        let row = CommitRow { commit: GROUPS + 1, seqno: 1 << 20 };
        let next = group(row.seqno, &row);
        // What the later journals hold, and what the torn end of the first is then.
        let cases: [(&[&[u8]], &Finding); 6] = [
            (&[&[]], &torn),
            (&[&[0; 4096]], &torn),
            (&[&[0; 4096], &[]], &torn),
            (&[&next], &damaged),
            (&[&[], &next], &damaged),
            (&[&next[..9]], &damaged),
        ];
        for (later, expected) in cases {
            for (number, content) in later.iter().enumerate() {
                let file = RealDisk.open(&dir.path().join(format!("{}.jnl", number + 1)), OpenMode::CreateNew).unwrap();
                file.write_all_at(content, 0).unwrap();
            }
            let file = RealDisk.open(&path, OpenMode::Write).unwrap();
            file.set_len(end as u64 - 1).unwrap();
            let journals = examine(&RealDisk, dir.path()).unwrap();
            assert_eq!((&journals[0].finding, journals[0].commit), (expected, Some(GROUPS - 1)), "{later:?}");
            file.write_all_at(&bytes, 0).unwrap();
            assert_eq!(examine(&RealDisk, dir.path()).unwrap()[0].finding, Finding::Sound);
            for number in 0..later.len() {
                RealDisk.remove(&dir.path().join(format!("{}.jnl", number + 1))).unwrap();
            }
        }
    }

    /// A group as fjall writes it.
    fn group(seqno: u64, row: &CommitRow) -> Vec<u8> {
        let value = row.encode();
        let mut items = vec![2, 0, 0];
        items.extend(1_u64.to_le_bytes());
        items.extend((COMMIT_KEY.len() as u16).to_le_bytes());
        items.extend([(value.len() as u32).to_le_bytes(); 2].concat());
        items.extend(COMMIT_KEY);
        items.extend(&value);
        let start = [&[1][..], &1_u32.to_le_bytes(), &seqno.to_le_bytes()].concat();
        [start, items.clone(), vec![3], xxh3_64(&items).to_le_bytes().to_vec(), MAGIC.to_vec()].concat()
    }
}
