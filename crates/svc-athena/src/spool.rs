//! A result on its way from the engine to its object, piece by piece.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::{PayloadSource, ServiceError, Step};
use millpond_query::{Column, Sink, Stats};
use tokio::sync::{mpsc, oneshot};

use crate::csv;
use crate::limits::PIECES;
use crate::running::Live;

/// A piece, or the end of all.
type Piece = Option<Bytes>;

/// Takes columns and rows.
pub(crate) struct Spool {
    live: Arc<Live>,
    pieces: mpsc::Sender<Piece>,
    begins: Option<oneshot::Sender<()>>,
    /// Whether values become lines, without a header.
    text: bool,
    /// The columns, once they are known.
    pub columns: Vec<Column>,
    /// Bytes and rows so far.
    pub bytes: u64,
    pub rows: u64,
}

/// Gives the pieces. Without their end it ends with an error, so that nothing is put.
pub(crate) struct Pieces(mpsc::Receiver<Piece>);

impl Spool {
    /// Both ends, and what is told when the first piece is there.
    pub fn new(live: Arc<Live>, text: bool) -> (Self, Pieces, oneshot::Receiver<()>) {
        let (pieces, taken) = mpsc::channel(PIECES);
        let (begins, begun) = oneshot::channel();
        let spool = Self { live, pieces, begins: Some(begins), text, columns: Vec::new(), bytes: 0, rows: 0 };
        (spool, Pieces(taken), begun)
    }

    async fn give(&mut self, piece: Bytes) -> Result<(), String> {
        if piece.is_empty() {
            return Ok(());
        }
        self.bytes += piece.len() as u64;
        self.pieces.send(Some(piece)).await.map_err(|_| "the result could not be written".to_owned())
    }

    /// There is no more.
    pub async fn end(self) {
        // Whoever took the pieces says why not.
        let _ = self.pieces.send(None).await;
    }

    /// Rows as lines.
    fn lines(rows: &[u8]) -> Result<Bytes, String> {
        let (mut at, mut lines) = (0, String::new());
        while let Some((values, taken)) =
            csv::row(rows.get(at..).unwrap_or_default(), true).map_err(|error| error.to_string())?
        {
            let values: Vec<_> = values.into_iter().map(Option::unwrap_or_default).collect();
            lines.push_str(&values.join("\t"));
            if !lines.ends_with('\n') {
                lines.push('\n');
            }
            at += taken;
        }
        Ok(lines.into())
    }
}

impl Sink for Spool {
    fn columns(&mut self, columns: Vec<Column>) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let header = csv::header(columns.iter().map(|column| column.name.as_str()));
            self.columns = columns;
            if let Some(begins) = self.begins.take() {
                let _ = begins.send(());
            }
            if self.text { Ok(()) } else { self.give(header.into()).await }
        }
        .boxed()
    }

    fn rows(&mut self, count: u64, rows: Bytes) -> BoxFuture<'_, Result<(), String>> {
        async move {
            self.rows += count;
            let rows = if self.text { Self::lines(&rows)? } else { rows };
            self.give(rows).await
        }
        .boxed()
    }

    fn progress(&mut self, stats: Stats) {
        self.live.progress(stats);
    }
}

impl PayloadSource for Pieces {
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, ServiceError>> {
        self.0.poll_recv(cx).map(|piece| match piece {
            Some(Some(bytes)) => Ok(Step::Chunk(bytes)),
            Some(None) => Ok(Step::End(Vec::new())),
            None => Err(ServiceError::new("RequestAborted", 400, "The query ended before its result did.")),
        })
    }
}
