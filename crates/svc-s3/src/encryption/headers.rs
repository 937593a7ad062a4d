//! What a request's headers say of encryption (S3 User Guide, "Protecting data with encryption").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use millpond_digest::Md5;
use millpond_kernel::{EncryptionContext, ServiceError, Transport};
use millpond_seal::Key;
use zeroize::Zeroizing;

use crate::errors;

const METHOD: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
/// The largest encryption context, as JSON: it is kept with every object that is bound to it.
const MAX_CONTEXT: usize = 8 * 1024;

/// The three headers of a key that the client sends.
pub struct KeyHeaders {
    algorithm: &'static str,
    key: &'static str,
    md5: &'static str,
}

/// Those for the object that is read or written.
pub const OBJECT: KeyHeaders = KeyHeaders {
    algorithm: "x-amz-server-side-encryption-customer-algorithm",
    key: "x-amz-server-side-encryption-customer-key",
    md5: "x-amz-server-side-encryption-customer-key-md5",
};
/// Those for the object that is copied.
pub const COPY_SOURCE: KeyHeaders = KeyHeaders {
    algorithm: "x-amz-copy-source-server-side-encryption-customer-algorithm",
    key: "x-amz-copy-source-server-side-encryption-customer-key",
    md5: "x-amz-copy-source-server-side-encryption-customer-key-md5",
};

/// A key that the client sent (SSE-C). Neither it nor its MD5 is kept.
#[derive(Clone, Debug)]
pub struct CustomerKey {
    pub key: Key,
    /// In base64, as answers repeat it.
    pub md5: String,
}

/// How a write asks for its object to be encrypted.
#[derive(Clone, Debug)]
pub enum Asked {
    /// As the bucket says; `bucket_key` where the request has its own word on that.
    Default { bucket_key: Option<bool> },
    /// SSE-S3.
    Server,
    /// SSE-KMS.
    Kms {
        /// The key, by id, alias or ARN; `None` for the account's own for S3.
        key: Option<String>,
        bucket_key: Option<bool>,
        /// What the client adds to the encryption context.
        context: EncryptionContext,
    },
    /// SSE-C.
    Customer(CustomerKey),
}

impl Asked {
    /// Reads the headers of a write.
    pub fn of(headers: &HeaderMap, transport: &Transport) -> Result<Self, ServiceError> {
        let customer = customer_key(headers, &OBJECT, transport)?;
        let method = text(headers, METHOD)?;
        let bucket_key = flag(headers)?;
        let (key, context) = (text(headers, KMS_KEY)?, text(headers, CONTEXT)?);
        if method != Some("aws:kms") && (key.is_some() || context.is_some()) {
            return Err(errors::invalid_argument(
                METHOD,
                method,
                "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms",
            ));
        }
        match (method, customer) {
            (None, None) => Ok(Self::Default { bucket_key }),
            (None, Some(_)) | (Some("AES256"), None) if bucket_key == Some(true) => {
                Err(errors::invalid_argument(BUCKET_KEY, Some("true"), "A bucket key is for encryption with aws:kms."))
            }
            (None, Some(customer)) => Ok(Self::Customer(customer)),
            (Some(_), Some(_)) => Err(errors::invalid_argument(
                METHOD,
                method,
                "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
            )),
            (Some("AES256"), None) => Ok(Self::Server),
            (Some("aws:kms"), None) => {
                Ok(Self::Kms { key: key.map(str::to_owned), bucket_key, context: context_of(context)? })
            }
            (Some(other @ ("aws:kms:dsse" | "aws:fsx" | "aws:backup")), None) => {
                Err(ServiceError::not_implemented(&format!("The encryption method {other}")))
            }
            (Some(other), None) => Err(unknown_method(other)),
        }
    }

    /// The client's key.
    pub fn customer(&self) -> Option<&CustomerKey> {
        match self {
            Self::Customer(customer) => Some(customer),
            _ => None,
        }
    }

    /// Whether the headers say anything, so that a copy onto itself changes something.
    pub fn is_explicit(&self) -> bool {
        !matches!(self, Self::Default { bucket_key: None })
    }
}

/// 400 for a method that does not exist.
pub fn unknown_method(method: &str) -> ServiceError {
    errors::invalid_argument(METHOD, Some(method), "The encryption method specified is not supported")
}

fn flag(headers: &HeaderMap) -> Result<Option<bool>, ServiceError> {
    match text(headers, BUCKET_KEY)? {
        None => Ok(None),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(value) => Err(errors::invalid_argument(BUCKET_KEY, Some(value), "The value is true or false.")),
    }
}

/// The pairs of an encryption context: base64 of a JSON object of strings.
fn context_of(header: Option<&str>) -> Result<EncryptionContext, ServiceError> {
    let Some(header) = header else { return Ok(EncryptionContext::new()) };
    let json = STANDARD.decode(header).ok().filter(|json| json.len() <= MAX_CONTEXT);
    json.and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(|| {
        errors::invalid_argument(
            CONTEXT,
            None,
            "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a \
             string-string map",
        )
    })
}

/// The key that a client sends along, where it does: all three headers, over a connection that nobody can listen to.
pub fn customer_key(
    headers: &HeaderMap,
    names: &KeyHeaders,
    transport: &Transport,
) -> Result<Option<CustomerKey>, ServiceError> {
    let (algorithm, key, md5) = (text(headers, names.algorithm)?, text(headers, names.key)?, text(headers, names.md5)?);
    if algorithm.is_none() && key.is_none() && md5.is_none() {
        return Ok(None);
    }
    if !private(transport) {
        return Err(errors::invalid_request(
            "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.",
        ));
    }
    let wrong = |name: &str, why: &str| Err(errors::invalid_argument(name, None, why));
    if algorithm != Some("AES256") {
        return Err(errors::invalid_argument(
            names.algorithm,
            algorithm,
            "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.",
        ));
    }
    let Some(key) = key else {
        return wrong(
            names.key,
            "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.",
        );
    };
    let Some(md5) = md5 else {
        return wrong(
            names.md5,
            "Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key.",
        );
    };
    let decoded = Zeroizing::new(STANDARD.decode(key).unwrap_or_default());
    let Ok(bytes) = <&[u8; 32]>::try_from(decoded.as_slice()) else {
        return wrong(names.key, "The secret key was invalid for the specified algorithm.");
    };
    if STANDARD.encode(Md5::of(bytes).0) != md5 {
        return wrong(names.md5, "The calculated MD5 hash of the key did not match the hash that was provided.");
    }
    Ok(Some(CustomerKey { key: Key::from_bytes(bytes), md5: md5.to_owned() }))
}

/// Whether nobody between here and the client can read along: TLS, or the client is on this machine.
fn private(transport: &Transport) -> bool {
    transport.secure || transport.source_ip.is_some_and(|address| address.to_canonical().is_loopback())
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, ServiceError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text =
        value.to_str().map_err(|_| errors::invalid_argument(name, None, "The header is not plain ASCII text."))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}

/// The headers that an operation has a use for; the others of encryption are refused, as AWS does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Uses {
    /// None.
    Nothing,
    /// The client's key.
    Key,
    /// All of a write.
    Write,
    /// The client's key, and that of the source.
    KeyAndSource,
    /// All of a write, and the source's key.
    WriteAndSource,
}

/// Refuses headers of encryption that the operation has no use for.
pub fn refuse_others(headers: &HeaderMap, uses: Uses) -> Result<(), ServiceError> {
    for name in headers.keys() {
        let name = name.as_str();
        let used = if name.starts_with("x-amz-copy-source-server-side-encryption") {
            matches!(uses, Uses::KeyAndSource | Uses::WriteAndSource)
        } else if name.starts_with("x-amz-server-side-encryption-customer-") {
            uses != Uses::Nothing
        } else if name.starts_with(METHOD) {
            matches!(uses, Uses::Write | Uses::WriteAndSource)
        } else {
            continue;
        };
        if !used {
            return Err(errors::invalid_argument(
                name,
                None,
                &format!("{name} header is not supported for this operation."),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

    fn md5() -> String {
        STANDARD.encode(Md5::of(b"01234567890123456789012345678901").0)
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    fn plain_http(address: &str) -> Transport {
        Transport { secure: false, source_ip: Some(address.parse().unwrap()), ..Transport::internal() }
    }

    #[test]
    fn what_writes_ask_for() {
        let md5 = md5();
        let (a, k, m) = ((OBJECT.algorithm, "AES256"), (OBJECT.key, KEY), (OBJECT.md5, md5.as_str()));
        let context = STANDARD.encode(r#"{"team":"a"}"#);
        for (sent, expected) in [
            (vec![], Ok("Default")),
            (vec![(BUCKET_KEY, "true")], Ok("Default")),
            (vec![(METHOD, "AES256")], Ok("Server")),
            (vec![(METHOD, "aws:kms")], Ok("Kms")),
            (vec![(METHOD, "aws:kms"), (KMS_KEY, "k"), (CONTEXT, &context), (BUCKET_KEY, "True")], Ok("Kms")),
            (vec![a, k, m], Ok("Customer")),
            (vec![(METHOD, "aws:kms:dsse")], Err("NotImplemented")),
            (vec![(METHOD, "aws:fsx")], Err("NotImplemented")),
            (vec![(METHOD, "rot13")], Err("InvalidArgument")),
            (vec![(KMS_KEY, "k")], Err("InvalidArgument")),
            (vec![(METHOD, "AES256"), (KMS_KEY, "k")], Err("InvalidArgument")),
            (vec![(METHOD, "AES256"), (BUCKET_KEY, "true")], Err("InvalidArgument")),
            (vec![(CONTEXT, context.as_str())], Err("InvalidArgument")),
            (vec![(METHOD, "aws:kms"), (CONTEXT, "e30")], Err("InvalidArgument")),
            (vec![(METHOD, "aws:kms"), (CONTEXT, "WzFd")], Err("InvalidArgument")),
            (vec![(METHOD, "aws:kms"), (BUCKET_KEY, "yes")], Err("InvalidArgument")),
            (vec![(METHOD, "AES256"), a, k, m], Err("InvalidArgument")),
            (vec![a, k], Err("InvalidArgument")),
            (vec![a, m], Err("InvalidArgument")),
            (vec![k, m], Err("InvalidArgument")),
            (vec![(OBJECT.algorithm, "DES"), k, m], Err("InvalidArgument")),
            (vec![a, (OBJECT.key, "c2hvcnQ="), m], Err("InvalidArgument")),
            (vec![a, k, (OBJECT.md5, "AAAAAAAAAAAAAAAAAAAAAA==")], Err("InvalidArgument")),
        ] {
            let found = Asked::of(&headers(&sent), &Transport::internal());
            let name = found.map(|asked| format!("{asked:?}").split([' ', '(']).next().unwrap().to_owned());
            assert_eq!(
                name.map_err(|e| e.code.into_owned()),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{sent:?}"
            );
        }
    }

    #[test]
    fn a_clients_key_comes_by_tls_or_from_this_machine() {
        let md5 = md5();
        let sent = headers(&[(OBJECT.algorithm, "AES256"), (OBJECT.key, KEY), (OBJECT.md5, &md5)]);
        for (address, expected) in
            [("127.0.0.1", true), ("::1", true), ("::ffff:127.0.0.1", true), ("10.0.0.1", false), ("192.0.2.1", false)]
        {
            let found = customer_key(&sent, &OBJECT, &plain_http(address));
            assert_eq!(found.map(|key| key.is_some()).map_err(|e| e.code.into_owned()).ok(), expected.then_some(true));
        }
        let by_tls = Transport { secure: true, ..plain_http("192.0.2.1") };
        let found = customer_key(&sent, &OBJECT, &by_tls).unwrap().unwrap();
        assert_eq!((found.key.expose(), found.md5), (b"01234567890123456789012345678901", md5));
        assert!(customer_key(&headers(&[]), &OBJECT, &plain_http("192.0.2.1")).unwrap().is_none());
    }

    #[test]
    fn headers_for_which_an_operation_has_no_use() {
        for (name, allowed) in [
            (METHOD, vec![Uses::Write, Uses::WriteAndSource]),
            (BUCKET_KEY, vec![Uses::Write, Uses::WriteAndSource]),
            (OBJECT.key, vec![Uses::Key, Uses::Write, Uses::KeyAndSource, Uses::WriteAndSource]),
            (COPY_SOURCE.key, vec![Uses::KeyAndSource, Uses::WriteAndSource]),
        ] {
            for uses in [Uses::Nothing, Uses::Key, Uses::Write, Uses::KeyAndSource, Uses::WriteAndSource] {
                let refused = refuse_others(&headers(&[(name, "x"), ("x-amz-meta-a", "b")]), uses);
                assert_eq!(refused.is_ok(), allowed.contains(&uses), "{name} {uses:?}");
            }
        }
    }
}
