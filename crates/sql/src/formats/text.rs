//! Objects of lines.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::datasource::physical_plan::FileOpenFuture;
use futures_util::{FutureExt, StreamExt};
use millpond_hive::types::Type;

use super::lines::{Held, Pieces, Splitter};
use super::rows::{Decoder, Serde};
use super::whole::{Reads, Wanted};
use crate::remote::{Remote, Source};

/// What all objects of a format have in common.
#[derive(Clone, Debug)]
pub struct Lines {
    /// How lines are read.
    pub serde: Arc<Serde>,
    /// The columns of the objects, by place.
    pub columns: Arc<Vec<(String, Type)>>,
    /// Lines that are passed over at the beginning of each object.
    pub skipped: u64,
    /// And at the end.
    pub footer: usize,
}

/// An object that is being read.
struct Reading {
    pieces: Pieces,
    splitter: Splitter,
    decoder: Decoder,
    skipped: u64,
    held: Held,
    batch: usize,
    ended: bool,
}

impl Reads for Lines {
    const NAME: &'static str = "lines";

    fn open(&self, remote: Remote, source: Source, wanted: &Arc<Wanted>) -> Result<FileOpenFuture> {
        let Self { serde, columns, skipped, footer } = self.clone();
        let decoder = Decoder::new(serde, columns, &wanted.places, Arc::clone(&wanted.schema), source.path());
        let splitter = Splitter::of(source.path());
        let held = Held::new(source.path(), footer);
        let pieces = Pieces::new(remote, source)?;
        let reading = Reading { pieces, splitter, decoder, skipped, held, batch: wanted.batch, ended: false };
        let batches = futures_util::stream::try_unfold(reading, |mut reading| async move {
            let batch = reading.next().await?;
            Ok(batch.map(|batch| (batch, reading)))
        });
        Ok(async move { Ok(batches.boxed()) }.boxed())
    }
}

impl Reading {
    /// The rows of the next pieces; `None` at the end. Few or many: the engine puts small batches together.
    async fn next(&mut self) -> Result<Option<arrow::array::RecordBatch>> {
        while !self.ended && self.decoder.rows() < self.batch {
            let (decoder, held, skipped) = (&mut self.decoder, &mut self.held, self.skipped);
            let take = |number: u64, line: &[u8]| match number > skipped {
                true => held.line(number, line, |number, line| decoder.line(number, line)),
                false => Ok(()),
            };
            match self.pieces.next().await? {
                Some(piece) => self.splitter.piece(&piece, take)?,
                None => {
                    self.ended = true;
                    self.splitter.end(take)?;
                }
            }
        }
        if self.decoder.rows() == 0 { Ok(None) } else { Ok(Some(self.decoder.finish()?)) }
    }
}
