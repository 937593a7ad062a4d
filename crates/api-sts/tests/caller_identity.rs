//! The query protocol on a real service.
// A test may panic; clippy excuses only functions marked as tests.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::{HeaderMap, Method};
use millpond_api_sts::{GetCallerIdentityInput, GetCallerIdentityOutput, Operation, VERSION, route};
use millpond_wire::{FormPairs, QueryPairs, RequestView, Route};

#[test]
fn operations_are_found_by_action() {
    for (action, expected) in [
        ("GetCallerIdentity", Route::Served(Operation::GetCallerIdentity)),
        ("AssumeRole", Route::Served(Operation::AssumeRole)),
        ("AssumeRoleWithSAML", Route::Unserved("AssumeRoleWithSAML")),
        ("getcalleridentity", Route::Unknown),
        ("", Route::Unknown),
    ] {
        assert_eq!(route(action), expected, "{action}");
    }
}

#[test]
fn a_request_is_read_and_answered() {
    let body = Bytes::from_static(b"Action=GetCallerIdentity&Version=2011-06-15");
    let form = FormPairs::parse(&body).unwrap();
    assert_eq!(form.get("Version"), Some(VERSION));
    assert!(GetCallerIdentityInput::parse_form(&form).is_ok());
    let (query, headers) = (QueryPairs::default(), HeaderMap::new());
    let request = RequestView {
        method: &Method::POST,
        bucket: None,
        key: None,
        labels: &[],
        query: &query,
        headers: &headers,
        body: &body,
    };
    assert!(GetCallerIdentityInput::parse(&request).is_ok());
    let output = GetCallerIdentityOutput {
        user_id: Some("123456789012".into()),
        account: Some("123456789012".into()),
        arn: Some("arn:aws:iam::123456789012:root".into()),
    };
    let response = output.write("01234567-89ab-cdef-0123-456789abcdef");
    assert_eq!(response.headers["content-type"], "text/xml");
    assert_eq!(
        response.body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/\
         2011-06-15/\"><GetCallerIdentityResult><UserId>123456789012</UserId><Account>123456789012</Account><Arn>\
         arn:aws:iam::123456789012:root</Arn></GetCallerIdentityResult><ResponseMetadata><RequestId>\
         01234567-89ab-cdef-0123-456789abcdef</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
}
