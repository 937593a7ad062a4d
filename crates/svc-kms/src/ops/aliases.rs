//! Aliases.

use std::sync::Arc;

use millpond_api_kms as api;
use millpond_kernel::Caller;
use millpond_types::AccountId;

use crate::cache::Change;
use crate::errors::{Failure, KmsError};
use crate::inputs::Input;
use crate::limits::MAX_ALIASES;
use crate::lookup::{ALIAS, Forms, PREDEFINED, customers, not_pending};
use crate::model::Alias;
use crate::paging::page;
use crate::resolved::{OnKey, Touched};
use crate::state::{Core, Draft};
use crate::tables;

/// The beginning of the names of aliases for the keys of services.
const RESERVED: &str = "alias/aws/";

fn checked(name: &str) -> Result<(), KmsError> {
    if name.starts_with(RESERVED) {
        return Err(KmsError::Reserved(format!("Names that begin with {RESERVED} are reserved for keys of services.")));
    }
    if !name.starts_with(ALIAS) || name.len() == ALIAS.len() {
        return Err(KmsError::Validation(
            "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
                .to_owned(),
        ));
    }
    Ok(())
}

/// The key that an alias is to mean: of the same account, named by itself.
fn target<I: Input>(core: &Core, caller: &Caller, name: &str) -> Result<OnKey, KmsError> {
    if name.starts_with(ALIAS) || name.contains(":alias/") {
        return Err(KmsError::Validation("Aliases must refer to keys. Not aliases".to_owned()));
    }
    core.find(caller, I::ACTION, name, Forms::Own)
}

fn on_alias<I: Input>(core: &Core, caller: &Caller, name: &str) -> Touched {
    let account = core.account_of(caller);
    Touched::alias(I::ACTION, core.alias_arn(account, name), account)
}

fn room(core: &Core, key: &OnKey) -> Result<(), KmsError> {
    if core.maps().names(key.key.id).is_some_and(|names| names.len() >= MAX_ALIASES) {
        return Err(KmsError::Limit(format!("A key has at most {MAX_ALIASES} aliases.")));
    }
    Ok(())
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::CreateAliasInput,
) -> Result<api::CreateAliasOutput, Failure> {
    let name = &input.alias_name;
    checked(name)?;
    let on = target::<api::CreateAliasInput>(core, caller, &input.target_key_id)?;
    let action = api::CreateAliasInput::ACTION;
    let touched = vec![
        on_alias::<api::CreateAliasInput>(core, caller, name),
        core.touch(caller, input, action, on.clone(), None)?,
    ];
    let authorized = core.decide(caller, input, touched).await?;
    not_pending(&on.key)?;
    customers(&on.key)?;
    let account = core.account_of(caller);
    if core.maps().alias(account, name).is_some() {
        let arn = core.alias_arn(account, name);
        return Err(KmsError::Exists(format!("An alias with the name {arn} already exists")).into());
    }
    room(core, &on)?;
    let mut draft = Draft::on(&on.key);
    draft.absent(tables::alias(account, name));
    let now = core.now();
    draft.alias(Alias { account, name: name.clone(), key: on.key.id, created: now, updated: now });
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::CreateAliasOutput {})
}

/// The alias of that name, and the key that it means.
fn existing<I: Input>(core: &Core, caller: &Caller, name: &str) -> Result<(Arc<Alias>, OnKey), KmsError> {
    let on = core.find(caller, I::ACTION, name, Forms::KeysAndAliases)?;
    let account = core.account_of(caller);
    let missing = || KmsError::NoAlias(core.alias_arn(account, name).to_string());
    let alias = core.maps().alias(account, name).cloned().ok_or_else(missing)?;
    Ok((alias, on))
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::UpdateAliasInput,
) -> Result<api::UpdateAliasOutput, Failure> {
    let (name, action) = (&input.alias_name, api::UpdateAliasInput::ACTION);
    checked(name)?;
    let (alias, old) = existing::<api::UpdateAliasInput>(core, caller, name)?;
    let new = target::<api::UpdateAliasInput>(core, caller, &input.target_key_id)?;
    let mut touched = vec![
        on_alias::<api::UpdateAliasInput>(core, caller, name),
        core.touch(caller, input, action, old.clone(), None)?,
    ];
    if old.key.id != new.key.id {
        touched.push(core.touch(caller, input, action, new.clone(), None)?);
    }
    let authorized = core.decide(caller, input, touched).await?;
    not_pending(&new.key)?;
    customers(&new.key)?;
    if old.key.facts.spec.usage() != new.key.facts.spec.usage() {
        let text = format!(
            "The alias {name} cannot go to a key of another type: its old and its new key must be of the same type and usage."
        );
        return Err(KmsError::Validation(text).into());
    }
    if old.key.id != new.key.id {
        room(core, &new)?;
    }
    let mut draft = Draft::on(&new.key);
    draft.present(tables::alias(alias.account, name));
    draft.alias(Alias { key: new.key.id, updated: core.now(), ..(*alias).clone() });
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::UpdateAliasOutput {})
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DeleteAliasInput,
) -> Result<api::DeleteAliasOutput, Failure> {
    let (name, action) = (&input.alias_name, api::DeleteAliasInput::ACTION);
    checked(name)?;
    let (alias, on) = existing::<api::DeleteAliasInput>(core, caller, name)?;
    let touched =
        vec![on_alias::<api::DeleteAliasInput>(core, caller, name), core.touch(caller, input, action, on, None)?];
    let authorized = core.decide(caller, input, touched).await?;
    let mut draft = Draft::default().urgent();
    draft.present(tables::alias(alias.account, name));
    draft.delete(tables::alias(alias.account, name));
    draft.change(Change::AliasGone(alias.account, name.clone()));
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::DeleteAliasOutput {})
}

/// An alias that has no key yet.
fn unassociated(core: &Core, account: AccountId, name: &str) -> api::AliasListEntry {
    api::AliasListEntry {
        alias_name: Some(name.to_owned()),
        alias_arn: Some(core.alias_arn(account, name).to_string()),
        ..api::AliasListEntry::default()
    }
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListAliasesInput,
) -> Result<api::ListAliasesOutput, Failure> {
    core.on_account(caller, input).await?;
    let page = page(input.limit, input.marker.as_deref(), 50, 100)?;
    let account = core.account_of(caller);
    let key = match input.key_id.as_deref() {
        None => None,
        Some(name) => Some(target::<api::ListAliasesInput>(core, caller, name)?.key.id),
    };
    let (maps, now) = (core.maps(), core.now());
    let wanted = |alias: &&Arc<Alias>| key.is_none_or(|key| key == alias.key) && maps.key(alias.key, now).is_some();
    let entry = |alias: &Arc<Alias>| api::AliasListEntry {
        alias_name: Some(alias.name.clone()),
        alias_arn: Some(core.alias_arn(account, &alias.name).to_string()),
        target_key_id: Some(alias.key.to_string()),
        creation_date: Some(alias.created),
        last_updated_date: Some(alias.updated),
    };
    // AWS shows its aliases also before they have a key, without any.
    let unused = PREDEFINED.into_iter().filter(|name| key.is_none() && maps.alias(account, name).is_none());
    let unused: Vec<_> = unused.map(|name| (name.to_owned(), unassociated(core, account, name))).collect();
    let before = |name: &str| unused.first().is_some_and(|(first, _)| name < first.as_str());
    let all = || maps.aliases_of(account).filter(wanted).map(|alias| (alias.name.clone(), entry(alias)));
    let first = all().take_while(|(name, _)| before(name));
    let rest = all().skip_while(|(name, _)| before(name));
    let (aliases, next_marker) = page.cut(first.chain(unused.iter().cloned()).chain(rest));
    Ok(api::ListAliasesOutput { aliases: Some(aliases), truncated: Some(next_marker.is_some()), next_marker })
}
