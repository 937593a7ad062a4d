//! Requests presigned by Signature Version 2: those that botocore makes are good, and no change to them is.

// Helpers of tests may fail the test.
#![allow(clippy::unwrap_used)]

use http::{HeaderMap, HeaderName, HeaderValue};
use millpond_auth::testing::Signer;
use millpond_auth::{
    AuthError, AuthType, Claim, KeyCache, PayloadMode, RequestParts, Secret, Verified, VerifyPolicy, claim,
};
use millpond_types::{Region, Timestamp};

/// 2026-01-01T00:00:00Z, the time of the vectors.
const NOW: u64 = 1_767_225_600;
const KEY: &str = "AKIDMILLPOND";
const SECRET: &str = "a/secret+of%forty=characters~0123456789ab";
const WEEK: u64 = 7 * 24 * 3600;
const SKEW: u64 = 15 * 60;

#[derive(Clone, Debug)]
struct Request {
    name: &'static str,
    method: String,
    bucket: Option<String>,
    path: String,
    query: String,
    headers: HeaderMap,
}

impl Request {
    fn all() -> Vec<Self> {
        let parse = |line: &'static str| {
            let [name, method, bucket, target, headers] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let (path, query) = target.split_once('?').unwrap();
            let mut request = Self {
                name,
                method: method.to_owned(),
                bucket: (bucket != "-").then(|| bucket.to_owned()),
                path: path.to_owned(),
                query: query.to_owned(),
                headers: HeaderMap::new(),
            };
            for header in headers.split(" | ").filter(|header| !header.is_empty()) {
                let (name, value) = header.split_once(": ").unwrap();
                request.put(name, value);
            }
            request
        };
        include_str!("version_two/vectors.tsv").lines().map(parse).collect()
    }

    fn named(name: &str) -> Self {
        Self::all().into_iter().find(|request| request.name == name).unwrap()
    }

    fn put(&mut self, name: &str, value: &str) {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
    }

    fn verify_at(&self, now: u64, services: &[&str]) -> Result<Option<Verified>, AuthError> {
        let parts = RequestParts {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            authority: None,
            body: &[],
            host_bucket: self.bucket.as_deref(),
        };
        let region: Region = "us-east-1".parse().unwrap();
        let policy = VerifyPolicy { now: Timestamp::from_seconds(now), region: &region, services };
        match claim(&parts)? {
            Claim::Anonymous => Ok(None),
            Claim::Signed(signed) => {
                assert_eq!((signed.service(), signed.region(), signed.auth_type()), ("s3", None, AuthType::Query));
                signed.check(&parts, &policy)?;
                // Any other key has another secret.
                let secret = if signed.access_key_id() == KEY { SECRET } else { "another" };
                signed.verify(&parts, &Secret::new(secret), &policy, &KeyCache::new()).map(Some)
            }
        }
    }

    fn verify(&self) -> Result<Option<Verified>, AuthError> {
        self.verify_at(NOW, &["s3"])
    }

    fn refusal(&self) -> AuthError {
        self.verify().map(|verified| verified.is_some()).expect_err(&format!("{self:?}"))
    }
}

#[test]
fn what_botocore_presigns() {
    let all = Request::all();
    assert!(all.len() > 20);
    for request in all {
        let verified = request.verify().unwrap_or_else(|error| panic!("{}: {error} {error:?}", request.name)).unwrap();
        assert_eq!(verified.access_key_id(), KEY);
        assert_eq!((verified.auth_type(), verified.signature_version()), (AuthType::Query, "AWS"));
        assert_eq!((verified.signed_at(), verified.age(), verified.content_sha256()), (None, None, None));
        assert!(matches!(verified.payload(), PayloadMode::Unsigned));
        let token = if request.query.contains("token") { Some("FwoG/+token==") } else { None };
        assert_eq!(verified.session_token(), token);
    }
}

/// No byte of a query, path, method or header may be another, unless it says the same in another spelling.
#[test]
fn no_byte_may_change() {
    let mut tried = 0;
    for request in Request::all() {
        for at in 0..request.query.len() {
            for letter in ["x", "7", "%", "&", "=", "+"] {
                let (before, after) = (&request.query[..at], &request.query[at + 1..]);
                let changed = Request { query: format!("{before}{letter}{after}"), ..request.clone() };
                let harmless = request.query[at..].starts_with(letter) || says_the_same(&request.query, &changed.query);
                tried += usize::from(!harmless);
                assert!(harmless || !matches!(changed.verify(), Ok(Some(_))), "{changed:?}");
            }
        }
        for at in 1..request.path.len() {
            let path = format!("{}x{}", &request.path[..at], &request.path[at + 1..]);
            assert!(Request { path, ..request.clone() }.verify().is_err(), "{request:?} {at}");
        }
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE"].into_iter().filter(|method| *method != request.method) {
            assert!(Request { method: method.to_owned(), ..request.clone() }.verify().is_err(), "{request:?}");
        }
        for name in request.headers.keys() {
            let mut changed = request.clone();
            changed.headers.insert(name, HeaderValue::from_static("another"));
            assert!(changed.verify().is_err(), "{changed:?}");
        }
    }
    assert!(tried > 10_000);
}

/// Whether two queries differ in nothing that is signed or acted on.
fn says_the_same(one: &str, other: &str) -> bool {
    let plain = |query: &str| {
        let items = query.split('&').filter(|item| !item.starts_with("encoding-type="));
        items.map(|item| item.replace('+', "%20")).filter(|item| !item.is_empty()).collect::<Vec<_>>()
    };
    plain(one) == plain(other)
}

#[test]
fn headers_added_later() {
    for name in ["get", "put", "put metadata", "copy", "get virtual"] {
        for (header, value) in [("x-amz-acl", "public-read"), ("x-amz-meta-z", ""), ("x-amz-copy-source", "b/other")] {
            let mut changed = Request::named(name);
            changed.put(header, value);
            assert!(changed.verify().is_err(), "{name} {header}");
        }
        // Browsers' and curl's own headers do not matter.
        let mut same = Request::named(name);
        same.put("accept", "*/*");
        same.put("user-agent", "curl");
        same.put("host", "elsewhere");
        assert!(same.verify().is_ok(), "{name}");
        let mut typed = Request::named(name);
        typed.put("content-type", "text/html");
        assert_eq!(typed.refusal().code(), "SignatureDoesNotMatch", "{name}");
    }
    // A header that the query stands for may come too, but not say something else, or twice.
    let mut same = Request::named("put metadata");
    same.put("x-amz-acl", "private");
    assert!(same.verify().is_ok());
    same.put("x-amz-acl", "private");
    assert_eq!(same.refusal().code(), "AccessDenied");
    let mut unsent = Request::named("put typed");
    unsent.headers.clear();
    assert_eq!(unsent.refusal().code(), "SignatureDoesNotMatch");
}

#[test]
fn the_bucket_of_the_host() {
    for (name, bucket) in [("get virtual", None), ("get virtual", Some("other")), ("get", Some("photos"))] {
        let changed = Request { bucket: bucket.map(str::to_owned), ..Request::named(name) };
        assert_eq!(changed.refusal().code(), "SignatureDoesNotMatch", "{name} {bucket:?}");
    }
}

#[test]
fn headers_that_the_query_stands_for() {
    for (name, expected) in [
        ("get", vec![]),
        ("token", vec![("x-amz-security-token", "FwoG/+token==")]),
        ("put metadata", vec![("x-amz-acl", "private"), ("x-amz-meta-a", "1  2"), ("x-amz-meta-b-c", "x,y")]),
    ] {
        let request = Request::named(name);
        let parts = RequestParts {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            authority: None,
            body: &[],
            host_bucket: None,
        };
        let Claim::Signed(signed) = claim(&parts).unwrap() else { panic!("anonymous") };
        let got: Vec<_> =
            signed.headers_in_query().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(got, expected, "{name}");
    }
}

/// A change to a query and what it gets.
type Row = (&'static str, fn(&str) -> String, &'static str, &'static str);

#[test]
fn refusals() {
    const TABLE: &[Row] = &[
        ("no expires", |q| q.replace("&Expires=1767229200", ""), "AccessDenied", "requires the Signature, Expires and"),
        ("no key", |q| q.replace("AWSAccessKeyId=AKIDMILLPOND&", ""), "AccessDenied", "requires the Signature"),
        ("no signature", |q| q.split_once("&Sig").unwrap().0.to_owned() + "&Expires=1", "AccessDenied", "requires the"),
        ("signature alone", |_| "Signature=a".to_owned(), "AccessDenied", "requires the"),
        ("expires twice", |q| format!("{q}&Expires=1767229200"), "AccessDenied", "Expires must be given once"),
        ("signature twice", |q| format!("{q}&%53ignature="), "AccessDenied", "Signature must be given once"),
        ("key twice", |q| format!("{q}&AWSAccessKeyId={KEY}"), "AccessDenied", "must be given once"),
        ("not a number", |q| q.replace("1767229200", "NaN"), "AccessDenied", "Invalid date"),
        ("negative", |q| q.replace("1767229200", "-1767229200"), "AccessDenied", "Invalid date"),
        ("fraction", |q| q.replace("1767229200", "1767229200.5"), "AccessDenied", "Invalid date"),
        ("empty", |q| q.replace("1767229200", ""), "AccessDenied", "Invalid date"),
        ("huge", |q| q.replace("1767229200", "99999999999999999999999"), "AccessDenied", "Invalid date"),
        ("milliseconds", |q| q.replace("1767229200", "1767229200000"), "AccessDenied", "less than a week"),
        ("later", |q| q.replace("1767229200", "1767229201"), "SignatureDoesNotMatch", "does not match"),
        ("other spelling", |q| q.replace("1767229200", "01767229200"), "SignatureDoesNotMatch", "does not match"),
        ("another operation", |q| format!("{q}&acl"), "SignatureDoesNotMatch", "does not match"),
        ("unsigned operation", |q| format!("{q}&attributes"), "AccessDenied", "does not sign"),
        ("unsigned retention", |q| format!("{q}&retention"), "AccessDenied", "does not sign"),
        ("prefix", |q| format!("{q}&prefix=a"), "AccessDenied", "does not sign"),
        ("unknown", |q| format!("{q}&utm_source=a"), "AccessDenied", "does not sign"),
        ("override", |q| format!("{q}&response-content-type=text/html"), "SignatureDoesNotMatch", "does not match"),
        ("acl parameter", |q| format!("{q}&x-amz-acl=public-read"), "SignatureDoesNotMatch", "does not match"),
        ("in capitals", |q| format!("{q}&X-Amz-ACL=public-read"), "SignatureDoesNotMatch", "does not match"),
        ("header twice", |q| format!("{q}&x-amz-acl=a&X-Amz-Acl=a"), "AccessDenied", "given once"),
        ("parameter twice", |q| format!("{q}&versionId=1&versionId=2"), "AccessDenied", "given once"),
        ("forged lines", |q| format!("{q}&x-amz-a=b%0Ax-amz-acl:c"), "AccessDenied", "not valid as one"),
        ("forged name", |q| format!("{q}&x-amz-a:b=c"), "AccessDenied", "not valid as one"),
        ("forged parameter", |q| format!("{q}&response-expires=a%26versionId=1"), "AccessDenied", "reads like another"),
        ("bad escape", |q| format!("{q}&acl=%zz"), "InvalidURI", "parse"),
        ("not text", |q| format!("{q}&acl=%ff"), "InvalidURI", "parse"),
        ("not base64", |q| q.replace("Signature=", "Signature=!"), "SignatureDoesNotMatch", "does not match"),
        ("half a signature", |q| q.replace("%3D", ""), "SignatureDoesNotMatch", "does not match"),
        ("version 4 too", |q| format!("{q}&X-Amz-Signature=1"), "InvalidArgument", "Only one auth mechanism"),
    ];
    for (what, change, code, message) in TABLE {
        let mut request = Request::named("get");
        request.query = change(&request.query);
        let error = request.refusal();
        assert_eq!((error.code(), error.message().contains(message)), (*code, true), "{what}: {error}");
        assert!([400, 403].contains(&error.status()) && !format!("{error:?}{:?}", error.fields()).contains(SECRET));
    }
    let mut both = Request::named("get");
    both.put("authorization", "AWS AKIDMILLPOND:cHeOdznJAhLpE3VJkEk/mkGTS2w=");
    assert_eq!(both.refusal(), AuthError::SeveralMechanisms);
    both.query.clear();
    assert_eq!(both.refusal(), AuthError::UnsupportedMechanism, "by header");
    assert_eq!(Request::named("get").verify_at(NOW, &["sts"]).unwrap_err(), AuthError::UnsupportedMechanism);
    let stranger = Request::named("get").query.replace(KEY, "AKIDSTRANGER");
    let error = Request { query: stranger, ..Request::named("get") }.refusal();
    assert_eq!(error.fields()[0], ("AWSAccessKeyId", "AKIDSTRANGER".to_owned()));
    assert_eq!(error.fields()[1], ("StringToSign", "GET\n\n\n1767229200\n/photos/k".to_owned()));
    assert_eq!(error.fields().len(), 4, "there is no canonical request");
}

#[test]
fn times() {
    let end = NOW + 3600;
    for (name, now, expected) in [
        ("get", NOW, None),
        ("get", end, None),
        ("get", end + 1, Some("Request has expired")),
        ("get", end + 10_000_000, Some("Request has expired")),
        ("get", end - WEEK, None),
        ("get", end - WEEK - SKEW, None),
        ("get", end - WEEK - SKEW - 1, Some("Expires must be less than a week (604800 seconds) ahead")),
        ("a week", NOW, None),
        ("a week", NOW - SKEW, None),
        ("a week", NOW - SKEW - 1, Some("Expires must be less than a week (604800 seconds) ahead")),
    ] {
        let got = Request::named(name).verify_at(now, &["s3"]);
        assert_eq!(got.as_ref().err().map(AuthError::message).as_deref(), expected, "{name} {now}");
        let code = got.err().map(|error| (error.code(), error.status()));
        assert_eq!(code, expected.map(|_| ("AccessDenied", 403)), "{name} {now}");
    }
    let expired = Request::named("get").verify_at(end + 60, &["s3"]).unwrap_err();
    let fields = [("Expires", "2026-01-01T01:00:00Z".to_owned()), ("ServerTime", "2026-01-01T01:01:00Z".to_owned())];
    assert_eq!(expired.fields(), fields);
}

/// `x-amz-content-sha256` is a signed header as any other, and is not ignored.
#[test]
fn bodies() {
    let signer = Signer::new(KEY, SECRET, "us-east-1", "s3");
    for (value, expected) in [
        ("UNSIGNED-PAYLOAD", Ok("Unsigned")),
        ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Ok("Sha256")),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Ok("Chunked")),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", Err("InvalidArgument")),
        ("abc", Err("InvalidArgument")),
    ] {
        let mut request = Request::named("put");
        request.put("x-amz-content-sha256", value);
        assert!(!matches!(request.verify(), Ok(Some(_))), "not signed");
        let end = NOW + 60;
        let text = format!("PUT\n\n\n{end}\nx-amz-content-sha256:{value}\n/photos/k");
        request.query = signer.presign_version_two(&text, end);
        let got = request.verify().map(|verified| match verified.unwrap().payload() {
            PayloadMode::Unsigned => "Unsigned",
            PayloadMode::Sha256(_) => "Sha256",
            PayloadMode::Chunked { .. } => "Chunked",
        });
        assert_eq!(got.map_err(|error| error.code()), expected, "{value}");
    }
}
