//! A request's body, on its way from the connection to a handler.

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};

use crate::ServiceError;

/// Headers that came after the body, verified. Names are lower-case.
pub type Trailers = Vec<(String, String)>;

/// What a body yields.
#[derive(Debug)]
pub enum Step {
    /// Bytes that are not verified before the end is.
    Chunk(Bytes),
    /// The end: length, digest, chunk signatures and trailers are verified.
    End(Trailers),
}

/// Where a body comes from. After an error or the end it is not polled again.
pub trait PayloadSource: Send {
    /// The next step.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, ServiceError>>;
}

/// Shows that a body was read to its verified end. Only a [`Payload`] makes one.
#[derive(Debug)]
pub struct VerifiedEnd {
    /// The verified trailers.
    pub trailers: Trailers,
}

/// A body. Its bytes may be put aside as they come, but count only once [`Payload::end`] has given a [`VerifiedEnd`].
pub struct Payload {
    source: Option<Box<dyn PayloadSource>>,
    end: Option<VerifiedEnd>,
    length: Option<u64>,
    /// Whether its length is not known before its end, and need not be.
    is_open: bool,
}

impl Payload {
    /// A body from a connection. `length` is that of the content, when it was declared.
    pub fn new(source: Box<dyn PayloadSource>, length: Option<u64>) -> Self {
        Self { source: Some(source), end: None, length, is_open: false }
    }

    /// A body that a service of ours makes as it goes: its length is known at its end.
    pub fn open(source: Box<dyn PayloadSource>) -> Self {
        Self { source: Some(source), end: None, length: None, is_open: true }
    }

    /// A body of no bytes.
    pub fn empty() -> Self {
        Self { source: None, end: Some(VerifiedEnd { trailers: Trailers::new() }), length: Some(0), is_open: false }
    }

    /// The declared length of the content in bytes.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether its length is not known before its end, and need not be.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The next bytes; `None` at the verified end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ServiceError> {
        let Some(source) = &mut self.source else { return Ok(None) };
        match poll_fn(|cx| source.poll_step(cx)).await {
            Ok(Step::Chunk(bytes)) => Ok(Some(bytes)),
            Ok(Step::End(trailers)) => {
                self.source = None;
                self.end = Some(VerifiedEnd { trailers });
                Ok(None)
            }
            Err(error) => {
                self.source = None;
                Err(error)
            }
        }
    }

    /// The proof that all was read and verified; `None` before that.
    pub fn end(self) -> Option<VerifiedEnd> {
        self.end
    }

    /// The whole body, at most `limit` bytes of it.
    pub async fn collect(&mut self, limit: usize, too_large: impl Fn() -> ServiceError) -> Result<Bytes, ServiceError> {
        if self.length.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut whole = BytesMut::with_capacity(first.len() + second.len());
        whole.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if whole.len() + chunk.len() > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
            next = self.next().await?;
        }
        Ok(whole.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    struct Steps(Vec<Result<Step, ServiceError>>);

    impl PayloadSource for Steps {
        fn poll_step(&mut self, _: &mut Context<'_>) -> Poll<Result<Step, ServiceError>> {
            Poll::Ready(self.0.remove(0))
        }
    }

    fn body(chunks: &[&'static str], end: Result<Step, ServiceError>) -> Payload {
        let mut steps: Vec<_> = chunks.iter().map(|c| Ok(Step::Chunk(Bytes::from_static(c.as_bytes())))).collect();
        steps.push(end);
        Payload::new(Box::new(Steps(steps)), None)
    }

    fn too_large() -> ServiceError {
        ServiceError::new("TooLarge", 400, "too large")
    }

    #[test]
    fn collects_up_to_the_limit() {
        for (chunks, expected) in [
            (vec![], Ok("")),
            (vec!["ab"], Ok("ab")),
            (vec!["ab", "cd", "e"], Ok("abcde")),
            (vec!["abc", "def"], Err(too_large())),
        ] {
            let mut payload = body(&chunks, Ok(Step::End(Vec::new())));
            let whole = payload.collect(5, too_large).now_or_never().unwrap();
            assert_eq!(whole, expected.map(Bytes::from_static_str), "{chunks:?}");
        }
    }

    trait FromStaticStr {
        fn from_static_str(text: &'static str) -> Bytes;
    }

    impl FromStaticStr for Bytes {
        fn from_static_str(text: &'static str) -> Bytes {
            Bytes::from_static(text.as_bytes())
        }
    }

    #[test]
    fn there_is_no_proof_before_the_end_or_after_an_error() {
        let mut payload = body(&["ab"], Ok(Step::End(Vec::new())));
        assert!(payload.next().now_or_never().unwrap().unwrap().is_some());
        assert!(payload.end().is_none());

        let mut payload = body(&["ab"], Err(too_large()));
        assert!(payload.collect(9, too_large).now_or_never().unwrap().is_err());
        assert!(payload.next().now_or_never().unwrap().unwrap().is_none());
        assert!(payload.end().is_none());
    }
}
