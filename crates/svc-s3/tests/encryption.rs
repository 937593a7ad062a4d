//! Encryption with keys of the key management service: who asks for an object's bytes or writes them has its right to the key checked,
//! every time and by every way.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod keys;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::{HeaderMap, HeaderName, Method};
use keys::{FOREIGN, FOREIGN_ALIAS, FOREIGN_NOTHING, FakeKeys, MANAGED, ONE, TWO, sealers};
use millpond_blob::{BlobConfig, Blobs};
use millpond_io::{RealDisk, SystemClock, SystemRandom};
use millpond_kernel::{
    AuthType, Authenticated, Caller, Payload, PayloadSource, Principal, RequestHead, Response, ResponseBody, Service,
    ServiceError, ServiceRequest, Signed, Step, Transport, testing,
};
use millpond_lake::{Lake, LakeConfig};
use millpond_meta::MemoryKv;
use millpond_svc_s3::S3;
use millpond_types::{RequestId, Timestamp};

const OWNER: &str = "123456789012";
const KMS: (&str, &str) = ("x-amz-server-side-encryption", "aws:kms");
const KEY_ONE: (&str, &str) = ("x-amz-server-side-encryption-aws-kms-key-id", "one");
const KEY_TWO: (&str, &str) = ("x-amz-server-side-encryption-aws-kms-key-id", TWO);
const BUCKET_KEY: (&str, &str) = ("x-amz-server-side-encryption-bucket-key-enabled", "true");

struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<Step, ServiceError>> {
        std::task::Poll::Ready(Ok(match self.0.take() {
            Some(bytes) if !bytes.is_empty() => Step::Chunk(bytes),
            _ => Step::End(Vec::new()),
        }))
    }
}

/// A body that comes when somebody says so.
struct Late(tokio::sync::oneshot::Receiver<Bytes>);

impl PayloadSource for Late {
    fn poll_step(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Result<Step, ServiceError>> {
        if self.0.is_terminated() {
            return std::task::Poll::Ready(Ok(Step::End(Vec::new())));
        }
        self.0.poll_unpin(context).map(|bytes| Ok(Step::Chunk(bytes.unwrap())))
    }
}

struct Server {
    s3: S3,
    lake: Lake,
    keys: Arc<FakeKeys>,
    _dir: Arc<tempfile::TempDir>,
}

fn service(lake: &Lake, keys: &Arc<FakeKeys>) -> S3 {
    let kernel = Arc::new(testing::kernel(OWNER.parse().unwrap()).unwrap());
    S3::new(lake.clone(), kernel, "us-east-1".parse().unwrap(), sealers(keys.clone()))
}

async fn server() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let random = Arc::new(SystemRandom);
    let blobs = Blobs::open(Arc::new(RealDisk), random.clone(), dir.path(), BlobConfig::default()).unwrap();
    let kv = Arc::new(MemoryKv::new());
    let lake = Lake::open(kv, blobs, Arc::new(SystemClock), random, LakeConfig::default()).await.unwrap();
    let keys = Arc::new(FakeKeys::default());
    let server = Server { s3: service(&lake, &keys), lake, keys, _dir: Arc::new(dir) };
    server.ok("PUT", "/bucket", &[], b"").await;
    server
}

/// How a request proves its identity.
#[derive(Clone, Copy, PartialEq, Debug)]
enum By {
    Header,
    Presigned,
    Version2,
    Nobody,
}

fn caller(by: By) -> Caller {
    let (version, auth) = match by {
        By::Header => (Some("AWS4-HMAC-SHA256"), AuthType::Header),
        By::Presigned => (Some("AWS4-HMAC-SHA256"), AuthType::Query),
        By::Version2 => (Some("AWS"), AuthType::Query),
        By::Nobody => (None, AuthType::None),
    };
    let at = Timestamp::from_seconds(1_800_000_000);
    Caller::authenticated(Authenticated {
        principal: if by == By::Nobody { Principal::Anonymous } else { Principal::Root(OWNER.parse().unwrap()) },
        session: None,
        access_key_id: None,
        auth,
        signed: version.map(|version| Signed { version, at: Some(at) }),
        transport: Transport::internal(),
        request_id: RequestId(7),
        received: at,
    })
}

type Headers<'a> = &'a [(&'a str, &'a str)];

impl Server {
    /// The same lake served by a process that has just started.
    fn restarted(&self) -> Self {
        let (lake, keys) = (self.lake.clone(), self.keys.clone());
        Self { s3: service(&lake, &keys), lake, keys, _dir: self._dir.clone() }
    }

    async fn send(
        &self,
        by: By,
        method: &str,
        target: &str,
        headers: Headers<'_>,
        body: &[u8],
    ) -> Result<Response, ServiceError> {
        let bytes = Bytes::copy_from_slice(body);
        let length = Some(bytes.len() as u64);
        self.send_payload(by, method, target, headers, Payload::new(Box::new(Whole(Some(bytes))), length)).await
    }

    async fn send_payload(
        &self,
        by: By,
        method: &str,
        target: &str,
        headers: Headers<'_>,
        payload: Payload,
    ) -> Result<Response, ServiceError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let head = RequestHead {
            method: method.parse::<Method>().unwrap(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.iter().map(header).collect::<HeaderMap>(),
            host_bucket: None,
        };
        let operation = self.s3.identify(&head)?;
        self.s3.call(ServiceRequest { head, operation, payload, caller: Arc::new(caller(by)) }).await
    }

    async fn ok(&self, method: &str, target: &str, headers: Headers<'_>, body: &[u8]) -> (HeaderMap, Vec<u8>) {
        let response = self.send(By::Header, method, target, headers, body).await;
        read(response.unwrap_or_else(|error| panic!("{method} {target}: {error}"))).await
    }

    async fn code(&self, by: By, method: &str, target: &str, headers: Headers<'_>, body: &[u8]) -> String {
        match self.send(by, method, target, headers, body).await {
            Ok(_) => "OK".to_owned(),
            Err(error) => error.code.into_owned(),
        }
    }

    async fn upload(&self, target: &str, headers: Headers<'_>) -> String {
        let document = String::from_utf8(self.ok("POST", &format!("{target}?uploads"), headers, b"").await.1).unwrap();
        element(&document, "UploadId")
    }

    /// Refuses every use of a key.
    fn refuse(&self, code: Option<&'static str>) {
        *self.keys.refuses.lock().unwrap() = code.map(|code| (code, 0));
    }

    /// Lets this many uses of keys, and none after them.
    fn refuse_after(&self, uses: usize) {
        *self.keys.refuses.lock().unwrap() = Some(("AccessDeniedException", uses));
    }
}

async fn read(response: Response) -> (HeaderMap, Vec<u8>) {
    let bytes = match response.body {
        ResponseBody::Empty => Vec::new(),
        ResponseBody::Full(bytes) => bytes.to_vec(),
        ResponseBody::Stream { mut chunks, .. } => {
            let mut bytes = Vec::new();
            while let Some(chunk) = chunks.next().await {
                bytes.extend_from_slice(&chunk.unwrap());
            }
            bytes
        }
    };
    (response.headers, bytes)
}

fn element(document: &str, name: &str) -> String {
    let rest = document.split(&format!("<{name}>")).nth(1).unwrap_or_else(|| panic!("no {name} in {document}"));
    rest.split('<').next().unwrap().replace("&quot;", "\"")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// Operations on `/bucket/key`, which is under key one, and what each asks of which keys; nothing where no key is used.
const ROWS: &[(&str, &str, Headers<'static>, &[&str])] = &[
    ("PUT", "/bucket/new", &[KMS, KEY_ONE], &["generate one"]),
    ("PUT", "/bucket/new", &[KMS], &["generate aws-s3"]),
    ("GET", "/bucket/key", &[], &["decrypt one"]),
    ("GET", "/bucket/key", &[("range", "bytes=0-1")], &["decrypt one"]),
    ("GET", "/bucket/key?partNumber=1", &[], &["decrypt one"]),
    ("GET", "/bucket/key", &[("if-none-match", "*")], &["decrypt one"]),
    ("GET", "/bucket/empty", &[], &["decrypt one"]),
    ("HEAD", "/bucket/key", &[], &[]),
    ("HEAD", "/bucket/key", &[("x-amz-checksum-mode", "ENABLED")], &["decrypt one"]),
    ("GET", "/bucket/key?attributes", &[("x-amz-object-attributes", "ETag,ObjectSize")], &[]),
    ("GET", "/bucket/key?attributes", &[("x-amz-object-attributes", "Checksum")], &["decrypt one"]),
    ("GET", "/bucket/key?attributes", &[("x-amz-object-attributes", "ObjectParts")], &["decrypt one"]),
    // To SSE-S3, from it, and between keys.
    ("PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/key")], &["decrypt one"]),
    ("PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/plain"), KMS, KEY_TWO], &["generate two"]),
    ("PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/key"), KMS, KEY_TWO], &["decrypt one", "generate two"]),
    ("PUT", "/bucket/key", &[("x-amz-copy-source", "/bucket/key"), KMS, KEY_ONE], &["decrypt one", "generate one"]),
    ("POST", "/bucket/up?uploads", &[KMS, KEY_TWO], &["generate two"]),
    ("PUT", "/bucket/up?partNumber=1&uploadId=UPLOAD", &[], &["decrypt two"]),
    (
        "PUT",
        "/bucket/up?partNumber=2&uploadId=UPLOAD",
        &[("x-amz-copy-source", "/bucket/key")],
        &["decrypt one", "decrypt two"],
    ),
    ("GET", "/bucket/up?uploadId=UPLOAD", &[], &["decrypt two"]),
    ("POST", "/bucket/up?uploadId=UPLOAD", &[], &["decrypt two"]),
    ("GET", "/bucket?uploads", &[], &[]),
    ("GET", "/bucket?list-type=2", &[], &[]),
    ("GET", "/bucket/key?tagging", &[], &[]),
    ("DELETE", "/bucket/key", &[], &[]),
];

#[tokio::test]
async fn the_right_to_the_key_is_checked_at_every_read_and_write() {
    for by in [By::Header, By::Presigned] {
        let server = server().await;
        for (key, headers) in
            [("key", &[KMS, KEY_ONE][..]), ("empty", &[KMS, KEY_ONE]), ("plain", &[]), ("parts", &[KMS, KEY_ONE])]
        {
            let body: &[u8] = if key == "empty" { b"" } else { b"secret" };
            server.ok("PUT", &format!("/bucket/{key}"), headers, body).await;
        }
        let upload = server.upload("/bucket/up", &[KMS, KEY_TWO]).await;
        let part = server.ok("PUT", &format!("/bucket/up?partNumber=1&uploadId={upload}"), &[], b"secret").await;
        let etag = header(&part.0, "etag").unwrap().to_owned();
        for (method, target, headers, asks) in ROWS {
            let target = target.replace("UPLOAD", &upload);
            let complete = format!(
                "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
            );
            let body: &[u8] = match (*method, target.contains("uploadId")) {
                ("POST", true) => complete.as_bytes(),
                ("PUT", _) if headers.iter().all(|(name, _)| *name != "x-amz-copy-source") => b"secret",
                _ => b"",
            };
            // Who lost the right is refused at each of the keys.
            let mut expected = Vec::new();
            for (uses, ask) in asks.iter().enumerate() {
                expected.push((*ask).to_owned());
                server.keys.take();
                server.refuse_after(uses);
                let refused = server.code(by, method, &target, headers, body).await;
                assert_eq!(
                    (refused.as_str(), server.keys.take()),
                    ("AccessDenied", expected.clone()),
                    "{method} {target}"
                );
                server.refuse(None);
            }
            // A part that is put again has another ETag.
            let answer = server.send(by, method, &target, headers, body).await;
            let asked = server.keys.take();
            assert_eq!(asked, asks.iter().map(|ask| (*ask).to_owned()).collect::<Vec<_>>(), "{method} {target}");
            match answer {
                Ok(response) => drop(read(response).await),
                Err(error) => {
                    assert!(matches!(&*error.code, "InvalidPart" | "PreconditionFailed"), "{method} {target}: {error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn objects_come_back_and_hide_their_digests() {
    let server = server().await;
    let md5 = "\"5ebe2294ecd0e0f08eab7690d2a6ee69\"";
    for (key_id, shown) in
        [(KEY_ONE, ONE), ((KEY_ONE.0, "alias/one"), ONE), (KEY_TWO, TWO), ((KEY_ONE.0, "alias/aws/s3"), MANAGED)]
    {
        for flags in [&[][..], &[BUCKET_KEY]] {
            let sent = [&[KMS, key_id], flags].concat();
            let (put, _) = server.ok("PUT", "/bucket/key", &sent, b"secret").await;
            let (get, body) = server.ok("GET", "/bucket/key", &[("x-amz-checksum-mode", "ENABLED")], b"").await;
            assert_eq!(body, b"secret");
            for headers in [&put, &get] {
                assert_eq!(header(headers, "x-amz-server-side-encryption"), Some("aws:kms"));
                assert_eq!(header(headers, "x-amz-server-side-encryption-aws-kms-key-id"), Some(shown));
                let flag = header(headers, "x-amz-server-side-encryption-bucket-key-enabled");
                assert_eq!(flag, (!flags.is_empty()).then_some("true"));
                assert_eq!(headers["etag"].len(), 34);
                assert_ne!(headers["etag"], md5);
                assert!(headers.contains_key("x-amz-checksum-crc64nvme"));
            }
            assert_eq!(put["etag"], get["etag"]);
            // A copy that may show its digests has its MD5 again, though no byte was read.
            let copy = [("x-amz-copy-source", "/bucket/key")];
            let (_, document) = server.ok("PUT", "/bucket/copy", &copy, b"").await;
            assert_eq!(element(&String::from_utf8(document).unwrap(), "ETag"), md5);
            assert_eq!(server.ok("GET", "/bucket/copy", &[], b"").await.1, b"secret");
        }
    }
}

#[tokio::test]
async fn a_multipart_upload_under_a_key() {
    let server = server().await;
    let (first, last) = (vec![1u8; 5 << 20], vec![2u8; 100_000]);
    for flags in [&[KMS, KEY_ONE][..], &[KMS, KEY_ONE, BUCKET_KEY]] {
        let upload = server.upload("/bucket/up", flags).await;
        let mut parts = String::new();
        for (number, body) in [(1, &first), (2, &last)] {
            let target = format!("/bucket/up?partNumber={number}&uploadId={upload}");
            let (part, _) = server.ok("PUT", &target, &[], body).await;
            assert_eq!(header(&part, "x-amz-server-side-encryption-aws-kms-key-id"), Some(ONE));
            let etag = header(&part, "etag").unwrap();
            parts += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        }
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let target = format!("/bucket/up?uploadId={upload}");
        let (headers, completed) = server.ok("POST", &target, &[], document.as_bytes()).await;
        assert_eq!(header(&headers, "x-amz-server-side-encryption"), Some("aws:kms"));
        assert!(element(&String::from_utf8(completed).unwrap(), "ETag").ends_with("-2\""));
        let whole = [&first[..], &last].concat();
        assert!(server.ok("GET", "/bucket/up", &[], b"").await.1 == whole);
        assert!(server.ok("GET", "/bucket/up?partNumber=2", &[], b"").await.1 == last);
        // The same completion once more.
        server.ok("POST", &target, &[], document.as_bytes()).await;
        server.ok("PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/up"), KMS, KEY_TWO], b"").await;
        assert!(server.ok("GET", "/bucket/copy", &[], b"").await.1 == whole);
    }
}

#[tokio::test]
async fn a_bucket_key_saves_data_keys_and_no_decision() {
    let server = server().await;
    let sent = [KMS, KEY_ONE, BUCKET_KEY];
    let steps: [(&str, &str, Headers<'_>, &str); 5] = [
        ("PUT", "/bucket/a", &sent, "generate one"),
        ("PUT", "/bucket/b", &sent, "check [GenerateDataKey] one"),
        ("GET", "/bucket/a", &[], "check [Decrypt] one"),
        ("PUT", "/bucket/c", &[KMS, KEY_TWO, BUCKET_KEY], "generate two"),
        ("PUT", "/bucket/a", &[KMS, KEY_ONE], "generate one"),
    ];
    for (method, target, headers, asked) in steps {
        server.ok(method, target, headers, b"secret").await;
        assert_eq!(server.keys.take(), [asked], "{method} {target}");
    }
    let contexts = server.keys.contexts.lock().unwrap().clone();
    let arns: Vec<_> = contexts.iter().map(|context| context["aws:s3:arn"].as_str()).collect();
    assert_eq!(arns[..3], ["arn:aws:s3:::bucket"; 3]);
    assert_eq!(arns[4], "arn:aws:s3:::bucket/a");
    // Who loses the right is refused at once, though the data key is at hand.
    server.refuse(Some("AccessDeniedException"));
    for (method, headers) in [("PUT", &sent[..]), ("GET", &[])] {
        assert_eq!(server.code(By::Header, method, "/bucket/b", headers, b"secret").await, "AccessDenied");
    }
    server.refuse(None);
    server.keys.take();
    let again = server.restarted();
    for asked in ["decrypt one", "check [Decrypt] one"] {
        assert_eq!(again.ok("GET", "/bucket/b", &[], b"").await.1, b"secret");
        assert_eq!(server.keys.take(), [asked]);
    }
}

#[tokio::test]
async fn the_clients_context_is_bound_and_kept() {
    let server = server().await;
    let context = STANDARD.encode(r#"{"team":"a"}"#);
    let sent = [KMS, KEY_ONE, ("x-amz-server-side-encryption-context", context.as_str())];
    let (put, _) = server.ok("PUT", "/bucket/key", &sent, b"secret").await;
    assert!(!put.contains_key("x-amz-server-side-encryption-context"));
    assert_eq!(server.ok("GET", "/bucket/key", &[], b"").await.1, b"secret");
    let contexts = server.keys.contexts.lock().unwrap().clone();
    assert!(contexts.iter().all(|c| c["team"] == "a" && c["aws:s3:arn"] == "arn:aws:s3:::bucket/key"), "{contexts:?}");
    // A copy says its own, or none.
    server.ok("PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/key"), KMS, KEY_ONE], b"").await;
    let last = server.keys.contexts.lock().unwrap().last().cloned().unwrap();
    assert_eq!((last.len(), last["aws:s3:arn"].as_str()), (1, "arn:aws:s3:::bucket/copy"));
    let other = STANDARD.encode(r#"{"aws:s3:arn":"arn:aws:s3:::other/key"}"#);
    let sent = [KMS, KEY_ONE, ("x-amz-server-side-encryption-context", other.as_str())];
    assert_eq!(server.code(By::Header, "PUT", "/bucket/key", &sent, b"x").await, "InvalidArgument");
}

#[tokio::test]
async fn only_version_4_opens_keys() {
    let server = server().await;
    server.ok("PUT", "/bucket/key", &[KMS, KEY_ONE], b"secret").await;
    server.ok("PUT", "/bucket/plain", &[], b"open").await;
    server.keys.take();
    for (method, target, headers) in [
        ("GET", "/bucket/key", &[][..]),
        ("PUT", "/bucket/new", &[KMS, KEY_ONE]),
        ("PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/key")]),
        ("POST", "/bucket/up?uploads", &[KMS]),
    ] {
        let error = server.send(By::Version2, method, target, headers, b"").await.unwrap_err();
        assert_eq!((&*error.code, error.status), ("InvalidArgument", 400), "{method} {target}");
        assert_eq!(
            error.message,
            "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4."
        );
        assert_ne!(server.code(By::Nobody, method, target, headers, b"").await, "OK");
    }
    assert_eq!(server.code(By::Version2, "GET", "/bucket/plain", &[], b"").await, "OK");
    assert_eq!(server.keys.take(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_told() {
    let server = server().await;
    server.ok("PUT", "/bucket/key", &[KMS, KEY_ONE], b"secret").await;
    for (code, expected, status) in [
        ("AccessDeniedException", "AccessDenied", 403),
        ("NotFoundException", "KMS.NotFoundException", 400),
        ("DisabledException", "KMS.DisabledException", 400),
        ("KMSInvalidStateException", "KMS.KMSInvalidStateException", 400),
        ("KMSInternalException", "InternalError", 500),
    ] {
        server.refuse(Some(code));
        for (method, headers) in [("GET", &[][..]), ("PUT", &[KMS, KEY_ONE])] {
            let error = server.send(By::Header, method, "/bucket/key", headers, b"x").await.unwrap_err();
            assert_eq!((&*error.code, error.status), (expected, status), "{method} {code}");
        }
    }
    server.refuse(None);
    let id = KEY_ONE.0;
    for (key, expected, message) in [
        ("nobody", "KMS.NotFoundException", "Key 'nobody' does not exist"),
        ("arn:aws:kms:eu-west-1:123456789012:key/one", "KMS.NotFoundException", "Invalid arn eu-west-1"),
    ] {
        let error = server.send(By::Header, "PUT", "/bucket/key", &[KMS, (id, key)], b"x").await.unwrap_err();
        assert_eq!((&*error.code, &*error.message), (expected, message));
    }
    assert_eq!(server.ok("GET", "/bucket/key", &[], b"").await.1, b"secret");
}

/// Whether another account has an alias, and for which key, is not told to who may not use it.
#[tokio::test]
async fn denials_by_way_of_another_accounts_alias_are_alike() {
    let server = server().await;
    let id = KEY_ONE.0;
    server.ok("PUT", "/bucket/key", &[], b"secret").await;
    // So that the bucket's data key is there: the right to it is checked then, and nothing is made.
    server.ok("PUT", "/bucket/theirs", &[KMS, (id, FOREIGN_ALIAS), BUCKET_KEY], b"x").await;
    server.refuse(Some("AccessDeniedException"));
    let default = |key: &str| {
        format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
             <KMSMasterKeyID>{key}</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        )
    };
    let mut told = Vec::new();
    for alias in [FOREIGN_ALIAS, FOREIGN_NOTHING] {
        for (method, target, further) in [
            ("PUT", "/bucket/key", &[][..]),
            ("PUT", "/bucket/key", &[BUCKET_KEY]),
            ("POST", "/bucket/key?uploads", &[]),
            ("PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/key")]),
        ] {
            let headers = [&[KMS, (id, alias)], further].concat();
            told.push(server.send(By::Header, method, target, &headers, b"x").await.unwrap_err());
        }
        server.ok("PUT", "/bucket?encryption", &[], default(alias).as_bytes()).await;
        told.push(server.send(By::Header, "PUT", "/bucket/key", &[], b"x").await.unwrap_err());
        server.ok("DELETE", "/bucket?encryption", &[], b"").await;
    }
    for error in told {
        assert_eq!((&*error.code, error.status, &*error.message), ("AccessDenied", 403, "Access Denied"));
    }
    // Who names the key itself is told what he may not do with it, and so is the owner of an alias.
    for (name, key) in [(FOREIGN, FOREIGN), ("alias/one", ONE)] {
        let error = server.send(By::Header, "PUT", "/bucket/key", &[KMS, (id, name)], b"x").await.unwrap_err();
        assert_eq!(error.message, format!("the key {key} says no"));
    }
}

#[tokio::test]
async fn a_bucket_says_how_objects_are_encrypted() {
    let server = server().await;
    let rule = |inner: &str| {
        format!("<ServerSideEncryptionConfiguration><Rule>{inner}</Rule></ServerSideEncryptionConfiguration>")
            .into_bytes()
    };
    let by = |inner: &str| format!("<ApplyServerSideEncryptionByDefault>{inner}</ApplyServerSideEncryptionByDefault>");
    let get = async || String::from_utf8(server.ok("GET", "/bucket?encryption", &[], b"").await.1).unwrap();
    assert_eq!(element(&get().await, "SSEAlgorithm"), "AES256");
    let kms = by("<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>alias/one</KMSMasterKeyID>");
    let keyed = rule(&format!("{kms}<BucketKeyEnabled>true</BucketKeyEnabled>"));
    server.ok("PUT", "/bucket?encryption", &[], &keyed).await;
    let shown = get().await;
    assert_eq!(
        (element(&shown, "KMSMasterKeyID"), element(&shown, "BucketKeyEnabled")),
        ("alias/one".into(), "true".into())
    );
    for (headers, asked) in [
        (&[][..], "generate one"),
        (&[], "check [GenerateDataKey] one"),
        (&[("x-amz-server-side-encryption-bucket-key-enabled", "false")], "generate one"),
        // The bucket's word on data keys holds also for other keys.
        (&[KMS, KEY_TWO], "generate two"),
        (&[KMS, KEY_TWO], "check [GenerateDataKey] two"),
    ] {
        server.ok("PUT", "/bucket/key", headers, b"secret").await;
        assert_eq!(server.keys.take(), [asked], "{headers:?}");
    }
    server.ok("PUT", "/bucket/key", &[("x-amz-server-side-encryption", "AES256")], b"secret").await;
    server.ok("PUT", "/bucket/copy", &[("x-amz-copy-source", "/bucket/key")], b"").await;
    server.upload("/bucket/up", &[]).await;
    assert_eq!(server.keys.take(), ["check [GenerateDataKey] one", "check [GenerateDataKey] one"]);
    server.refuse(Some("AccessDeniedException"));
    assert_eq!(server.code(By::Header, "PUT", "/bucket/key", &[], b"x").await, "AccessDenied");
    server.refuse(None);
    server.ok("PUT", "/bucket?encryption", &[], &rule(&by("<SSEAlgorithm>aws:kms</SSEAlgorithm>"))).await;
    server.keys.take();
    server.ok("PUT", "/bucket/key", &[], b"secret").await;
    assert_eq!(server.keys.take(), ["generate aws-s3"]);
    server.ok("DELETE", "/bucket?encryption", &[], b"").await;
    server.ok("PUT", "/bucket/key", &[], b"secret").await;
    assert!(server.keys.take().is_empty() && element(&get().await, "SSEAlgorithm") == "AES256");
    for (document, code) in [
        (rule(&by("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>one</KMSMasterKeyID>")), "InvalidArgument"),
        (rule(&by("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>")), "NotImplemented"),
        (rule(&by("<SSEAlgorithm>rot13</SSEAlgorithm>")), "MalformedXML"),
        (b"<ServerSideEncryptionConfiguration/>".to_vec(), "MalformedXML"),
    ] {
        assert_eq!(server.code(By::Header, "PUT", "/bucket?encryption", &[], &document).await, code);
    }
}

/// What the bucket says when the object is there counts, not what it said when the upload began.
#[tokio::test]
async fn a_default_that_changes_during_an_upload() {
    let server = server().await;
    let document = b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
        <KMSMasterKeyID>one</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";
    for refused in [false, true] {
        server.ok("DELETE", "/bucket?encryption", &[], b"").await;
        let (send, receive) = tokio::sync::oneshot::channel();
        let payload = Payload::new(Box::new(Late(receive)), Some(6));
        let put = server.send_payload(By::Header, "PUT", "/bucket/key", &[], payload);
        let change = async {
            server.ok("PUT", "/bucket?encryption", &[], document).await;
            server.refuse(refused.then_some("AccessDeniedException"));
            send.send(Bytes::from_static(b"secret")).unwrap();
        };
        let (answer, ()) = tokio::join!(put, change);
        server.refuse(None);
        if refused {
            assert_eq!(&*answer.unwrap_err().code, "AccessDenied");
            continue;
        }
        let (headers, _) = read(answer.unwrap()).await;
        assert_eq!(header(&headers, "x-amz-server-side-encryption-aws-kms-key-id"), Some(ONE));
        server.keys.take();
        assert_eq!(server.ok("GET", "/bucket/key", &[], b"").await.1, b"secret");
        assert_eq!(server.keys.take(), ["decrypt one"]);
    }
}
