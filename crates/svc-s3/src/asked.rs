//! The condition keys that come from a request's headers, its signature and its connection
//! (Service Authorization Reference, "Condition keys for Amazon S3"). They are made only when a policy is to be evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_kernel::{Access, AuthType, Caller, Context, ContextValue, Principal, RequestHead};
use millpond_lake::Tags;

/// Headers that become keys of writes, each as it was sent: without the header there is no key.
const WRITE_HEADERS: [&str; 6] = [
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-metadata-directive",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];
/// The conditions of writes and deletes.
const CONDITIONS: [&str; 2] = ["if-match", "if-none-match"];
/// Headers that become keys of whatever sets an ACL.
const ACL_HEADERS: [&str; 6] = [
    "x-amz-acl",
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write",
    "x-amz-grant-write-acp",
];

/// What a request says besides its input. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Asked {
    head: Arc<RequestHead>,
    caller: Arc<Caller>,
    /// The keys of the upload that it belongs to.
    upload: Option<Arc<BTreeMap<String, String>>>,
}

impl Asked {
    /// Of a request.
    pub fn new(head: Arc<RequestHead>, caller: Arc<Caller>) -> Self {
        Self { head, caller, upload: None }
    }

    /// The same request, which goes on with an upload that began with these keys.
    #[must_use]
    pub fn within_upload(self, keys: BTreeMap<String, String>) -> Self {
        Self { upload: Some(Arc::new(keys)), ..self }
    }

    /// Whether it has headers of an ACL, which need a permission of their own. The policies that AWS asks for where its services deliver logs grant
    /// `s3:PutObject` alone, on condition of that ACL which gives the object to the bucket's owner.
    pub fn sets_acl(&self) -> bool {
        let delivers = matches!(self.caller.principal(), Principal::Service { .. })
            && self.header("x-amz-acl") == Some("bucket-owner-full-control");
        crate::acl::is_asked_for(&self.head.headers) && !delivers
    }

    /// Adds the keys for an access.
    pub fn keys(&self, access: &Access, context: &mut Context) {
        context.text("s3:ResourceAccount", access.resource.owner.as_str());
        self.common(context);
        let action = access.action.strip_prefix("s3:").unwrap_or(access.action);
        match action {
            "PutObject" => {
                self.headers(&CONDITIONS, context);
                self.of_object(context);
                if let Some(source) = self.header("x-amz-copy-source").and_then(copy_source) {
                    context.text("s3:x-amz-copy-source", source);
                }
            }
            "DeleteObject" | "DeleteObjectVersion" => self.headers(&["if-match"], context),
            "PutObjectAcl" | "PutObjectVersionAcl" | "PutBucketAcl" => self.headers(&ACL_HEADERS, context),
            "CreateBucket" => {
                self.headers(&ACL_HEADERS, context);
                self.headers(&["x-amz-object-ownership"], context);
            }
            _ => {}
        }
    }

    /// What a write says of the object: its own headers, or those that its upload began with.
    fn of_object(&self, context: &mut Context) {
        match &self.upload {
            Some(keys) => keys.iter().for_each(|(key, value)| context.text(key.clone(), value.clone())),
            None => {
                self.headers(&WRITE_HEADERS, context);
                self.headers(&ACL_HEADERS, context);
            }
        }
    }

    /// The keys that every action has.
    fn common(&self, context: &mut Context) {
        let auth = match self.caller.auth() {
            AuthType::Header => Some("REST-HEADER"),
            AuthType::Query => Some("REST-QUERY-STRING"),
            AuthType::None => None,
        };
        if let Some(auth) = auth {
            context.text("s3:authType", auth);
        }
        if let Some(signed) = self.caller.signed() {
            context.text("s3:signatureversion", signed.version);
        }
        if let Some(age) = self.caller.signature_age() {
            context.set("s3:signatureAge", ContextValue::Number(age.as_millis() as f64));
        }
        if let Some(version) = self.caller.transport().tls_version.and_then(|version| version.parse().ok()) {
            context.set("s3:TlsVersion", ContextValue::Number(version));
        }
        self.headers(&["x-amz-content-sha256"], context);
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).map(|value| value.to_str().unwrap_or_default())
    }

    fn headers(&self, names: &[&'static str], context: &mut Context) {
        for name in names {
            if let Some(value) = self.header(name) {
                context.text(format!("s3:{name}"), value);
            }
        }
    }

    /// The keys of this request that belong to an upload as a whole: its parts and its completion are decided with them too.
    pub fn upload_keys(&self) -> BTreeMap<String, String> {
        let named = WRITE_HEADERS.iter().chain(&ACL_HEADERS);
        named.filter_map(|name| Some((format!("s3:{name}"), self.header(name)?.to_owned()))).collect()
    }
}

/// `bucket/key` of a copy's source, decoded and without a version, so that no spelling of it escapes a condition.
fn copy_source(header: &str) -> Option<String> {
    let path = header.split_once('?').map_or(header, |(path, _)| path);
    let path = crate::address::decode(path)?;
    Some(path.strip_prefix('/').unwrap_or(&path).to_owned())
}

/// The keys of tags that a request brings.
pub fn request_tags(tags: &Tags, context: &mut Context) {
    for (key, value) in tags {
        context.text(format!("s3:RequestObjectTag/{key}"), value.clone());
    }
    if !tags.is_empty() {
        context.set("s3:RequestObjectTagKeys", ContextValue::Many(tags.keys().cloned().collect()));
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, Method};
    use millpond_kernel::{Principal, Resource, testing};
    use millpond_types::Arn;

    use super::*;

    #[test]
    fn keys_are_where_the_reference_says() {
        let all = [
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-acl", "private"),
            ("x-amz-grant-read", "id=1"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-copy-source", "/b/a%20b?versionId=1"),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("if-match", "\"e\""),
            ("x-amz-meta-a", "b"),
        ];
        let headers: HeaderMap =
            all.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        let (path, query) = ("/b/k".to_owned(), String::new());
        let head = RequestHead { method: Method::PUT, path, query, headers, host_bucket: None };
        let caller = testing::caller(Principal::Root("111122223333".parse().unwrap()));
        let asked = Asked::new(Arc::new(head), Arc::new(caller));
        for (action, expected) in [
            (
                "s3:PutObject",
                vec![
                    "s3:ResourceAccount=111122223333",
                    "s3:authType=REST-HEADER",
                    "s3:x-amz-content-sha256=UNSIGNED-PAYLOAD",
                    "s3:if-match=\"e\"",
                    "s3:x-amz-server-side-encryption=aws:kms",
                    "s3:x-amz-storage-class=STANDARD_IA",
                    "s3:x-amz-acl=private",
                    "s3:x-amz-grant-read=id=1",
                    "s3:x-amz-copy-source=b/a b",
                ],
            ),
            (
                "s3:GetObject",
                vec![
                    "s3:ResourceAccount=111122223333",
                    "s3:authType=REST-HEADER",
                    "s3:x-amz-content-sha256=UNSIGNED-PAYLOAD",
                ],
            ),
            (
                "s3:PutBucketAcl",
                vec![
                    "s3:ResourceAccount=111122223333",
                    "s3:authType=REST-HEADER",
                    "s3:x-amz-content-sha256=UNSIGNED-PAYLOAD",
                    "s3:x-amz-acl=private",
                    "s3:x-amz-grant-read=id=1",
                ],
            ),
        ] {
            let mut context = Context::default();
            let resource = Resource::new(Arn::s3("b", Some("k")), "111122223333".parse().unwrap());
            asked.keys(&Access { action, resource }, &mut context);
            let found: Vec<_> =
                context.iter().map(|(key, value)| format!("{key}={}", value.texts().join(","))).collect();
            assert_eq!(found, expected, "{action}");
        }
    }
}
