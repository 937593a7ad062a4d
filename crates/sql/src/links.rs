//! Tables whose objects name the objects that have their rows.

use datafusion::common::Result;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use millpond_hive::symlink::{MAX_LINK_BYTES, targets};

use crate::failure::Problem;
use crate::remote::{Remote, Source};

/// Links and targets that are asked for at the same time.
const TOGETHER: usize = 32;
/// Objects that the links of one folder name together; as many as a query reads of a table.
const MAX_LINKED: usize = 1_000_000;

/// The objects that links name, without empty ones, which have no rows in any format.
///
/// # Errors
/// A link that cannot be read, a target that is not there or may not be listed; the error names both.
pub async fn followed(remote: &Remote, links: Vec<Source>) -> Result<Vec<Source>> {
    let mut files = stream::iter(links).map(|link| named(remote, link)).buffered(TOGETHER);
    let mut named = Vec::new();
    while let Some(more) = files.try_next().await? {
        named.extend(more);
        if named.len() > MAX_LINKED {
            let words = format!("the links of a folder name more than {MAX_LINKED} objects: name fewer partitions");
            return Err(Problem::Statement(words).into());
        }
    }
    stream::iter(named)
        .map(|(link, (bucket, key))| found(remote, link, bucket, key))
        .buffered(TOGETHER)
        .try_filter(|source| std::future::ready(source.size > 0))
        .try_collect()
        .await
}

async fn named(remote: &Remote, link: Source) -> Result<Vec<(String, (String, String))>> {
    let path = link.path();
    if link.size > MAX_LINK_BYTES {
        let words = format!("HIVE_BAD_DATA: {path}: a file of links has at most {MAX_LINK_BYTES} bytes");
        return Err(Problem::Data(words).into());
    }
    let file = remote.bytes(&link, 0..link.size).await?;
    let named = targets(&file).map_err(|error| Problem::Data(format!("HIVE_BAD_DATA: {path}: {error}")))?;
    Ok(named.into_iter().map(|target| (path.clone(), target)).collect())
}

async fn found(remote: &Remote, link: String, bucket: String, key: String) -> Result<Source> {
    let missing =
        |why: &str| Problem::Data(format!("HIVE_CANNOT_OPEN_SPLIT: s3://{bucket}/{key}, which {link} names, {why}"));
    match remote.find(&bucket, &key).await {
        Ok(Some(object)) => Ok(Source::new(bucket, object)),
        Ok(None) => Err(missing("does not exist").into()),
        Err(Problem::Refused { code, message }) if code == "NoSuchBucket" => Err(missing(&message).into()),
        Err(Problem::Refused { code, message }) => {
            Err(Problem::Refused { code, message: format!("{message} (s3://{bucket}/{key}, which {link} names)") }
                .into())
        }
        Err(problem) => Err(problem.into()),
    }
}
