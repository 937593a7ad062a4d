//! Prints what verifying one request costs: `cargo run --release -p millpond-auth --features testing --example verify_cost`.

use std::time::Instant;

use http::{HeaderMap, HeaderValue};
use millpond_auth::testing::{Payload, Signer};
use millpond_auth::{Claim, KeyCache, RequestParts, Secret, VerifyPolicy, claim};
use millpond_types::Timestamp;

const ROUNDS: u32 = 200_000;

fn main() {
    let now = Timestamp::from_seconds(1_767_225_600);
    let signer = Signer::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1", "s3");
    let secret = Secret::new(&signer.secret_key);
    let Ok(region) = "us-east-1".parse() else { return };
    let policy = VerifyPolicy { now, region: &region, services: &["s3"] };
    let keys = KeyCache::new();

    let mut host = HeaderMap::new();
    host.insert("host", HeaderValue::from_static("localhost:9000"));
    host.insert("user-agent", HeaderValue::from_static("aws-sdk/1.0"));
    host.insert("accept", HeaderValue::from_static("*/*"));
    let mut signed = host.clone();
    let target = ("GET", "/bucket/some/key/with/a/path.parquet", "");
    signer.sign(target, &mut signed, Payload::Body(b""), now);
    host.remove("accept");
    host.remove("user-agent");
    let query = signer.presign(target, &host, 3600, now);

    for (name, headers, query) in [("header", &signed, ""), ("presigned", &host, query.as_str())] {
        let parts = RequestParts {
            method: target.0,
            path: target.1,
            query,
            headers,
            authority: None,
            body: &[],
            host_bucket: None,
        };
        let start = Instant::now();
        let mut accepted = 0;
        for _ in 0..ROUNDS {
            if let Ok(Claim::Signed(claim)) = claim(&parts) {
                accepted += u32::from(claim.verify(&parts, &secret, &policy, &keys).is_ok());
            }
        }
        println!("{name}: {:?} a request, {accepted} of {ROUNDS} accepted", start.elapsed() / ROUNDS);
    }
}
