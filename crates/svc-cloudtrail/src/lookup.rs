//! Looking events up, the newest first.

use millpond_api_cloudtrail::{Event, LookupAttributeKey, LookupEventsInput, LookupEventsOutput};
use millpond_kernel::ServiceError;
use millpond_kernel::audit::{DISORDER, HISTORY_AGE};
use millpond_meta::{Position, ReadError};
use millpond_types::{AccountId, Timestamp};

use crate::{CloudTrailParts, errors, event, token};

/// Events of a page, unless fewer are asked for (API reference).
const MAX_RESULTS: usize = 50;
/// Records that are read at once.
const READ: usize = 200;
/// Records that one call looks through; one that finds too little of what it wants answers with less and a token, as CloudTrail does.
const MAX_READ: usize = 10_000;

/// What is wanted.
struct Wanted {
    attribute: Option<(LookupAttributeKey, String)>,
    /// In whole seconds, both included.
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Wanted {
    fn of(input: &LookupEventsInput) -> Result<Self, ServiceError> {
        let attributes = input.lookup_attributes.as_deref().unwrap_or_default();
        let attribute = match attributes {
            [] => None,
            [one] => Some((one.attribute_key, one.attribute_value.clone())),
            _ => return Err(errors::attributes("Only one lookup attribute can be given.")),
        };
        if let Some((LookupAttributeKey::ReadOnly, value)) = &attribute
            && !["true", "false"].contains(&value.as_str())
        {
            return Err(errors::attributes("The value of the attribute ReadOnly is true or false."));
        }
        if let (Some(from), Some(until)) = (input.start_time, input.end_time)
            && until < from
        {
            return Err(errors::time_range());
        }
        Ok(Self { attribute, from: input.start_time, until: input.end_time })
    }

    /// Names the lookup; a token is good for the same one alone.
    fn name(&self, account: AccountId) -> String {
        format!("{account} {:?} {:?} {:?}", self.attribute, self.from, self.until)
    }

    fn in_time(&self, time: Timestamp) -> bool {
        let seconds = time.seconds();
        self.from.is_none_or(|from| seconds >= from.seconds())
            && self.until.is_none_or(|until| seconds <= until.seconds())
    }
}

fn unreadable(error: ReadError) -> ServiceError {
    tracing::error!(%error, "audit records cannot be read");
    errors::failed()
}

/// The events of an account that are wanted.
pub async fn events(
    parts: &CloudTrailParts,
    account: AccountId,
    input: LookupEventsInput,
) -> Result<LookupEventsOutput, ServiceError> {
    let wanted = Wanted::of(&input)?;
    let name = wanted.name(account);
    if input.event_category.is_some() {
        // Insights events: there is no trail that finds any.
        return Ok(LookupEventsOutput { events: Some(Vec::new()), next_token: None });
    }
    let limit = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(MAX_RESULTS);
    let before = match (&input.next_token, wanted.until) {
        (Some(token), _) => Some(token::open(&parts.vault, &name, token).ok_or_else(errors::next_token)?),
        (None, Some(until)) => parts.audit.until(account, until).await.map_err(unreadable)?,
        (None, None) => None,
    };
    let (mut events, next) = look(parts, account, &wanted, before, limit).await.map_err(unreadable)?;
    // Records lie in the order in which they were written; those of reads wait a moment.
    events.sort_by_key(|event| std::cmp::Reverse(event.event_time));
    let next_token = next.and_then(|next| token::seal(&parts.vault, &*parts.random, &name, next));
    Ok(LookupEventsOutput { events: Some(events), next_token })
}

/// At most `limit` events, and where to go on.
async fn look(
    parts: &CloudTrailParts,
    account: AccountId,
    wanted: &Wanted,
    mut before: Option<Position>,
    limit: usize,
) -> Result<(Vec<Event>, Option<Position>), ReadError> {
    let oldest =
        Timestamp(parts.clock.now().0.saturating_sub(u64::try_from(HISTORY_AGE.as_nanos()).unwrap_or(u64::MAX)));
    let mut events = Vec::new();
    for _ in 0..MAX_READ / READ {
        let page = parts.audit.page(account, before, READ).await?;
        for found in &page.found {
            if events.len() == limit {
                return Ok((events, before));
            }
            before = Some(found.position);
            if wanted.from.is_some_and(|from| found.time.plus(DISORDER) < from) {
                return Ok((events, None));
            }
            // What is due to be removed is gone already.
            if found.time >= oldest && wanted.in_time(found.time) {
                events.extend(event::matching(found, wanted.attribute.as_ref()));
            }
        }
        if page.end {
            return Ok((events, None));
        }
    }
    Ok((events, before))
}
