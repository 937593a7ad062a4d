//! A certificate that signs itself, in DER (RFC 5280): all that is needed to carry a public key.

use millpond_types::Timestamp;

/// sha256WithRSAEncryption, 1.2.840.113549.1.1.11, with its NULL.
const ALGORITHM: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
/// commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const GENERALIZED_TIME: u8 = 0x18;

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let bytes = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1)..];
        out.push(0x80 | bytes.len() as u8);
        out.extend_from_slice(bytes);
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

fn name(common: &str) -> Vec<u8> {
    let pair = element(SEQUENCE, &[COMMON_NAME, &element(UTF8, &[common.as_bytes()])]);
    element(SEQUENCE, &[&element(SET, &[&pair])])
}

fn time(at: Timestamp) -> Vec<u8> {
    let mut text = String::new();
    millpond_wire::push_iso8601(&mut text, at, false);
    // 2026-01-02T03:04:05Z -> 20260102030405Z
    text.retain(|c| c.is_ascii_digit() || c == 'Z');
    element(GENERALIZED_TIME, &[text.as_bytes()])
}

/// What is signed. `key` is a SubjectPublicKeyInfo.
pub(crate) fn to_be_signed(serial: u64, common: &str, from: Timestamp, to: Timestamp, key: &[u8]) -> Vec<u8> {
    // Version 3 is written as 2.
    let version = element(0xa0, &[&element(INTEGER, &[&[2]])]);
    // A leading zero keeps it positive.
    let serial = element(INTEGER, &[&[0x01], &serial.to_be_bytes()]);
    let (algorithm, name) = (element(SEQUENCE, &[ALGORITHM]), name(common));
    let validity = element(SEQUENCE, &[&time(from), &time(to)]);
    element(SEQUENCE, &[&version, &serial, &algorithm, &name, &validity, &name, key])
}

/// The certificate.
pub(crate) fn signed(to_be_signed: &[u8], signature: &[u8]) -> Vec<u8> {
    let signature = element(BIT_STRING, &[&[0], signature]);
    element(SEQUENCE, &[to_be_signed, &element(SEQUENCE, &[ALGORITHM]), &signature])
}
