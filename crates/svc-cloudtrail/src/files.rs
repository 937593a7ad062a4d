//! Log files: what a trail selected, as objects in its bucket (CloudTrail User Guide, "CloudTrail log file examples").
//!
//! What goes into a file, and its key, is committed before the file is put, and what went into it is removed after: a file that is put twice has the same key and
//! the same content.

use std::io::Write;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use millpond_io::{Clock, Random};
use millpond_kernel::{Caller, Kernel, NewObject, Objects, ServiceCall, ServiceError, ServiceIdentity};
use millpond_meta::key::{prefix_end, successor};
use millpond_meta::{Batch, CommitError, Cond, Kv, MAX_RANGE_DELETE, Op, Position, ReadError, Rows, Scan};
use millpond_types::{AccountId, RequestId, Timestamp};
use prost::Message;

use crate::reader::PRINCIPAL;
use crate::state::{Trails, arn};
use crate::tables::{self, FileRow, StatusRow, TrailRow};

/// How often files are put, unless it is set otherwise: as often as CloudTrail does.
pub const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Records of one file.
const MAX_RECORDS: usize = 4000;
const _: () = assert!(MAX_RECORDS < MAX_RANGE_DELETE);
/// Bytes of the records of one file: what is held in memory while it is made.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Records that are read at a time.
const PAGE: usize = 250;
/// Files of one trail that are put in a row; more wait for the next time.
const MAX_FILES: usize = 100;

/// Puts log files.
pub struct Files {
    pub kernel: Arc<Kernel>,
    pub trails: Trails,
    pub objects: Arc<dyn Objects>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    identity: ServiceIdentity,
}

/// Why a file was not put.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Refused(#[from] ServiceError),
    #[error("a file could not be compressed: {0}")]
    Compress(#[from] std::io::Error),
}

impl Files {
    pub fn new(
        kernel: Arc<Kernel>,
        trails: Trails,
        objects: Arc<dyn Objects>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let identity = kernel.register(PRINCIPAL);
        Self { kernel, trails, objects, clock, random, identity }
    }

    /// CloudTrail, calling for a trail.
    fn caller(&self, account: AccountId, trail: &str) -> Arc<Caller> {
        Arc::new(Caller::of_service(
            &self.identity,
            ServiceCall {
                source_arn: Some(arn(self.kernel.region(), account, trail)),
                source_account: Some(account),
                request_id: RequestId(self.random.u128()),
                now: self.clock.now(),
                causes: Vec::new(),
            },
        ))
    }

    /// Whether a bucket exists and lets CloudTrail put an account's files there.
    ///
    /// # Errors
    /// Those of the object storage.
    pub async fn may_deliver(&self, account: AccountId, trail: &TrailRow) -> Result<(), ServiceError> {
        let object = self.object(trail, folder(trail, account), Bytes::new());
        self.objects.may_put(self.caller(account, &trail.name), &object).await
    }

    fn object(&self, trail: &TrailRow, key: String, body: Bytes) -> NewObject {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("content-encoding", "gzip".to_owned()),
            ("x-amz-acl", "bucket-owner-full-control".to_owned()),
        ];
        NewObject { bucket: trail.bucket.clone(), key, headers, body }
    }

    /// Puts files until `stop`.
    pub async fn run(&self, interval: Duration, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(interval) => self.deliver_all().await,
            }
        }
    }

    /// Puts what waits, of all trails.
    pub async fn deliver_all(&self) {
        for (account, own) in self.trails.all().iter() {
            for trail in own.values() {
                for _ in 0..MAX_FILES {
                    match self.deliver(*account, trail).await {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => {
                            tracing::warn!(%account, trail = trail.name, %error, "a log file could not be put; it is tried again");
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Puts one file; whether there was one to put.
    async fn deliver(&self, account: AccountId, trail: &TrailRow) -> Result<bool, FileError> {
        let kv = self.trails.kv();
        let planned = tables::file(trail.id());
        let plan = match kv.get(&planned).await? {
            Some(row) => FileRow::decode(row).map_err(|_| ReadError::Damaged("a log file that is being put".into()))?,
            None => match self.plan(account, trail).await? {
                Some(plan) => plan,
                None => return Ok(false),
            },
        };
        let last = Position::from_key(&plan.last).unwrap_or_default();
        let rows = waiting(&**kv, trail.id(), Some(last)).await?;
        let body = compressed(&rows)?;
        let put = self.objects.put(self.caller(account, &trail.name), self.object(trail, plan.key.clone(), body)).await;
        let now = self.clock.now().0;
        let status = tables::status(trail.id());
        if let Err(error) = put {
            let before = kv.get(&status).await?.and_then(|row| StatusRow::decode(row).ok()).unwrap_or_default();
            let row = StatusRow { attempted: now, error: error.code.to_string(), ..before };
            let ops = vec![Op::Put(status, row.encode_to_vec().into())];
            kv.commit(Batch { conds: vec![Cond::Present(planned)], ops, ..Batch::default() }).await?;
            return Err(error.into());
        }
        let row = StatusRow { delivered: now, attempted: now, error: String::new() };
        let mut ops = vec![Op::Delete(planned.clone()), Op::Put(status, row.encode_to_vec().into())];
        if let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) {
            ops.push(Op::DeleteRange(first.clone(), successor(last)));
        }
        // The trail may have been deleted meanwhile; then there is nothing to be said of it.
        kv.commit(Batch { conds: vec![Cond::Present(planned)], ops, urgent: true, ..Batch::default() }).await?;
        Ok(true)
    }

    /// Decides what goes into the next file, and commits it.
    async fn plan(&self, account: AccountId, trail: &TrailRow) -> Result<Option<FileRow>, FileError> {
        let kv = self.trails.kv();
        let rows = waiting(&**kv, trail.id(), None).await?;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        let last = Bytes::copy_from_slice(&Position::from_key(last).unwrap_or_default().to_bytes());
        let key = self.key(account, trail);
        let (row, planned) = (FileRow { key, last }, tables::file(trail.id()));
        let conds = vec![Cond::Absent(planned.clone()), Cond::Present(tables::trail(account, &trail.name))];
        let ops = vec![Op::Put(planned, row.encode_to_vec().into())];
        kv.commit(Batch { conds, ops, ..Batch::default() }).await?;
        Ok(Some(row))
    }

    /// `AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/28/111122223333_CloudTrail_us-east-1_20261128T1910Z_h0jR2bVqP3zLw9Xk.json.gz`
    /// (CloudTrail User Guide, "Finding your CloudTrail log files").
    fn key(&self, account: AccountId, trail: &TrailRow) -> String {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut rest = self.random.u128();
        let unique: String = (0..16)
            .map(|_| {
                let digit = DIGITS[(rest % 62) as usize];
                rest /= 62;
                char::from(digit)
            })
            .collect();
        let (region, folder) = (self.kernel.region(), folder(trail, account));
        let mut time = String::new();
        millpond_wire::push_iso8601(&mut time, Timestamp::from_seconds(self.clock.wall().seconds()), false);
        // 2026-11-28T19:10:00Z
        let (year, month, day) = (&time[..4], &time[5..7], &time[8..10]);
        let (hour, minute) = (&time[11..13], &time[14..16]);
        format!(
            "{folder}{region}/{year}/{month}/{day}/{account}_CloudTrail_{region}_{year}{month}{day}T{hour}{minute}Z_{unique}.json.gz"
        )
    }
}

/// Where the files of an account lie.
pub fn folder(trail: &TrailRow, account: AccountId) -> String {
    let prefix = trail.prefix.as_deref().filter(|prefix| !prefix.is_empty());
    let prefix = prefix.map_or_else(String::new, |prefix| format!("{}/", prefix.trim_end_matches('/')));
    format!("{prefix}AWSLogs/{account}/CloudTrail/")
}

/// What waits for a trail's next file: up to `last`, or as much as goes into one.
async fn waiting(kv: &dyn Kv, trail: u128, last: Option<Position>) -> Result<Rows, ReadError> {
    let stream = tables::queued(trail);
    let to = match last {
        Some(last) => successor(&[&stream[..], &last.to_bytes()].concat()),
        None => prefix_end(&stream),
    };
    let (mut from, mut rows, mut bytes) = (Bound::Included(stream), Rows::new(), 0);
    loop {
        let scan = Scan { from, to: Bound::Excluded(to.clone()), reverse: false, limit: PAGE };
        let page = kv.scan(scan).await?;
        let (count, end) = (page.len(), page.last().map(|(key, _)| key.clone()));
        for (key, value) in page {
            if last.is_none() && (bytes + value.len() > MAX_BYTES || rows.len() >= MAX_RECORDS) {
                return Ok(rows);
            }
            bytes += value.len();
            rows.push((key, value));
        }
        match end {
            Some(end) if count == PAGE => from = Bound::Excluded(end),
            _ => return Ok(rows),
        }
    }
}

/// `{"Records":[...]}`, as gzip has it. The same for the same records.
fn compressed(rows: &Rows) -> Result<Bytes, std::io::Error> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(b"{\"Records\":[")?;
    for (at, (_, record)) in rows.iter().enumerate() {
        if at > 0 {
            gzip.write_all(b",")?;
        }
        gzip.write_all(record)?;
    }
    gzip.write_all(b"]}")?;
    Ok(gzip.finish()?.into())
}
