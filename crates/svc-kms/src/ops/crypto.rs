//! Cryptographic operations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use millpond_api_kms as api;
use millpond_api_kms::EncryptionAlgorithmSpec;
use millpond_kernel::Caller;
use zeroize::Zeroizing;

use crate::crypto::{Names, Secret, Unusable};
use crate::errors::{Failure, KmsError};
use crate::inputs::Input;
use crate::limits::MAX_CONTEXT;
use crate::lookup::{Forms, enabled};
use crate::model::{Key, Material, Spec};
use crate::resolved::OnKey;
use crate::state::Core;

type Pairs = BTreeMap<String, String>;

/// The most bytes of random data at a time (API reference, GenerateRandom and GenerateDataKey).
const MAX_RANDOM: usize = 1024;

/// Encryption contexts that can be. Keys that differ by case alone are refused, as condition keys do not tell them apart: a policy
/// could be about the one and the ciphertext be read by the other.
fn check_context(context: Option<&Pairs>) -> Result<(), KmsError> {
    let Some(context) = context else { return Ok(()) };
    let bytes: usize = context.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > MAX_CONTEXT {
        return Err(KmsError::Validation(format!("The encryption context is larger than {MAX_CONTEXT} bytes.")));
    }
    let distinct: BTreeSet<String> = context.keys().map(|key| key.to_ascii_lowercase()).collect();
    if distinct.len() != context.len() {
        let text = "The keys of an encryption context must differ by more than case.";
        return Err(KmsError::Validation(text.to_owned()));
    }
    Ok(())
}

fn no_recipient(recipient: Option<&api::RecipientInfo>) -> Result<(), KmsError> {
    match recipient {
        None => Ok(()),
        Some(_) => Err(KmsError::Unsupported("Recipient is not supported by this server.".to_owned())),
    }
}

fn wet(dry_run: Option<bool>) -> Result<(), KmsError> {
    if dry_run == Some(true) { Err(KmsError::DryRun) } else { Ok(()) }
}

/// A key that encrypts and is enabled.
fn encrypts(name: &str, key: &Key, algorithm: Option<EncryptionAlgorithmSpec>) -> Result<(), KmsError> {
    enabled(key)?;
    if key.facts.spec != Spec::Symmetric {
        let usage = key.facts.spec.usage();
        return Err(KmsError::Usage(format!("{} key usage is {usage} which is not valid for {name}.", key.arn)));
    }
    match algorithm {
        None | Some(EncryptionAlgorithmSpec::SymmetricDefault) => Ok(()),
        Some(other) => {
            Err(KmsError::Usage(format!("Algorithm {other} is incompatible with key spec {}.", key.facts.spec.api())))
        }
    }
}

fn secret(material: Option<&Arc<Material>>) -> Result<(&Arc<Material>, &Secret), KmsError> {
    let material = material.ok_or(KmsError::Unavailable)?;
    Ok((material, material.secret.as_ref().ok_or(KmsError::Unavailable)?))
}

/// Encrypts under a key's current material.
fn seal(core: &Core, key: &Key, context: Option<&Pairs>, plain: &[u8]) -> Result<(Bytes, Arc<Material>), KmsError> {
    let (material, secret) = secret(key.current())?;
    let names = Names { key: key.id, material: material.id };
    let blob = secret.encrypt(&*core.random, names, context, plain).map_err(|Unusable| KmsError::Unavailable)?;
    Ok((blob.into(), Arc::clone(material)))
}

/// Decrypts with the material that the ciphertext names.
fn open(key: &Key, names: Names, context: Option<&Pairs>, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    if names.key != key.id {
        return Err(KmsError::IncorrectKey);
    }
    let material = key.material(names.material).ok_or(KmsError::Ciphertext)?;
    let (_, secret) = secret(Some(material))?;
    secret.decrypt(context, blob).map_err(|Unusable| KmsError::Ciphertext)
}

pub(crate) async fn encrypt(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::EncryptInput,
) -> Result<api::EncryptOutput, Failure> {
    let context = input.encryption_context.as_ref();
    check_context(context)?;
    let (_, OnKey { key, .. }) = core.on_key(caller, input, &input.key_id, Forms::KeysAndAliases).await?;
    encrypts("Encrypt", &key, input.encryption_algorithm)?;
    wet(input.dry_run)?;
    let (blob, _) = seal(core, &key, context, &input.plaintext)?;
    Ok(api::EncryptOutput {
        ciphertext_blob: Some(blob),
        key_id: Some(key.arn.to_string()),
        encryption_algorithm: key.facts.spec.encryption(),
    })
}

/// The ciphertext of a request, and what it says of itself.
fn ciphertext(
    blob: Option<&Bytes>,
    modifiers: Option<&Vec<api::DryRunModifierType>>,
) -> Result<(Bytes, Names), KmsError> {
    if modifiers.is_some_and(|modifiers| !modifiers.is_empty()) {
        return Err(KmsError::Unsupported("DryRunModifiers is not supported by this server.".to_owned()));
    }
    let missing = "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null";
    let blob = blob.ok_or_else(|| KmsError::Validation(missing.to_owned()))?;
    Ok((blob.clone(), Names::of(blob).ok_or(KmsError::Ciphertext)?))
}

/// The key to decrypt with: the one that was named, else the one that the ciphertext names.
fn key_of(core: &Core, caller: &Caller, action: &str, named: Option<&str>, names: Names) -> Result<OnKey, KmsError> {
    match named {
        Some(name) => core.find(caller, action, name, Forms::KeysAndAliases),
        None => core.by_ciphertext(caller, action, names.key),
    }
}

/// What was decrypted, by which key and material.
pub(crate) struct Decrypted {
    pub key: Arc<Key>,
    pub names: Names,
    pub plain: Zeroizing<Vec<u8>>,
}

/// Decrypts for a caller who may.
pub(crate) async fn decrypted(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DecryptInput,
) -> Result<Decrypted, KmsError> {
    no_recipient(input.recipient.as_ref())?;
    let context = input.encryption_context.as_ref();
    check_context(context)?;
    let (blob, names) = ciphertext(input.ciphertext_blob.as_ref(), input.dry_run_modifiers.as_ref())?;
    let action = api::DecryptInput::ACTION;
    let on = key_of(core, caller, action, input.key_id.as_deref(), names)?;
    let key = Arc::clone(&on.key);
    let touched = core.touch(caller, input, action, on, context)?;
    core.decide(caller, input, vec![touched]).await?;
    encrypts("Decrypt", &key, input.encryption_algorithm)?;
    let plain = open(&key, names, context, &blob)?;
    wet(input.dry_run)?;
    Ok(Decrypted { key, names, plain })
}

/// Whether a caller may use a key so, and it is fit for it now.
pub(crate) async fn usable<I: Input>(core: &Core, caller: &Caller, name: &str, input: &I) -> Result<(), KmsError> {
    check_context(input.encryption_context())?;
    let (_, on) = core.on_key(caller, input, name, Forms::KeysAndAliases).await?;
    encrypts(I::NAME, &on.key, None)
}

pub(crate) async fn decrypt(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DecryptInput,
) -> Result<api::DecryptOutput, Failure> {
    let Decrypted { key, names, plain } = decrypted(core, caller, input).await?;
    Ok(api::DecryptOutput {
        key_id: Some(key.arn.to_string()),
        plaintext: Some(Bytes::copy_from_slice(&plain)),
        encryption_algorithm: key.facts.spec.encryption(),
        ciphertext_for_recipient: None,
        key_material_id: Some(names.material.to_string()),
    })
}

pub(crate) async fn re_encrypt(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ReEncryptInput,
) -> Result<api::ReEncryptOutput, Failure> {
    let (from, to) = (input.source_encryption_context.as_ref(), input.destination_encryption_context.as_ref());
    check_context(from)?;
    check_context(to)?;
    let (blob, names) = ciphertext(input.ciphertext_blob.as_ref(), input.dry_run_modifiers.as_ref())?;
    let source = key_of(core, caller, "kms:ReEncryptFrom", input.source_key_id.as_deref(), names)?;
    let target = core.find(caller, "kms:ReEncryptTo", &input.destination_key_id, Forms::KeysAndAliases)?;
    let (old, new) = (Arc::clone(&source.key), Arc::clone(&target.key));
    let mut reads = core.touch(caller, input, "kms:ReEncryptFrom", source, from)?;
    let mut writes = core.touch(caller, input, "kms:ReEncryptTo", target, to)?;
    (reads.bound, writes.bound) = (from.cloned(), to.cloned());
    core.decide(caller, input, vec![reads, writes]).await?;
    encrypts("ReEncryptFrom", &old, input.source_encryption_algorithm)?;
    encrypts("ReEncryptTo", &new, input.destination_encryption_algorithm)?;
    let plain = open(&old, names, from, &blob)?;
    wet(input.dry_run)?;
    let (blob, material) = seal(core, &new, to, &plain)?;
    Ok(api::ReEncryptOutput {
        ciphertext_blob: Some(blob),
        source_key_id: Some(old.arn.to_string()),
        key_id: Some(new.arn.to_string()),
        source_encryption_algorithm: old.facts.spec.encryption(),
        destination_encryption_algorithm: new.facts.spec.encryption(),
        source_key_material_id: Some(names.material.to_string()),
        destination_key_material_id: Some(material.id.to_string()),
    })
}

/// A new data key.
pub(crate) struct DataKey {
    pub key: Arc<Key>,
    pub material: Arc<Material>,
    pub plain: Zeroizing<Vec<u8>>,
    pub sealed: Bytes,
}

fn data_key_bytes(spec: Option<api::DataKeySpec>, bytes: Option<i32>) -> Result<usize, KmsError> {
    match (spec, bytes.map(usize::try_from)) {
        (Some(api::DataKeySpec::Aes256), None) => Ok(32),
        (Some(api::DataKeySpec::Aes128), None) => Ok(16),
        (None, Some(Ok(bytes))) if (1..=MAX_RANDOM).contains(&bytes) => Ok(bytes),
        _ => Err(KmsError::Validation("Please specify either number of bytes or key spec.".to_owned())),
    }
}

async fn data_key<I: Input>(
    core: &Arc<Core>,
    caller: &Caller,
    input: &I,
    name: &str,
    bytes: usize,
    dry_run: Option<bool>,
) -> Result<DataKey, KmsError> {
    let context = input.encryption_context();
    check_context(context)?;
    let (_, OnKey { key, .. }) = core.on_key(caller, input, name, Forms::KeysAndAliases).await?;
    encrypts(I::NAME, &key, None)?;
    wet(dry_run)?;
    let mut plain = Zeroizing::new(vec![0; bytes]);
    core.random.fill(&mut plain);
    let (sealed, material) = seal(core, &key, context, &plain)?;
    Ok(DataKey { key, material, plain, sealed })
}

/// A data key for a caller who may have one.
pub(crate) async fn generated(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::GenerateDataKeyInput,
) -> Result<DataKey, KmsError> {
    no_recipient(input.recipient.as_ref())?;
    let bytes = data_key_bytes(input.key_spec, input.number_of_bytes)?;
    data_key(core, caller, input, &input.key_id, bytes, input.dry_run).await
}

pub(crate) async fn generate_data_key(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::GenerateDataKeyInput,
) -> Result<api::GenerateDataKeyOutput, Failure> {
    let DataKey { key, material, plain, sealed } = generated(core, caller, input).await?;
    Ok(api::GenerateDataKeyOutput {
        ciphertext_blob: Some(sealed),
        plaintext: Some(Bytes::copy_from_slice(&plain)),
        key_id: Some(key.arn.to_string()),
        ciphertext_for_recipient: None,
        key_material_id: Some(material.id.to_string()),
    })
}

pub(crate) async fn generate_without_plaintext(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::GenerateDataKeyWithoutPlaintextInput,
) -> Result<api::GenerateDataKeyWithoutPlaintextOutput, Failure> {
    let bytes = data_key_bytes(input.key_spec, input.number_of_bytes)?;
    let DataKey { key, material, sealed, .. } =
        data_key(core, caller, input, &input.key_id, bytes, input.dry_run).await?;
    Ok(api::GenerateDataKeyWithoutPlaintextOutput {
        ciphertext_blob: Some(sealed),
        key_id: Some(key.arn.to_string()),
        key_material_id: Some(material.id.to_string()),
    })
}

pub(crate) async fn generate_random(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::GenerateRandomInput,
) -> Result<api::GenerateRandomOutput, Failure> {
    no_recipient(input.recipient.as_ref())?;
    if input.custom_key_store_id.is_some() {
        return Err(KmsError::Unsupported("A custom key store is not supported by this server.".to_owned()).into());
    }
    core.on_account(caller, input).await?;
    let bytes = input.number_of_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let Some(bytes) = bytes.filter(|bytes| (1..=MAX_RANDOM).contains(bytes)) else {
        return Err(KmsError::Validation("Please specify the number of bytes.".to_owned()).into());
    };
    let mut plain = Zeroizing::new(vec![0; bytes]);
    core.random.fill(&mut plain);
    Ok(api::GenerateRandomOutput { plaintext: Some(Bytes::copy_from_slice(&plain)), ciphertext_for_recipient: None })
}

/// A key that makes codes by this algorithm and is enabled.
fn authenticates(name: &str, key: &Key, algorithm: api::MacAlgorithmSpec) -> Result<(), KmsError> {
    enabled(key)?;
    let usage = key.facts.spec.usage();
    match key.facts.spec.mac() {
        Some(own) if own == algorithm => Ok(()),
        Some(_) => Err(KmsError::Usage(format!(
            "Algorithm {algorithm} is incompatible with key spec {}.",
            key.facts.spec.api()
        ))),
        None => Err(KmsError::Usage(format!("{} key usage is {usage} which is not valid for {name}.", key.arn))),
    }
}

pub(crate) async fn generate_mac(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::GenerateMacInput,
) -> Result<api::GenerateMacOutput, Failure> {
    let (_, OnKey { key, .. }) = core.on_key(caller, input, &input.key_id, Forms::KeysAndAliases).await?;
    authenticates("GenerateMac", &key, input.mac_algorithm)?;
    wet(input.dry_run)?;
    let (_, secret) = secret(key.current())?;
    let mac = secret.mac(input.mac_algorithm, &input.message).map_err(|Unusable| KmsError::Unavailable)?;
    Ok(api::GenerateMacOutput {
        mac: Some(mac.into()),
        mac_algorithm: Some(input.mac_algorithm),
        key_id: Some(key.arn.to_string()),
    })
}

pub(crate) async fn verify_mac(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::VerifyMacInput,
) -> Result<api::VerifyMacOutput, Failure> {
    let (_, OnKey { key, .. }) = core.on_key(caller, input, &input.key_id, Forms::KeysAndAliases).await?;
    authenticates("VerifyMac", &key, input.mac_algorithm)?;
    let (_, secret) = secret(key.current())?;
    let valid = secret.verifies(input.mac_algorithm, &input.message, &input.mac);
    if !valid.map_err(|Unusable| KmsError::Unavailable)? {
        return Err(KmsError::Mac.into());
    }
    wet(input.dry_run)?;
    Ok(api::VerifyMacOutput {
        key_id: Some(key.arn.to_string()),
        mac_valid: Some(true),
        mac_algorithm: Some(input.mac_algorithm),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_data_keys() {
        use millpond_api_kms::DataKeySpec::{Aes128, Aes256};
        for (spec, bytes, expected) in [
            (Some(Aes256), None, Some(32)),
            (Some(Aes128), None, Some(16)),
            (None, Some(1), Some(1)),
            (None, Some(1024), Some(1024)),
            (None, Some(1025), None),
            (None, Some(0), None),
            (None, Some(-1), None),
            (None, None, None),
            (Some(Aes256), Some(32), None),
        ] {
            assert_eq!(data_key_bytes(spec, bytes).ok(), expected, "{spec:?} {bytes:?}");
        }
    }

    #[test]
    fn encryption_contexts() {
        let pairs = |pairs: &[(&str, &str)]| -> Pairs {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let long = "x".repeat(MAX_CONTEXT);
        for (context, good) in [
            (pairs(&[]), true),
            (pairs(&[("a", "b"), ("ab", "")]), true),
            (pairs(&[("Dept", "a"), ("dept", "b")]), false),
            (pairs(&[("a", &long)]), false),
            (pairs(&[("a", &long[1..])]), true),
        ] {
            assert_eq!(check_context(Some(&context)).is_ok(), good, "{} pairs", context.len());
        }
    }
}
