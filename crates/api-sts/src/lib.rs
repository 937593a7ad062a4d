//! api-sts
