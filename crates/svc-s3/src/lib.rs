//! svc-s3
