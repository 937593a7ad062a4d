//! Classifiers: how crawlers recognize formats that the built-in ones do not.

use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::{Caller, Pin, paging};
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Cond, Op};
use millpond_types::AccountId;

use super::crawlers::checked_name;
use super::databases::bad_token;
use crate::crawling::bodies::{ClassifierBody, CsvBody, GrokBody};
use crate::crawling::rows::{self, ClassifierRow};
use crate::crawling::state::no_classifier;
use crate::errors::{Failure, GlueError, invalid};
use crate::inputs::{Input, Touch};
use crate::kept::removed;
use crate::limits::MAX_LISTED;
use crate::state::{Core, decode};
use crate::tables;

/// Classifiers of an account.
const MAX_CLASSIFIERS: usize = 1_000;

/// Classifiers are no resources that policies name.
async fn decided<I: Input>(core: &Core, caller: &Caller, account: AccountId, input: &I) -> Result<Pin, Failure> {
    let touch = Touch::of(input, account, core.arn(account, "*"));
    Ok(core.authorize(caller, touch).await?.pin())
}

fn no_xml<T>(given: Option<&T>) -> Result<(), GlueError> {
    match given {
        Some(_) => {
            invalid("XMLClassifier is not supported: queries read no XML. Convert it to JSON, one object a line.")
        }
        None => Ok(()),
    }
}

fn one_kind(kinds: [bool; 3]) -> Result<(), GlueError> {
    match kinds.into_iter().filter(|given| *given).count() {
        1 => Ok(()),
        _ => invalid("Exactly one of GrokClassifier, XMLClassifier, JsonClassifier and CsvClassifier must be given."),
    }
}

/// A CSV classifier as it is given, whichever operation gives it.
macro_rules! csv {
    ($csv:expr) => {
        CsvBody {
            delimiter: $csv.delimiter.clone(),
            quote: $csv.quote_symbol.clone(),
            header: $csv.contains_header.map(|option| option.as_str().to_owned()),
            names: $csv.header.clone().unwrap_or_default(),
            untrimmed: $csv.disable_value_trimming,
            single: $csv.allow_single_column,
            typed: $csv.custom_datatype_configured,
            types: $csv.custom_datatypes.clone().unwrap_or_default(),
            serde: $csv.serde.map(|option| option.as_str().to_owned()),
        }
    };
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::CreateClassifierInput,
) -> Result<api::CreateClassifierOutput, Failure> {
    let pin = decided(core, caller, account, input).await?;
    no_xml(input.xml_classifier.as_ref())?;
    let (csv, json, grok) = (&input.csv_classifier, &input.json_classifier, &input.grok_classifier);
    one_kind([csv.is_some(), json.is_some(), grok.is_some()])?;
    let mut body = ClassifierBody::default();
    let mut name = String::new();
    if let Some(csv) = csv {
        name.clone_from(&csv.name);
        body.csv = Some(csv!(csv));
    } else if let Some(json) = json {
        name.clone_from(&json.name);
        body.json = Some(json.json_path.clone());
    } else if let Some(grok) = grok {
        name.clone_from(&grok.name);
        body.grok = Some(GrokBody {
            classification: grok.classification.clone(),
            pattern: grok.grok_pattern.clone(),
            custom: grok.custom_patterns.clone(),
        });
    }
    checked_name("Classifier", &name)?;
    body.compiled()?;
    let key = rows::classifier(account, &name);
    if core.kv.get(&key).await?.is_some() {
        return Err(GlueError::Exists(format!("Classifier with name {name} already exists")).into());
    }
    if core.rows(rows::of_account(rows::CLASSIFIERS, account)).await?.len() >= MAX_CLASSIFIERS {
        return Err(GlueError::Limit(format!("An account has at most {MAX_CLASSIFIERS} classifiers.")).into());
    }
    let (mut ops, now) = (Vec::new(), core.now());
    let row = ClassifierRow { created: now, updated: now, version: 1, body: core.keep(0, &body, &mut ops)? };
    ops.push(Op::Put(key.clone(), tables::encode(&row)));
    core.commit(pin, vec![Cond::Absent(key)], ops, false).await?;
    Ok(api::CreateClassifierOutput {})
}

/// Puts what is given over what there is, of one kind.
fn changed(input: &api::UpdateClassifierInput, body: &mut ClassifierBody) -> Result<(), GlueError> {
    let kind = || GlueError::Invalid("A classifier cannot become one of another kind.".to_owned());
    if let Some(new) = &input.csv_classifier {
        let old = body.csv.as_mut().ok_or_else(kind)?;
        let new = csv!(new);
        *old = CsvBody {
            delimiter: new.delimiter.or(old.delimiter.take()),
            quote: new.quote.or(old.quote.take()),
            header: new.header.or(old.header.take()),
            names: if new.names.is_empty() { std::mem::take(&mut old.names) } else { new.names },
            untrimmed: new.untrimmed.or(old.untrimmed),
            single: new.single.or(old.single),
            typed: new.typed.or(old.typed),
            types: if new.types.is_empty() { std::mem::take(&mut old.types) } else { new.types },
            serde: new.serde.or(old.serde.take()),
        };
    } else if let Some(new) = &input.json_classifier {
        let old = body.json.as_mut().ok_or_else(kind)?;
        if let Some(path) = &new.json_path {
            old.clone_from(path);
        }
    } else if let Some(new) = &input.grok_classifier {
        let old = body.grok.as_mut().ok_or_else(kind)?;
        if let Some(classification) = &new.classification {
            old.classification.clone_from(classification);
        }
        if let Some(pattern) = &new.grok_pattern {
            old.pattern.clone_from(pattern);
        }
        if new.custom_patterns.is_some() {
            old.custom.clone_from(&new.custom_patterns);
        }
    }
    Ok(())
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UpdateClassifierInput,
) -> Result<api::UpdateClassifierOutput, Failure> {
    let pin = decided(core, caller, account, input).await?;
    no_xml(input.xml_classifier.as_ref())?;
    let (csv, json, grok) = (&input.csv_classifier, &input.json_classifier, &input.grok_classifier);
    one_kind([csv.is_some(), json.is_some(), grok.is_some()])?;
    let names =
        [csv.as_ref().map(|csv| &csv.name), json.as_ref().map(|json| &json.name), grok.as_ref().map(|grok| &grok.name)];
    let name = names.into_iter().flatten().next().cloned().unwrap_or_default();
    let (row, raw) = core.find_classifier(account, &name).await?.ok_or_else(|| no_classifier(&name))?;
    let mut body = core.classifier_body(&row).await?;
    changed(input, &mut body)?;
    body.compiled()?;
    let mut ops = removed(&row.body);
    let kept = core.keep(0, &body, &mut ops)?;
    let key = rows::classifier(account, &name);
    let row = ClassifierRow { updated: core.now(), version: row.version + 1, body: kept, ..row };
    ops.push(Op::Put(key.clone(), tables::encode(&row)));
    core.commit(pin, vec![Cond::Equals(key, raw)], ops, false).await?;
    Ok(api::UpdateClassifierOutput {})
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetClassifierInput,
) -> Result<api::GetClassifierOutput, Failure> {
    decided(core, caller, account, input).await?;
    let (row, _) = core.find_classifier(account, &input.name).await?.ok_or_else(|| no_classifier(&input.name))?;
    let body = core.classifier_body(&row).await?;
    Ok(api::GetClassifierOutput { classifier: Some(body.show(input.name.clone(), &row)) })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetClassifiersInput,
) -> Result<api::GetClassifiersOutput, Failure> {
    decided(core, caller, account, input).await?;
    let limit = paging::limit(input.max_results, MAX_LISTED).min(MAX_LISTED);
    let (mut from, to) = prefix_range(rows::of_account(rows::CLASSIFIERS, account));
    if let Some(name) = paging::name_after(input.next_token.as_deref()).map_err(|_| bad_token())? {
        from = from.max(successor(&rows::classifier(account, &name)));
    }
    let found = core.page(from, to, limit + 1).await?;
    let more = found.len() > limit;
    let (mut classifiers, mut last) = (Vec::new(), None);
    for (key, raw) in found.into_iter().take(limit) {
        let (name, row): (String, ClassifierRow) = (rows::name_of(&key)?, decode(&raw)?);
        classifiers.push(core.classifier_body(&row).await?.show(name.clone(), &row));
        last = Some(name);
    }
    let next_token = last.filter(|_| more).map(paging::token);
    Ok(api::GetClassifiersOutput { classifiers: Some(classifiers), next_token })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteClassifierInput,
) -> Result<api::DeleteClassifierOutput, Failure> {
    let pin = decided(core, caller, account, input).await?;
    let (row, raw) = core.find_classifier(account, &input.name).await?.ok_or_else(|| no_classifier(&input.name))?;
    let key = rows::classifier(account, &input.name);
    let mut ops = removed(&row.body);
    ops.push(Op::Delete(key.clone()));
    core.commit(pin, vec![Cond::Equals(key, raw)], ops, true).await?;
    Ok(api::DeleteClassifierOutput {})
}
