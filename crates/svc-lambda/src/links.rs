//! Links to code: whoever has one can read an archive for ten minutes, as with AWS's presigned ones.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use millpond_kernel::{BodyFailed, Response, ResponseBody};
use millpond_seal::Purpose;
use millpond_types::Timestamp;

use crate::code::{Sha256, sha256_of};
use crate::errors::LambdaError;
use crate::limits::LINK_AGE;
use crate::state::Core;
use crate::tables::CodeRow;

/// The page of links, behind `/_millpond/`.
const PAGE: &str = "functions/code/";
/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;

impl Core {
    /// A link to code.
    pub fn link(&self, code: &CodeRow) -> Result<String, LambdaError> {
        let mut plain = self.clock.now().plus(LINK_AGE).0.to_be_bytes().to_vec();
        plain.extend(sha256_of(code)?);
        let token = self.vault.seal(&*self.random, Purpose::CodeLink, b"", &plain)?;
        Ok(format!("{}/_millpond/{PAGE}{}", self.base(), URL_SAFE_NO_PAD.encode(token)))
    }

    fn linked(&self, token: &str) -> Option<Sha256> {
        let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
        let plain = self.vault.open(Purpose::CodeLink, b"", &sealed).ok()?;
        let (until, sha256) = plain.split_first_chunk::<8>()?;
        let alive = self.clock.now() < Timestamp(u64::from_be_bytes(*until));
        Sha256::try_from(sha256).ok().filter(|_| alive)
    }

    /// The page of a link.
    pub fn page(&self, name: &str) -> Option<Response> {
        let sha256 = self.linked(name.strip_prefix(PAGE)?)?;
        let (file, held) = self.code.archive(sha256).ok()?;
        let length = file.len().ok()?;
        // What is read stays where it is until the last of it was sent.
        let chunks = stream::unfold((0u64, Some((file, held))), move |(at, source)| async move {
            let (file, held) = source?;
            if at >= length {
                return None;
            }
            let reading = Arc::clone(&file);
            let read = tokio::task::spawn_blocking(move || {
                let mut chunk = Vec::new();
                let wanted = usize::try_from(length - at).unwrap_or(CHUNK).min(CHUNK);
                reading.read_append(&mut chunk, wanted, at).map(|_| Bytes::from(chunk))
            });
            let chunk = match read.await {
                Ok(Ok(chunk)) if !chunk.is_empty() => chunk,
                Ok(Err(error)) => return Some((Err(BodyFailed(error.to_string())), (at, None))),
                _ => return Some((Err(BodyFailed("the archive is cut off".to_owned())), (at, None))),
            };
            let next = at + chunk.len() as u64;
            Some((Ok(chunk), (next, Some((file, held)))))
        });
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"code.zip\""));
        let body = ResponseBody::Stream { length, chunks: Box::pin(chunks) };
        Some(Response { status: StatusCode::OK, headers, body })
    }
}
