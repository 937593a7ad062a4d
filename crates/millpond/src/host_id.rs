//! How a server names itself in answers (`x-amz-id-2`) and in notifications.

use bytes::Bytes;
use millpond_io::Random;
use millpond_kernel::tables;
use millpond_meta::{Batch, Cond, Key, Kv, Op, ReadError};

/// The name: 48 random hexadecimal digits, made at the first start and kept, so that a notification of what a server did before it was restarted has the name
/// that the answer had. AWS's are opaque and differ by request; ours tell servers apart, which is what they are asked for.
pub async fn read(kv: &dyn Kv, random: &dyn Random) -> Result<String, ReadError> {
    let key: Key = Bytes::from_static(&[tables::HOST_ID]);
    if let Some(row) = kv.get(&key).await? {
        return Ok(String::from_utf8_lossy(&row).into_owned());
    }
    let made: String = (0..3).map(|_| format!("{:016x}", random.u64())).collect();
    let ops = vec![Op::Put(key.clone(), made.clone().into())];
    let batch = Batch { conds: vec![Cond::Absent(key)], ops, urgent: true, ..Batch::default() };
    // One that is not kept is good until the next start.
    if let Err(error) = kv.commit(batch).await {
        tracing::warn!(%error, "the name of the server could not be kept");
    }
    Ok(made)
}
