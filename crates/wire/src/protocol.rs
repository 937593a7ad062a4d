//! The protocols that AWS services speak.

/// A protocol (botocore service model, `metadata.protocol`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// XML bodies, members in path, query and headers: S3.
    RestXml,
    /// JSON bodies, members in path, query and headers: Lambda.
    RestJson,
    /// JSON bodies of type `application/x-amz-json-1.0`, the operation in `X-Amz-Target`: SQS, DynamoDB.
    Json10,
    /// JSON bodies of type `application/x-amz-json-1.1`, the operation in `X-Amz-Target`: KMS, EventBridge.
    Json11,
    /// Form bodies in, XML bodies out: STS, IAM.
    Query,
}
