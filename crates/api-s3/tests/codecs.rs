//! Requests as S3 clients send them, responses as S3 clients expect them.
// A test may panic; clippy excuses only functions marked as tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use millpond_api_s3::*;
use millpond_types::Timestamp;
use millpond_wire::{ErrorKind, Location, ParseError, QueryPairs, RequestView};

/// Reads an input of `/bucket/key` with this query, these headers and this body.
fn read<T>(
    parse: fn(&RequestView<'_>) -> Result<T, ParseError>,
    query: &str,
    headers: &[(&'static str, &[u8])],
    body: &str,
) -> Result<T, ParseError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
    }
    let query = QueryPairs::parse(query).unwrap();
    let body = Bytes::copy_from_slice(body.as_bytes());
    parse(&RequestView {
        method: &Method::PUT,
        bucket: Some("bucket"),
        key: Some("dir/key ü"),
        labels: &[],
        query: &query,
        headers: &map,
        body: &body,
    })
}

const PROLOGUE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const NAMESPACE: &str = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
const TIME: Timestamp = Timestamp(1_255_369_850_000_000_000);

fn body(response: &millpond_wire::ResponseParts) -> String {
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    text.strip_prefix(PROLOGUE).unwrap_or(&text).replace(NAMESPACE, "NS")
}

#[test]
fn put_object_takes_everything_from_path_and_headers() {
    let input = read(
        PutObjectInput::parse,
        "x-id=PutObject",
        &[
            ("content-type", b"text/plain"),
            ("content-length", b"11"),
            ("content-md5", b"XrY7u+Ae7tCTyyK7j1rNww=="),
            ("x-amz-meta-colour", "grün".as_bytes()),
            ("x-amz-meta-old", b"gr\xfcn"),
            ("x-amz-storage-class", b"STANDARD_IA"),
            ("x-amz-acl", b"bucket-owner-full-control"),
            ("x-amz-checksum-crc32", b"sOO8/Q=="),
            ("if-none-match", b"*"),
            ("x-amz-tagging", b"a=1&b=2"),
            ("expires", b"whenever"),
            ("x-amz-object-lock-retain-until-date", b"2030-01-01T00:00:00.000Z"),
        ],
        "",
    )
    .unwrap();
    assert!(PutObjectInput::STREAMING_INPUT && Operation::PutObject.streams_input());
    let metadata = BTreeMap::from([("colour".into(), "grün".into()), ("old".into(), "grün".into())]);
    assert_eq!(
        input,
        PutObjectInput {
            bucket: "bucket".into(),
            key: "dir/key ü".into(),
            content_type: Some("text/plain".into()),
            content_length: Some(11),
            content_md5: Some("XrY7u+Ae7tCTyyK7j1rNww==".into()),
            metadata: Some(metadata),
            storage_class: Some(StorageClass::StandardIa),
            acl: Some(ObjectCannedACL::BucketOwnerFullControl),
            checksum_crc32: Some("sOO8/Q==".into()),
            if_none_match: Some("*".into()),
            tagging: Some("a=1&b=2".into()),
            expires: Some("whenever".into()),
            object_lock_retain_until_date: Some(Timestamp::from_seconds(1_893_456_000)),
            ..PutObjectInput::default()
        }
    );
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let input = PutObjectInput { sse_customer_key: Some("c2VjcmV0".into()), ..PutObjectInput::default() };
    let shown = format!("{input:?}");
    assert!(shown.contains("sse_customer_key: \"***\"") && !shown.contains("c2VjcmV0"), "{shown}");
}

#[test]
fn conditions_with_bad_dates_are_no_conditions() {
    let input = read(GetObjectInput::parse, "", &[("if-modified-since", b"yesterday")], "").unwrap();
    assert_eq!(input.if_modified_since, None);
    let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
    let input = read(GetObjectInput::parse, "", &[("if-modified-since", date)], "").unwrap();
    assert_eq!(input.if_modified_since, Some(Timestamp::from_seconds(784_111_777)));
}

#[test]
fn what_is_out_of_the_model_is_refused_by_name() {
    let error = |result: Result<(), ParseError>| {
        let error = result.unwrap_err();
        (error.member.into_owned(), error.location, error.kind)
    };
    let list = |query| read(ListObjectsV2Input::parse, query, &[], "").map(drop);
    let put = |name, value: &'static [u8]| read(PutObjectInput::parse, "", &[(name, value)], "").map(drop);
    let bad = |value: &str| ErrorKind::BadNumber { value: value.into() };
    let unknown = |value: &str| ErrorKind::BadEnum { value: value.into() };
    for (actual, member, location, kind) in [
        (error(list("list-type=2&max-keys=x")), "max-keys", Location::Query, bad("x")),
        (error(list("list-type=2&max-keys=99999999999")), "max-keys", Location::Query, bad("99999999999")),
        (error(list("list-type=2&max-keys=")), "max-keys", Location::Query, bad("")),
        (error(list("encoding-type=zip")), "encoding-type", Location::Query, unknown("zip")),
        (error(list("prefix=a&prefix=b")), "prefix", Location::Query, ErrorKind::Duplicate),
        (error(put("x-amz-storage-class", b"COLD")), "x-amz-storage-class", Location::Header, unknown("COLD")),
        (error(put("content-length", b"-x")), "content-length", Location::Header, bad("-x")),
        (
            error(read(UploadPartInput::parse, "partNumber=1", &[], "").map(drop)),
            "uploadId",
            Location::Query,
            ErrorKind::Missing,
        ),
        (
            error(read(GetObjectAttributesInput::parse, "attributes", &[], "").map(drop)),
            "x-amz-object-attributes",
            Location::Header,
            ErrorKind::Missing,
        ),
        (
            error(read(ListBucketsInput::parse, "max-buckets=0", &[], "").map(drop)),
            "max-buckets",
            Location::Query,
            ErrorKind::OutOfRange { value: "0".into(), min: Some(1), max: Some(10000) },
        ),
    ] {
        assert_eq!(actual, (member.to_owned(), location, kind));
    }
}

#[test]
fn list_headers_come_in_one_line_or_many() {
    let expected = vec![ObjectAttributes::ETag, ObjectAttributes::Checksum, ObjectAttributes::ObjectSize];
    let name = "x-amz-object-attributes";
    for headers in
        [&[(name, &b"ETag,Checksum, ObjectSize"[..])][..], &[(name, b"ETag"), (name, b"Checksum,ObjectSize")]]
    {
        let input = read(GetObjectAttributesInput::parse, "attributes", headers, "").unwrap();
        assert_eq!(input.object_attributes, expected);
    }
}

#[test]
fn xml_bodies_are_read_with_and_without_namespace() {
    for attribute in ["", " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""] {
        let document = format!(
            "<?xml version=\"1.0\"?>\n<Delete{attribute}>\n  <Object><Key>a &amp; b</Key><VersionId>null</VersionId></Object>\n  \
             <Object><Key> spaced </Key></Object><Quiet>true</Quiet><Unknown><Deep/></Unknown></Delete>"
        );
        let input = read(DeleteObjectsInput::parse, "delete", &[], &document).unwrap();
        assert_eq!(input.delete.quiet, Some(true));
        let keys: Vec<_> = input.delete.objects.iter().map(|o| (o.key.as_str(), o.version_id.as_deref())).collect();
        assert_eq!(keys, [("a & b", Some("null")), (" spaced ", None)]);
    }
    let complete =
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"e\"</ETag></Part></CompleteMultipartUpload>";
    let input = read(CompleteMultipartUploadInput::parse, "uploadId=u", &[], complete).unwrap();
    let part = &input.multipart_upload.unwrap().parts.unwrap()[0];
    assert_eq!((part.part_number, part.etag.as_deref()), (Some(1), Some("\"e\"")));
    let versioning = "<VersioningConfiguration><Status> Enabled\n</Status></VersioningConfiguration>";
    let input = read(PutBucketVersioningInput::parse, "versioning", &[], versioning).unwrap();
    assert_eq!(input.versioning_configuration.status, Some(BucketVersioningStatus::Enabled));
    let create =
        "<CreateBucketConfiguration><LocationConstraint>mars-1</LocationConstraint></CreateBucketConfiguration>";
    let input = read(CreateBucketInput::parse, "", &[], create).unwrap();
    assert_eq!(input.create_bucket_configuration.unwrap().location_constraint.as_deref(), Some("mars-1"));
    assert_eq!(read(CreateBucketInput::parse, "", &[], "").unwrap().create_bucket_configuration, None);
    let acl = "<AccessControlPolicy><AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
               xsi:type=\"CanonicalUser\"><ID>id</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>";
    let input = read(PutBucketAclInput::parse, "acl", &[], acl).unwrap();
    let grant = input.access_control_policy.unwrap().grants.unwrap().remove(0);
    assert_eq!(grant.grantee.unwrap().type_, Type::CanonicalUser);
}

#[test]
fn xml_bodies_that_do_not_fit_are_refused() {
    let delete = |body: &str| read(DeleteObjectsInput::parse, "delete", &[], body).unwrap_err();
    for (document, member, kind) in [
        ("", "Delete", ErrorKind::Missing),
        ("<Delete/>", "Object", ErrorKind::Missing),
        ("<Delete><Object/></Delete>", "Key", ErrorKind::Missing),
        ("<Delete><Object><Key></Key></Object></Delete>", "Key", ErrorKind::TooShort { length: 0, min: 1 }),
        ("<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>", "Key", ErrorKind::Duplicate),
        ("<Delete><Quiet>maybe</Quiet></Delete>", "Quiet", ErrorKind::BadBool { value: "maybe".into() }),
    ] {
        let error = delete(document);
        assert_eq!((error.member.as_ref(), &error.kind), (member, &kind), "{document}");
    }
    for document in ["{}", "<Remove/>", "<Delete>", "<Delete><Object><Key>a</Key></Object></Delete><More/>"] {
        assert!(matches!(delete(document).kind, ErrorKind::MalformedXml { .. }), "{document}");
    }
    let versioning = |status: &str| {
        let document = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        read(PutBucketVersioningInput::parse, "versioning", &[], &document).unwrap_err().kind
    };
    assert_eq!(versioning("enabled"), ErrorKind::BadEnum { value: "enabled".into() });
}

#[test]
fn a_listing_is_written_as_s3_does() {
    let object = |key: &str| Object {
        key: Some(key.into()),
        last_modified: Some(TIME),
        etag: Some("\"fba9dede5f27731c9771645a39863328\"".into()),
        size: Some(434_234),
        storage_class: Some(ObjectStorageClass::Standard),
        ..Object::default()
    };
    let output = ListObjectsV2Output {
        name: Some("bucket".into()),
        prefix: Some("".into()),
        key_count: Some(2),
        max_keys: Some(1000),
        is_truncated: Some(false),
        contents: Some(vec![object("a<b>&\"c\r\n"), object("\u{1}é")]),
        common_prefixes: Some(vec![CommonPrefix { prefix: Some("p/".into()) }]),
        ..ListObjectsV2Output::default()
    };
    let rest = "<LastModified>2009-10-12T17:50:50.000Z</LastModified><ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag>\
                <Size>434234</Size><StorageClass>STANDARD</StorageClass></Contents>";
    let response = output.write();
    assert_eq!(response.headers["content-type"], "application/xml");
    assert_eq!(
        body(&response),
        format!(
            "<ListBucketResult NS><IsTruncated>false</IsTruncated><Contents><Key>a&lt;b&gt;&amp;&quot;c&#13;\n</Key>{rest}\
             <Contents><Key>&#x1;é</Key>{rest}<Name>bucket</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys><CommonPrefixes>\
             <Prefix>p/</Prefix></CommonPrefixes><KeyCount>2</KeyCount></ListBucketResult>"
        )
    );
}

#[test]
fn peculiar_responses() {
    let location =
        |text: Option<&str>| body(&GetBucketLocationOutput { location_constraint: text.map(Into::into) }.write());
    let owner = Owner { id: Some("id".into()), display_name: None };
    let grantee = Grantee {
        id: Some("id".into()),
        type_: Type::CanonicalUser,
        display_name: None,
        email_address: None,
        uri: None,
    };
    let grant = Grant { grantee: Some(grantee), permission: Some(Permission::FullControl) };
    let acl = GetBucketAclOutput { owner: Some(owner), grants: Some(vec![grant]) };
    let copy =
        CopyObjectResult { etag: Some("\"e\"".into()), last_modified: Some(TIME), ..CopyObjectResult::default() };
    let copy = CopyObjectOutput {
        copy_object_result: Some(copy),
        version_id: Some("v".into()),
        ..CopyObjectOutput::default()
    };
    assert_eq!(copy.write().headers["x-amz-version-id"], "v");
    for (actual, expected) in [
        (location(Some("eu-west-1")), "<LocationConstraint NS>eu-west-1</LocationConstraint>"),
        (location(None), "<LocationConstraint NS></LocationConstraint>"),
        (body(&GetBucketVersioningOutput::default().write()), "<VersioningConfiguration NS></VersioningConfiguration>"),
        (
            body(&acl.write()),
            "<AccessControlPolicy NS><Owner><ID>id</ID></Owner><AccessControlList><Grant><Grantee \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>id</ID></Grantee>\
             <Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>",
        ),
        (
            body(&copy.write()),
            "<CopyObjectResult NS><ETag>&quot;e&quot;</ETag><LastModified>2009-10-12T17:50:50.000Z</LastModified></CopyObjectResult>",
        ),
        (
            body(&ListBucketsOutput { buckets: Some(Vec::new()), ..ListBucketsOutput::default() }.write()),
            "<ListAllMyBucketsResult NS><Buckets></Buckets></ListAllMyBucketsResult>",
        ),
        (body(&GetBucketPolicyOutput { policy: Some("{}".into()) }.write()), "{}"),
        (body(&PutObjectTaggingOutput::default().write()), ""),
    ] {
        assert_eq!(actual, expected);
    }
    assert_eq!(DeleteObjectOutput::default().write().status, 204);
}

#[test]
fn headers_of_an_object_are_written() {
    let output = HeadObjectOutput {
        last_modified: Some(TIME),
        content_length: Some(5),
        etag: Some("\"e\"".into()),
        delete_marker: Some(false),
        metadata: Some(BTreeMap::from([("a".into(), "grün".into()), ("b".into(), "x\r\ny".into())])),
        ..HeadObjectOutput::default()
    };
    let response = output.write();
    let header = |name: &str| response.headers[name].as_bytes().to_vec();
    for (name, value) in [
        ("last-modified", "Mon, 12 Oct 2009 17:50:50 GMT"),
        ("content-length", "5"),
        ("etag", "\"e\""),
        ("x-amz-delete-marker", "false"),
        ("x-amz-meta-a", "grün"),
        ("x-amz-meta-b", "x  y"),
    ] {
        assert_eq!(header(name), value.as_bytes(), "{name}");
    }
    assert!(response.body.is_empty() && !response.headers.contains_key("content-type"));
}
