//! What `millpond run` tells a newcomer.

use std::net::SocketAddr;

use crate::root_key::RootKey;

/// Prints endpoint, credentials and commands to paste.
#[expect(clippy::print_stdout, reason = "this is the one thing that is meant for the terminal")]
pub fn print(address: SocketAddr, tls: bool, region: &str, key: &RootKey) {
    let scheme = if tls { "https" } else { "http" };
    let endpoint = format!("{scheme}://{address}");
    println!(
        "Millpond is ready.\n\n\
         Endpoint:    {endpoint}\n\
         Access key:  {}\n\
         Secret key:  {}\n\n\
         Try it from another terminal with the aws CLI:\n\n\
         export AWS_ENDPOINT_URL={endpoint} AWS_REGION={region} AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY='{}'\n\
         aws s3 mb s3://first && echo hello | aws s3 cp - s3://first/hello.txt\n\
         aws s3 ls s3://first && aws s3 cp s3://first/hello.txt -\n\n\
         Ctrl-C stops the lake; what was acknowledged stays.",
        key.access_key,
        key.secret.expose(),
        key.access_key,
        key.secret.expose(),
    );
}
