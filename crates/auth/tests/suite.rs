//! AWS's own suite, turned around: the server accepts each signed request, and none of its bytes may change.

// Helpers of tests may fail the test.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};
use millpond_auth::{AmzDate, AuthError, Claim, KeyCache, RequestParts, Secret, VerifyPolicy, claim};
use millpond_types::Region;

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// A raw request of the suite, parsed as leniently as its authors wrote it: spaces in paths, folded headers.
#[derive(Clone, Debug)]
struct Raw {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: String,
}

impl Raw {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let first = lines.next().unwrap().strip_suffix(" HTTP/1.1").unwrap();
        let (method, target) = first.split_once(' ').unwrap();
        let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
        for line in lines {
            if line.starts_with(' ') {
                let last = &mut headers.last_mut().unwrap().1;
                last.push(b' ');
                last.extend(line.bytes());
            } else {
                let (name, value) = line.split_once(':').unwrap();
                headers.push((name.to_owned(), value.as_bytes().to_vec()));
            }
        }
        Self { method: method.into(), target: target.into(), headers, body: body.into() }
    }

    /// What the server says of it.
    fn verify(&self) -> Result<(), AuthError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let body = self.body.as_bytes();
        let parts = RequestParts {
            method: &self.method,
            path,
            query,
            headers: &headers,
            authority: None,
            body,
            host_bucket: None,
        };
        let region: Region = "us-east-1".parse().unwrap();
        let now = AmzDate::parse("20150830T123600Z").unwrap().time();
        let policy = VerifyPolicy { now, region: &region, services: &["service"] };
        let Claim::Signed(signed) = claim(&parts)? else { panic!("anonymous: {self:?}") };
        if signed.access_key_id() != ACCESS_KEY {
            return Err(AuthError::UnknownAccessKey(signed.access_key_id().into()));
        }
        let verified = signed.verify(&parts, &Secret::new(SECRET_KEY), &policy, &KeyCache::new())?;
        assert_eq!(verified.access_key_id(), ACCESS_KEY);
        Ok(())
    }
}

fn cases(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            cases(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sreq") {
            found.push(path);
        }
    }
}

fn all() -> Vec<(String, Raw, PathBuf)> {
    let mut found = Vec::new();
    cases(Path::new("tests/aws4_testsuite"), &mut found);
    found.sort();
    assert_eq!(found.len(), 34, "the suite is not whole");
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut raw = Raw::parse(&std::fs::read_to_string(&path).unwrap());
        // The signature of the .authz file is the suite's word; one .sreq carries an older one.
        let authz = std::fs::read_to_string(path.with_extension("authz")).unwrap();
        raw.headers.last_mut().unwrap().1 = authz.trim_ascii().as_bytes().to_vec();
        (name, raw, path)
    };
    found.into_iter().map(read).collect()
}

/// Signed before the token was added. We refuse what is not signed (README, security rules), so this one case is turned down.
const UNSIGNED_TOKEN: &str = "post-sts-header-after";

#[test]
fn signed_requests_are_accepted() {
    for (name, raw, _) in all() {
        let result = raw.verify();
        if name == UNSIGNED_TOKEN {
            assert_eq!(result, Err(AuthError::HeadersNotSigned(vec!["x-amz-security-token".into()])));
        } else {
            assert_eq!(result, Ok(()), "{name}");
        }
    }
}

/// With a broken signature the error shows the string to sign and the canonical request: the suite's own.
#[test]
fn canonical_requests_and_strings_to_sign() {
    for (name, mut raw, path) in all() {
        if name == UNSIGNED_TOKEN {
            continue;
        }
        let authorization = &mut raw.headers.last_mut().unwrap().1;
        let length = authorization.len();
        authorization[length - 64..].fill(b'0');
        let Err(AuthError::SignatureMismatch(mismatch)) = raw.verify() else { panic!("{name} was accepted") };
        let read = |extension: &str| std::fs::read_to_string(path.with_extension(extension)).unwrap();
        assert_eq!(String::from_utf8_lossy(mismatch.canonical_request.as_ref().unwrap()), read("creq"), "{name}");
        assert_eq!(mismatch.string_to_sign, read("sts"), "{name}");
    }
}

/// Each byte of the method, target, header values and body in turn becomes another one.
#[test]
fn no_byte_may_change() {
    let mut changed = 0;
    for (name, raw, _) in all().into_iter().filter(|(name, ..)| name != UNSIGNED_TOKEN) {
        let refused = |copy: Raw, what: &str| assert!(copy.verify().is_err(), "{name}: {what} in {copy:?}");
        for letter in ['x', 'y', '0', '%'] {
            let swaps = |text: &str| -> Vec<String> {
                text.char_indices()
                    .filter(|(_, c)| *c != letter)
                    .map(|(at, c)| format!("{}{letter}{}", &text[..at], &text[at + c.len_utf8()..]))
                    .collect()
            };
            for method in swaps(&raw.method) {
                refused(Raw { method, ..raw.clone() }, "method");
                changed += 1;
            }
            // `/a/..` is `/` to SigV4 whatever `a` is, so bytes of it may change there (never on S3, whose paths are not normalized).
            for target in swaps(&raw.target).into_iter().filter(|_| !raw.target.contains("..")) {
                refused(Raw { target, ..raw.clone() }, "target");
                changed += 1;
            }
            for body in swaps(&raw.body) {
                refused(Raw { body, ..raw.clone() }, "body");
                changed += 1;
            }
            for index in 0..raw.headers.len() {
                for value in swaps(std::str::from_utf8(&raw.headers[index].1).unwrap()) {
                    let mut copy = raw.clone();
                    copy.headers[index].1 = value.into_bytes();
                    refused(copy, &raw.headers[index].0);
                    changed += 1;
                }
            }
        }
        for index in 0..raw.headers.len() {
            let mut copy = raw.clone();
            let (gone, _) = copy.headers.remove(index);
            if gone != "Authorization" {
                refused(copy, &gone);
            }
        }
    }
    assert!(changed > 10_000, "{changed}");
}
