//! What a use of a key costs: decisions and cryptography, without network and audit.
//!
//!     cargo run --release -p millpond-svc-kms --example use_cost
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on panics")]

use std::sync::Arc;
use std::time::Instant;

use millpond_io::{SystemClock, SystemRandom};
use millpond_kernel::{EncryptionContext, Epoch, Kernel, KeyService, KeyUse, Principal, testing};
use millpond_meta::MemoryKv;
use millpond_seal::Vault;
use millpond_svc_kms::Kms;

const TIMES: u32 = 20_000;

async fn timed<T, F: Future<Output = T>>(name: &str, one: impl Fn() -> F) {
    let start = Instant::now();
    for _ in 0..TIMES {
        one().await;
    }
    println!("{name}: {:?}", start.elapsed() / TIMES);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let kv = Arc::new(MemoryKv::new());
    let account = "111122223333".parse().unwrap();
    let epoch = Epoch::load(kv.clone()).await.unwrap();
    let kernel = Arc::new(Kernel::new(account, "us-east-1".parse().unwrap(), epoch));
    let (vault, clock, random) = (Arc::new(Vault::for_tests()), Arc::new(SystemClock), Arc::new(SystemRandom));
    let kms = Kms::open(kv, kernel.clone(), vault, clock, random).await.unwrap();
    let s3 = kernel.register("s3.amazonaws.com");
    let key = kms.managed(account, "s3").await.unwrap();
    let context = EncryptionContext::from([("aws:s3:arn".to_owned(), "arn:aws:s3:::bucket/key".to_owned())]);
    // What was decided is remembered with the caller, of which each request has its own.
    let caller = || testing::caller(Principal::Root(account)).on_behalf(&s3);
    let sealed = kms.generate(&caller(), &key, &context).await.unwrap().sealed;
    timed("generate", async || drop(kms.generate(&caller(), &key, &context).await.unwrap())).await;
    timed("decrypt", async || drop(kms.decrypt(&caller(), &key, &sealed, &context).await.unwrap())).await;
    timed("check", async || kms.check(&caller(), &key, &[KeyUse::Decrypt], &context).await.unwrap()).await;
}
