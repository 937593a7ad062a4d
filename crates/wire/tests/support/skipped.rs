//! Vectors that make no sense turned around, each with the reason.

const ROOT: &str = "the vector's model does not tell the root element (botocore leaves it out as well)";
const COMPRESSED: &str = "the client compresses the body, which the vector does not show";
const TOKEN: &str = "the client makes up an idempotency token";
const PRECEDENCE: &str = "the client drops an entry before it sends";
const REPEATED: &str = "the map repeats parameters that other members have taken; here it holds the others alone";
const EMPTY: &str = "nothing and an empty structure are the same document";
const UNKNOWN: &str = "the response has members that the model does not know, for the client to ignore";
const EDGE: &str = "the edge sets the header, or it belongs to requests";
const ERROR_HEADER: &str = "errors have no header members here; a service adds such headers to the response";

/// Protocol, direction, vector, reason.
pub const SKIPPED: &[(&str, &str, &str, &str)] = &[
    ("rest-xml", "input", "BodyWithXmlName", ROOT),
    ("rest-xml", "input", "RestXmlHttpPayloadWithUnion", ROOT),
    ("rest-xml", "input", "HttpPayloadWithXmlName", ROOT),
    ("rest-xml", "input", "HttpPayloadWithXmlNamespace", ROOT),
    ("rest-xml", "input", "HttpPayloadWithXmlNamespaceAndPrefix", ROOT),
    ("rest-xml", "input", "XmlAttributesOnPayload", ROOT),
    ("rest-xml", "input", "SDKAppliedContentEncoding_restXml", COMPRESSED),
    ("rest-xml", "input", "SDKAppendedGzipAfterProvidedEncoding_restXml", COMPRESSED),
    ("rest-xml", "input", "QueryIdempotencyTokenAutoFill", TOKEN),
    ("rest-xml", "input", "RestXmlQueryPrecedence", PRECEDENCE),
    ("rest-json", "input", "RestJsonAllQueryStringTypes", REPEATED),
    ("rest-json", "input", "RestJsonQueryStringEscaping", REPEATED),
    ("rest-json", "input", "RestJsonSupportsNaNFloatQueryValues", REPEATED),
    ("rest-json", "input", "RestJsonSupportsInfinityFloatQueryValues", REPEATED),
    ("rest-json", "input", "RestJsonSupportsNegativeInfinityFloatQueryValues", REPEATED),
    ("rest-json", "input", "RestJsonZeroAndFalseQueryValues", REPEATED),
    ("rest-json", "input", "RestJsonHostWithPath", "the path begins with that of the client's endpoint"),
    ("rest-json", "input", "SDKAppliedContentEncoding_restJson1", COMPRESSED),
    ("rest-json", "input", "SDKAppendedGzipAfterProvidedEncoding_restJson1", COMPRESSED),
    ("rest-json", "input", "RestJsonQueryIdempotencyTokenAutoFill", TOKEN),
    ("rest-json", "input", "RestJsonQueryPrecedence", PRECEDENCE),
    ("rest-json", "input", "RestJsonHttpWithEmptyStructurePayload", EMPTY),
    ("rest-json", "input", "RestJsonHttpWithHeadersButNoPayload", EMPTY),
    ("json", "input", "SDKAppliedContentEncoding_awsJson1_1", COMPRESSED),
    ("json", "input", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1", COMPRESSED),
    ("json_1_0", "input", "SDKAppliedContentEncoding_awsJson1_0", COMPRESSED),
    ("json_1_0", "input", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0", COMPRESSED),
    ("query", "input", "SDKAppliedContentEncoding_awsQuery", COMPRESSED),
    ("query", "input", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery", COMPRESSED),
    ("query", "input", "QueryProtocolIdempotencyTokenAutoFill", TOKEN),
    ("rest-xml", "output", "InvalidGreetingError", UNKNOWN),
    ("rest-xml", "output", "ComplexError", ERROR_HEADER),
    ("rest-xml", "output", "RestXmlHttpPayloadWithUnion", ROOT),
    ("rest-xml", "output", "HttpPayloadWithXmlName", ROOT),
    ("rest-xml", "output", "HttpPayloadWithXmlNamespace", ROOT),
    ("rest-xml", "output", "HttpPayloadWithXmlNamespaceAndPrefix", ROOT),
    ("rest-json", "output", "RestJsonComplexErrorWithNoMessage", ERROR_HEADER),
    ("rest-json", "output", "RestJsonDeserializeIgnoreType", UNKNOWN),
    ("json", "output", "handles_unexpected_json_output", UNKNOWN),
    ("json", "output", "AwsJson11IntEnums", EDGE),
    ("json", "output", "AwsJson11DeserializeIgnoreType", UNKNOWN),
    ("json", "output", "parses_the_request_id_from_the_response", EDGE),
    ("json_1_0", "output", "AwsJson10DeserializeIgnoreType", UNKNOWN),
    ("json_1_0", "output", "AwsJson10HandlesUnexpectedJsonOutput", UNKNOWN),
    ("query", "output", "QueryXmlNamespaces", "the model declares a namespace on a member that the response lacks"),
];

/// Why a vector is skipped, if it is.
pub fn reason(protocol: &str, direction: &str, id: &str) -> Option<&'static str> {
    let found = SKIPPED.iter().find(|skip| (skip.0, skip.1, skip.2) == (protocol, direction, id));
    found.map(|skip| skip.3)
}
