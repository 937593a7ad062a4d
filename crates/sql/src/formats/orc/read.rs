//! Bytes of an object of ORC, as its reader asks for them.

use std::error::Error;
use std::io;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use orc_rust::reader::AsyncChunkReader;

use super::tail::Tail;
use crate::failure::{self, Problem};
use crate::remote::{Remote, Source};

/// Bytes of a column's part in a stripe.
const MAX_STREAM: u64 = 1024 * 1024 * 1024;

/// Reads an object.
pub struct Reader {
    remote: Remote,
    source: Source,
    tail: Tail,
}

/// What failed, with the object: what the server refused or a limit was stays as it is.
pub fn broken(error: &(dyn Error + 'static), path: &str) -> Problem {
    let mut next = Some(error);
    while let Some(error) = next {
        let own = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let found = failure::found(error).or_else(|| own.and_then(|own| own.downcast_ref::<Problem>()));
        if let Some(problem) = found {
            return problem.clone();
        }
        next = error.source();
    }
    Problem::Data(format!("HIVE_BAD_DATA: {path} is no whole ORC file: {error}"))
}

impl Reader {
    /// Of an object whose end was read.
    pub fn new(remote: Remote, source: Source, tail: Tail) -> Self {
        Self { remote, source, tail }
    }

    async fn bytes(&self, from: u64, length: u64) -> Result<Bytes, Problem> {
        let path = self.source.path();
        let to = from.checked_add(length).filter(|to| *to <= self.source.size);
        let Some(to) = to.filter(|_| length <= MAX_STREAM) else {
            let words = format!("HIVE_BAD_DATA: {path} is no whole ORC file: {length} bytes at {from} are too many");
            return Err(Problem::Data(words));
        };
        if self.tail.is_index(from, to) {
            return Ok(Bytes::new());
        }
        match self.tail.part(self.source.size, from, to) {
            Some(part) => Ok(part),
            None => self.remote.bytes(&self.source, from..to).await,
        }
    }
}

impl AsyncChunkReader for Reader {
    fn len(&mut self) -> BoxFuture<'_, io::Result<u64>> {
        let size = self.source.size;
        async move { Ok(size) }.boxed()
    }

    fn get_bytes(&mut self, from: u64, length: u64) -> BoxFuture<'_, io::Result<Bytes>> {
        async move { self.bytes(from, length).await.map_err(io::Error::other) }.boxed()
    }
}
