//! What each fuzz target does with an input: it must neither panic nor hang, and nothing a stranger made may be believed. Shared by
//! the libFuzzer targets and by the test that replays their corpora.

// Each libFuzzer target uses one of them.
#![allow(dead_code)]

use bytes::Bytes;
use http::{HeaderMap, Method};
use millpond_api_s3 as s3;
use millpond_wire::{QueryPairs, RequestView};

/// An `Authorization` header.
pub fn authorization(data: &[u8]) {
    assert!(!millpond_auth::fuzz::authorization(data), "a signature without the secret was accepted");
}

/// The query of a presigned request, by Signature Version 4 or 2.
pub fn presigned(data: &[u8]) {
    assert!(!millpond_auth::fuzz::presigned(data), "a signature without the secret was accepted");
}

/// A body in `aws-chunked` form, behind four bytes that choose how it is signed, declared and cut.
pub fn chunked(data: &[u8]) {
    if let Some(decoded) = millpond_auth::fuzz::chunked(data) {
        assert_eq!(data[0] & 1, 0, "chunks were accepted whose signatures nobody could make");
        assert_eq!(decoded.len(), usize::from(u16::from_le_bytes([data[1], data[2]])), "not as long as declared");
    }
}

/// A document, as itself and as the body of every operation that takes one.
pub fn xml(data: &[u8]) {
    millpond_wire::fuzz::xml(data);
    let Ok(query) = QueryPairs::parse("") else { return };
    let (headers, body) = (HeaderMap::new(), Bytes::copy_from_slice(data));
    let view = RequestView { body: &body, ..request(&query, &headers, &body) };
    let _ = s3::DeleteObjectsInput::parse(&view);
    let _ = s3::CompleteMultipartUploadInput::parse(&view);
    let _ = s3::CreateBucketInput::parse(&view);
    let _ = s3::PutObjectTaggingInput::parse(&view);
    let _ = s3::PutBucketVersioningInput::parse(&view);
    let _ = s3::PutObjectAclInput::parse(&view);
}

/// A query string, routed and read by every operation that lists; and the same bytes as a form and as JSON.
pub fn list_parameters(data: &[u8]) {
    millpond_wire::fuzz::pairs(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(query) = QueryPairs::parse(text) else { return };
    let (headers, body) = (HeaderMap::new(), Bytes::new());
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE] {
        for (bucket, key) in [(false, false), (true, false), (true, true)] {
            let _ = s3::route(&method, bucket, key, &query, &headers);
        }
    }
    let view = request(&query, &headers, &body);
    let _ = s3::ListBucketsInput::parse(&view);
    let _ = s3::ListObjectsInput::parse(&view);
    let _ = s3::ListObjectVersionsInput::parse(&view);
    let _ = s3::ListMultipartUploadsInput::parse(&view);
    let _ = s3::ListPartsInput::parse(&view);
    let _ = s3::GetObjectInput::parse(&view);
    if let Ok(list) = s3::ListObjectsV2Input::parse(&view) {
        // What was read is what was sent.
        assert_eq!(list.prefix.as_deref(), query.get("prefix"), "the prefix");
        assert_eq!(list.max_keys.is_some(), query.has("max-keys"), "max-keys");
    }
}

fn request<'a>(query: &'a QueryPairs<'a>, headers: &'a HeaderMap, body: &'a Bytes) -> RequestView<'a> {
    RequestView { method: &Method::GET, bucket: Some("bucket"), key: Some("key"), labels: &[], query, headers, body }
}

/// A policy document.
pub fn policy(data: &[u8]) {
    millpond_policy::fuzz::document(data);
}

/// An event pattern, and as a filter policy; an event may follow on the next line.
pub fn event_pattern(data: &[u8]) {
    millpond_pattern::fuzz::pattern(data);
}

/// An event, and as an attribute of a message.
pub fn event(data: &[u8]) {
    millpond_pattern::fuzz::event(data);
}

/// An ARN.
pub fn arn(data: &[u8]) {
    millpond_policy::fuzz::arn(data);
}

/// An access key id and a session token, parted by a line break; and the same bytes as what lies inside a token.
pub fn session_token(data: &[u8]) {
    assert!(!millpond_svc_iam::fuzz::token(data), "a token that nobody sealed was believed");
}

/// A path, a template and an event, each on a line of its own.
pub fn template(data: &[u8]) {
    millpond_svc_events::fuzz::template(data);
}

/// A schedule's expression.
pub fn schedule(data: &[u8]) {
    millpond_schedule::fuzz::expression(data);
}

/// The archive of a function.
pub fn zip(data: &[u8]) {
    millpond_svc_lambda::fuzz::zip(data);
}

/// A pattern of log events and a message, parted by a line break.
pub fn log_filter(data: &[u8]) {
    millpond_svc_logs::filter::fuzz(data);
}

/// An expression over items, as one of every kind; an item as JSON may follow on the next line.
pub fn expression(data: &[u8]) {
    millpond_item::fuzz::expression(data);
}

/// An item as JSON, and as a row.
pub fn item(data: &[u8]) {
    millpond_item::fuzz::item(data);
}

/// A statement about tables.
pub fn table_statement(data: &[u8]) {
    millpond_hive::fuzz::statement(data);
}

/// A pattern of rows and a row, parted by a line break.
pub fn row_pattern(data: &[u8]) {
    millpond_hive::fuzz::row_pattern(data);
}

/// An expression over partitions.
pub fn partition_expression(data: &[u8]) {
    millpond_hive::fuzz::partition_expression(data);
}

/// A file that names objects.
pub fn links(data: &[u8]) {
    millpond_hive::fuzz::links(data);
}

/// A compressed object.
pub fn compressed(data: &[u8]) {
    millpond_hive::fuzz::compressed(data);
}
