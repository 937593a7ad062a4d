//! api-s3
