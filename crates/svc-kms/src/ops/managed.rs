//! Keys that services use on behalf of their callers: each account has one a service, made when it is first needed, or first asked for by its alias.

use std::sync::Arc;

use millpond_api_kms as api;
use millpond_kernel::Caller;
use millpond_policy::{Policy, PolicyKind};
use millpond_types::AccountId;

use crate::errors::{About, Failure, KmsError};
use crate::inputs::Input;
use crate::model::{Alias, Key, Spec};
use crate::ops::keys::{self, NewKey};
use crate::resolved::OnKey;
use crate::state::{Core, Draft};
use crate::tables;

/// The alias of a service's key: `alias/aws/s3`, of `s3` as of `alias/aws/s3`.
pub(crate) fn alias_of(service: &str) -> String {
    format!("alias/aws/{}", short(service))
}

fn short(service: &str) -> &str {
    let name = service.strip_prefix("alias/aws/").unwrap_or(service);
    name.split('.').next().unwrap_or(name)
}

/// The ARN of the key of an alias, if it was made.
pub(crate) fn existing(core: &Core, account: AccountId, name: &str) -> Option<String> {
    let maps = core.maps();
    let key = maps.stored(maps.alias(account, name)?.key)?;
    Some(key.arn.to_string())
}

/// What AWS puts on such keys: who may use the service may use the key through it, and its account may look at it
/// (KMS Developer Guide, "AWS managed keys").
fn managed_policy(account: AccountId, region: &str, service: &str) -> String {
    let title = service.to_ascii_uppercase();
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "auto-{service}-2",
  "Statement" : [ {{
    "Sid" : "Allow access through {title} for all principals in the account that are authorized to use {title}",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "*"
    }},
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {{
      "StringEquals" : {{
        "kms:CallerAccount" : "{account}",
        "kms:ViaService" : "{service}.{region}.amazonaws.com"
      }}
    }}
  }}, {{
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:aws:iam::{account}:root"
    }},
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*" ],
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// Writes the key of a service, and its alias, into a draft.
fn drafted(core: &Core, draft: &mut Draft, account: AccountId, name: String) -> Result<Arc<Key>, KmsError> {
    let service = short(&name);
    let text = managed_policy(account, core.kernel.region().as_str(), service);
    let policy = Policy::parse(&text, PolicyKind::Key)?;
    let description = match service {
        "s3" => "Default key that protects my S3 objects when no other key is defined".to_owned(),
        other => format!("Default key that protects my {other} data when no other key is defined"),
    };
    let new = NewKey {
        account,
        spec: Spec::Symmetric,
        managed: true,
        description,
        policy,
        ids: Vec::new(),
        tags: Default::default(),
    };
    let key = core.new_key(draft, new)?;
    draft.absent(tables::alias(account, &name));
    let now = core.now();
    draft.alias(Alias { account, name, key: key.id, created: now, updated: now });
    Ok(key)
}

/// Makes the key of a service; whoever comes first makes it for all.
pub(crate) async fn make(core: &Arc<Core>, account: AccountId, name: String) -> Result<String, Failure> {
    if let Some(arn) = existing(core, account, &name) {
        return Ok(arn);
    }
    let mut draft = Draft::default();
    let key = drafted(core, &mut draft, account, name)?;
    core.commit(None, draft).await?;
    Ok(key.arn.to_string())
}

/// DescribeKey of an alias of AWS that has no key yet: it gets the key that is described (API reference, DescribeKey). That is decided by the policy
/// which the key is about to have, so that whoever may not describe it makes none.
pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DescribeKeyInput,
) -> Result<api::DescribeKeyOutput, Failure> {
    let Some(name) = core.predefined(caller, &input.key_id) else { return keys::describe(core, caller, input).await };
    let mut draft = Draft::default();
    let key = drafted(core, &mut draft, core.account_of(caller), name.to_owned())?;
    let on = OnKey {
        key: Arc::clone(&key),
        alias: Some(name.to_owned()),
        aliases: vec![name.to_owned()],
        about: About::Alias,
    };
    let touched = core.touch(caller, input, api::DescribeKeyInput::ACTION, on, None)?;
    let authorized = core.decide(caller, input, vec![touched]).await?;
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::DescribeKeyOutput { key_metadata: Some(keys::metadata(&key)) })
}
