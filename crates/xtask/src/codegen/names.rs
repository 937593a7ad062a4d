//! Names of the model as Rust names.

use std::collections::BTreeMap;

/// Words that Rust keeps for itself.
const KEYWORDS: [&str; 39] = [
    "abstract", "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
    "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return",
    "self", "static", "struct", "super", "trait", "true", "try", "type", "unsafe", "use", "where", "while",
];

/// Type names that generated code uses itself.
const TAKEN: [&str; 26] = [
    "Operation",
    "Option",
    "Vec",
    "String",
    "Box",
    "Result",
    "Some",
    "None",
    "Ok",
    "Err",
    "Self",
    "Bytes",
    "Timestamp",
    "BTreeMap",
    "Default",
    "Debug",
    "Route",
    "ParseError",
    "RequestView",
    "ResponseParts",
    "Scalar",
    "Location",
    "TimeFormat",
    "Cow",
    "Value",
    "Method",
];

/// A member as a field: `SSECustomerKeyMD5` is `sse_customer_key_md5`.
pub fn field(name: &str) -> String {
    let name = name.replace("ETag", "Etag").replace("SSEKMS", "SseKms").replace("IDs", "Ids").replace("ARNs", "Arns");
    let characters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            out.push('_');
            continue;
        }
        if character.is_ascii_uppercase() && at > 0 && boundary(&characters, at) {
            out.push('_');
        }
        out.push(character.to_ascii_lowercase());
    }
    if KEYWORDS.contains(&out.as_str()) {
        out.push('_');
    }
    out
}

/// Whether a word begins at this upper-case letter.
fn boundary(characters: &[char], at: usize) -> bool {
    let before = characters[at - 1];
    let next_is_lower = characters.get(at + 1).is_some_and(|next| next.is_ascii_lowercase());
    before.is_ascii_lowercase() || (next_is_lower && before.is_ascii_alphanumeric())
}

/// A shape as a type.
pub fn type_name(name: &str) -> String {
    let mut out: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    if let Some(first) = out.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if TAKEN.contains(&out.as_str()) {
        out.push_str("Shape");
    }
    out
}

/// A name as a constant: `NoSuchKey` is `NO_SUCH_KEY`.
pub fn constant(name: &str) -> String {
    let mut out = field(name).to_ascii_uppercase();
    if out.ends_with('_') {
        out.pop();
    }
    out
}

/// The values of an enumeration with their variants, all different.
pub fn variants(values: &[String]) -> Vec<(String, &str)> {
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = Vec::new();
    for value in values {
        let mut name = variant(value);
        let count = used.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            name = format!("{name}{count}");
        }
        out.push((name, value.as_str()));
    }
    out
}

fn variant(value: &str) -> String {
    let value = value.replace('*', "All");
    let mut out = String::new();
    for word in value.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let shouting = !word.chars().any(|c| c.is_ascii_lowercase());
        let mut characters = word.chars();
        out.extend(characters.next().map(|c| c.to_ascii_uppercase()));
        out.extend(characters.map(|c| if shouting { c.to_ascii_lowercase() } else { c }));
    }
    match out.chars().next() {
        None => "Empty".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("V{out}"),
        Some(_) if out == "Self" => "SelfValue".to_owned(),
        Some(_) => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (model, expected) in [
            ("Bucket", "bucket"),
            ("ETag", "etag"),
            ("SSECustomerKeyMD5", "sse_customer_key_md5"),
            ("SSEKMSKeyId", "sse_kms_key_id"),
            ("ChecksumCRC32C", "checksum_crc32c"),
            ("ContentMD5", "content_md5"),
            ("GrantReadACP", "grant_read_acp"),
            ("ACL", "acl"),
            ("ID", "id"),
            ("Type", "type_"),
            ("IfMatchInitiatedTime", "if_match_initiated_time"),
            ("ChecksumCRC64NVME", "checksum_crc64nvme"),
        ] {
            assert_eq!(field(model), expected);
        }
        for (value, expected) in [
            ("STANDARD_IA", "StandardIa"),
            ("us-west-2", "UsWest2"),
            ("aws:kms:dsse", "AwsKmsDsse"),
            ("s3:ObjectCreated:*", "S3ObjectCreatedAll"),
            ("BucketOwnerEnforced", "BucketOwnerEnforced"),
            ("", "Empty"),
            ("1", "V1"),
        ] {
            assert_eq!(variant(value), expected);
        }
        assert_eq!(constant("NoSuchKey"), "NO_SUCH_KEY");
        assert_eq!(type_name("arnType"), "ArnType");
    }
}
