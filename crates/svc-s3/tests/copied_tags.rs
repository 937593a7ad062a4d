//! The tags that a copy brings along are decided by as those of a header are.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::Principal;
use world::{OWNER, Row, Who, server, user};

/// Writes of the tag `class=secret` are denied to everybody; "plain" may write what is `class=open`.
const BY_TAG: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Deny","Principal":"*","Action":["s3:PutObject","s3:PutObjectTagging"],"Resource":"arn:aws:s3:::bucket/*",
     "Condition":{"StringEquals":{"s3:RequestObjectTag/class":"secret"}}},
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/plain"},"Action":["s3:GetObject","s3:GetObjectTagging"],
     "Resource":"arn:aws:s3:::bucket/*"},
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/plain"},"Action":["s3:PutObject","s3:PutObjectTagging"],
     "Resource":"arn:aws:s3:::bucket/*","Condition":{"StringEquals":{"s3:RequestObjectTag/class":"open"}}}]}"#;

type Headers = &'static [(&'static str, &'static str)];

const OPEN: (&str, &str) = ("x-amz-tagging", "class=open");
const SECRET: (&str, &str) = ("x-amz-tagging", "class=secret");
const COPY: (&str, &str) = ("x-amz-tagging-directive", "COPY");
const REPLACE: (&str, &str) = ("x-amz-tagging-directive", "REPLACE");

const OF_OPEN: (&str, &str) = ("x-amz-copy-source", "/bucket/open");
const OF_SECRET: (&str, &str) = ("x-amz-copy-source", "/bucket/secret");
const OF_BARE: (&str, &str) = ("x-amz-copy-source", "/bucket/bare");

#[tokio::test]
async fn tags_that_are_copied_are_asked_for() {
    let server = server().await;
    let root = Who(Principal::Root(OWNER.parse().unwrap()), None);
    let rows: [Row; 5] = [
        ("", "PUT", "/bucket", &[], ""),
        ("", "PUT", "/bucket/open", &[OPEN], "bytes"),
        ("", "PUT", "/bucket/secret", &[SECRET], "bytes"),
        ("", "PUT", "/bucket/bare", &[], "bytes"),
        ("", "PUT", "/bucket?policy", &[], BY_TAG),
    ];
    for row in rows {
        server.send_as(&root, &row, "").await.unwrap();
    }
    let (able, plain) = (Who(user(OWNER, "able"), None), Who(user(OWNER, "plain"), None));
    let cases: [(&Who, Headers, bool); 13] = [
        (&able, &[OF_BARE], true),
        (&able, &[OF_OPEN], true),
        (&able, &[OF_SECRET], false),
        (&able, &[OF_SECRET, COPY], false),
        (&able, &[OF_SECRET, OPEN], false),
        (&able, &[OF_SECRET, OPEN, COPY], false),
        (&able, &[OF_SECRET, OPEN, REPLACE], true),
        (&able, &[OF_BARE, SECRET, REPLACE], false),
        // What is passed over decides nothing.
        (&able, &[OF_BARE, SECRET], true),
        (&plain, &[OF_OPEN], true),
        (&plain, &[OF_BARE], false),
        (&plain, &[OF_BARE, OPEN], false),
        (&plain, &[OF_BARE, OPEN, REPLACE], true),
    ];
    for (who, headers, allowed) in cases {
        let answer = server.send_as(who, &("", "PUT", "/bucket/copy", headers, ""), "").await;
        let code = answer.err().map(|error| error.code.into_owned());
        assert_eq!(code.as_deref(), (!allowed).then_some("AccessDenied"), "{} {headers:?}", who.0);
    }
}
