//! Which events a trail is about (CloudTrail User Guide, "Logging management events" and "Logging data events").

use millpond_api_cloudtrail::{
    AdvancedEventSelector, AdvancedFieldSelector, DataResource, EventSelector, ReadWriteType,
};
use millpond_kernel::ServiceError;

use crate::errors;
use crate::tables::{AdvancedRow, BasicRow, FieldRow, TrailRow};

/// Selectors of a trail (API reference, PutEventSelectors).
const MAX_BASIC: usize = 5;
/// Resources of all its basic selectors together (same page).
const MAX_RESOURCES: usize = 250;
/// Values of all conditions of its advanced selectors together (same page).
const MAX_VALUES: usize = 500;
/// What data events are of here.
const OBJECT: &str = "AWS::S3::Object";
/// Sources of management events that may be left out (same page).
const EXCLUDABLE: &[&str] = &["kms.amazonaws.com", "rdsdata.amazonaws.com"];
/// Services that are of no region.
const GLOBAL: &[&str] = &["iam.amazonaws.com", "sts.amazonaws.com"];

/// An event, as far as it is selected by.
#[derive(Clone, Debug, Default)]
pub struct Selected<'a> {
    pub data: bool,
    pub source: &'a str,
    pub name: &'a str,
    pub read_only: bool,
    pub caller: &'a str,
    /// ARNs of objects, and of buckets.
    pub resources: &'a [String],
}

const ALL: u32 = 1;
const READS: u32 = 2;
const WRITES: u32 = 3;

impl TrailRow {
    /// Whether the trail is about an event.
    pub fn selects(&self, event: &Selected<'_>) -> bool {
        if !event.data && !self.global && GLOBAL.contains(&event.source) {
            return false;
        }
        if !self.advanced.is_empty() {
            return self.advanced.iter().any(|selector| advanced(selector, event));
        }
        // Who says nothing is told of all management events.
        if self.basic.is_empty() { !event.data } else { self.basic.iter().any(|selector| basic(selector, event)) }
    }

    /// Whether the trail is about any data events.
    pub fn selects_data(&self) -> bool {
        let data =
            |field: &FieldRow| field.field == "eventCategory" && field.equals.iter().any(|value| value == "Data");
        self.basic.iter().any(|selector| !selector.objects.is_empty())
            || self.advanced.iter().any(|selector| selector.fields.iter().any(data))
    }

    /// The selectors as a client reads them: basic ones unless there are advanced ones.
    pub fn shown_selectors(&self) -> (Option<Vec<EventSelector>>, Option<Vec<AdvancedEventSelector>>) {
        if !self.advanced.is_empty() {
            return (None, Some(self.advanced.iter().map(shown_advanced).collect()));
        }
        let unset = BasicRow { which: ALL, management: true, ..BasicRow::default() };
        let basic = if self.basic.is_empty() { std::slice::from_ref(&unset) } else { &self.basic[..] };
        (Some(basic.iter().map(shown_basic).collect()), None)
    }
}

fn fits(which: u32, read_only: bool) -> bool {
    match which {
        READS => read_only,
        WRITES => !read_only,
        _ => true,
    }
}

/// Buckets are compared as the beginning of the ARNs of their objects.
fn as_beginning(arn: &str) -> String {
    if arn.contains('/') { arn.to_owned() } else { format!("{arn}/") }
}

fn basic(selector: &BasicRow, event: &Selected<'_>) -> bool {
    if !fits(selector.which, event.read_only) {
        return false;
    }
    if !event.data {
        return selector.management && !selector.excluded.iter().any(|source| source == event.source);
    }
    event.resources.iter().any(|arn| {
        let arn = as_beginning(arn);
        selector.objects.iter().any(|beginning| arn.starts_with(beginning.as_str()))
    })
}

fn advanced(selector: &AdvancedRow, event: &Selected<'_>) -> bool {
    let category = if event.data { "Data" } else { "Management" };
    selector.fields.iter().all(|field| match field.field.as_str() {
        "eventCategory" => holds(field, category),
        "readOnly" => holds(field, if event.read_only { "true" } else { "false" }),
        "eventSource" => holds(field, event.source),
        "eventName" => holds(field, event.name),
        "eventType" => holds(field, "AwsApiCall"),
        "userIdentity.arn" => holds(field, event.caller),
        "resources.type" => holds(field, OBJECT),
        // Of an object and its bucket, one has to do.
        "resources.ARN" => event.resources.iter().any(|arn| holds(field, &as_beginning(arn))),
        _ => false,
    })
}

fn holds(field: &FieldRow, value: &str) -> bool {
    let any = |values: &[String], is: fn(&str, &str) -> bool| values.iter().any(|wanted| is(value, wanted));
    let (equals, starts, ends) =
        (|a: &str, b: &str| a == b, |a: &str, b: &str| a.starts_with(b), |a: &str, b: &str| a.ends_with(b));
    let wanted = [any(&field.equals, equals), any(&field.starts, starts), any(&field.ends, ends)];
    let asked = !field.equals.is_empty() || !field.starts.is_empty() || !field.ends.is_empty();
    let unwanted = any(&field.not_equals, equals) || any(&field.not_starts, starts) || any(&field.not_ends, ends);
    (!asked || wanted.contains(&true)) && !unwanted
}

fn bad(message: impl Into<String>) -> ServiceError {
    errors::selectors(message)
}

/// The basic selectors that a client wants.
pub fn wanted_basic(selectors: Vec<EventSelector>) -> Result<Vec<BasicRow>, ServiceError> {
    if selectors.is_empty() || selectors.len() > MAX_BASIC {
        return Err(bad(format!("1 to {MAX_BASIC} event selectors are expected.")));
    }
    let rows: Vec<BasicRow> = selectors.into_iter().map(wanted_one).collect::<Result<_, _>>()?;
    if rows.iter().map(|row| row.objects.len()).sum::<usize>() > MAX_RESOURCES {
        return Err(bad(format!("A trail has at most {MAX_RESOURCES} data resources.")));
    }
    Ok(rows)
}

fn wanted_one(selector: EventSelector) -> Result<BasicRow, ServiceError> {
    let which = match selector.read_write_type {
        None | Some(ReadWriteType::All) => ALL,
        Some(ReadWriteType::ReadOnly) => READS,
        Some(ReadWriteType::WriteOnly) => WRITES,
    };
    let excluded = selector.exclude_management_event_sources.unwrap_or_default();
    if let Some(other) = excluded.iter().find(|source| !EXCLUDABLE.contains(&source.as_str())) {
        return Err(bad(format!(
            "Events of {other} cannot be left out: only those of {} can.",
            EXCLUDABLE.join(" and ")
        )));
    }
    let resources = selector.data_resources.unwrap_or_default();
    let mut objects = Vec::new();
    let data = !resources.is_empty();
    for DataResource { type_, values } in resources {
        match type_.as_deref() {
            Some(OBJECT) => {}
            // There are none of these yet, so that there is nothing to be told of them; accepting them would promise it for later.
            Some(other) => return Err(ServiceError::not_implemented(&format!("The data resource type {other}"))),
            None => return Err(bad("A data resource has a type.")),
        }
        for value in values.unwrap_or_default() {
            let whole = ["arn:aws:s3", "arn:aws:s3:::"].contains(&value.as_str());
            let (bucket, _) =
                value.strip_prefix("arn:aws:s3:::").and_then(|rest| rest.split_once('/')).unwrap_or_default();
            if !whole && bucket.is_empty() {
                return Err(bad(format!(
                    "Value {value} for DataResources.Values is invalid: arn:aws:s3 for all objects, or the ARN of a bucket with a slash behind it, and the beginning of its keys."
                )));
            }
            objects.push(value);
        }
    }
    Ok(BasicRow { which, management: selector.include_management_events.unwrap_or(true), excluded, data, objects })
}

fn shown_basic(row: &BasicRow) -> EventSelector {
    let resources = DataResource { type_: Some(OBJECT.to_owned()), values: Some(row.objects.clone()) };
    EventSelector {
        read_write_type: Some(match row.which {
            READS => ReadWriteType::ReadOnly,
            WRITES => ReadWriteType::WriteOnly,
            _ => ReadWriteType::All,
        }),
        include_management_events: Some(row.management),
        data_resources: Some(if row.data { vec![resources] } else { Vec::new() }),
        exclude_management_event_sources: Some(row.excluded.clone()),
    }
}

/// The advanced selectors that a client wants.
pub fn wanted_advanced(selectors: Vec<AdvancedEventSelector>) -> Result<Vec<AdvancedRow>, ServiceError> {
    if selectors.is_empty() {
        return Err(bad("At least one advanced event selector is expected."));
    }
    let rows: Vec<AdvancedRow> = selectors.into_iter().map(wanted_advanced_one).collect::<Result<_, _>>()?;
    let values = |field: &FieldRow| {
        [&field.equals, &field.starts, &field.ends, &field.not_equals, &field.not_starts, &field.not_ends]
            .iter()
            .map(|values| values.len())
            .sum::<usize>()
    };
    if rows.iter().flat_map(|row| &row.fields).map(values).sum::<usize>() > MAX_VALUES {
        return Err(bad(format!("The conditions of a trail have at most {MAX_VALUES} values.")));
    }
    Ok(rows)
}

fn wanted_advanced_one(selector: AdvancedEventSelector) -> Result<AdvancedRow, ServiceError> {
    let fields: Vec<FieldRow> = selector.field_selectors.into_iter().map(field_row).collect();
    let equals = |name: &str| fields.iter().find(|field| field.field == name).map(|field| field.equals.as_slice());
    let category = match equals("eventCategory") {
        Some([one]) => one.as_str(),
        _ => return Err(bad("An advanced event selector has one eventCategory, by Equals.")),
    };
    let known: &[&str] = match category {
        "Management" => &["eventCategory", "readOnly", "eventSource"],
        "Data" => &[
            "eventCategory",
            "readOnly",
            "eventSource",
            "eventName",
            "eventType",
            "resources.type",
            "resources.ARN",
            "userIdentity.arn",
        ],
        other => return Err(ServiceError::not_implemented(&format!("The event category {other}"))),
    };
    let mut seen = Vec::new();
    for field in &fields {
        let name = field.field.as_str();
        if !known.contains(&name) {
            return Err(bad(format!("The field {name} is not one of {category} events: {} are.", known.join(", "))));
        }
        if seen.contains(&name) {
            return Err(bad(format!("The field {name} comes twice.")));
        }
        seen.push(name);
        check_field(field, category)?;
    }
    match (category, equals("resources.type")) {
        ("Data", Some([one])) if one == OBJECT => {}
        ("Data", Some([other])) => {
            return Err(ServiceError::not_implemented(&format!("The data resource type {other}")));
        }
        ("Data", _) => return Err(bad("A selector of data events has one resources.type, by Equals.")),
        _ => {}
    }
    Ok(AdvancedRow { name: selector.name, fields })
}

fn check_field(field: &FieldRow, category: &str) -> Result<(), ServiceError> {
    let name = field.field.as_str();
    let others =
        [&field.starts, &field.ends, &field.not_starts, &field.not_ends].iter().any(|values| !values.is_empty());
    let only_equals = !others && field.not_equals.is_empty() && !field.equals.is_empty();
    if !others && field.not_equals.is_empty() && field.equals.is_empty() {
        return Err(bad(format!("The field {name} has no condition.")));
    }
    if ["eventCategory", "readOnly", "resources.type"].contains(&name) && !only_equals {
        return Err(bad(format!("The field {name} can be compared by Equals alone.")));
    }
    if name == "readOnly" && !matches!(field.equals.as_slice(), [one] if one == "true" || one == "false") {
        return Err(bad("The value of readOnly is true or false."));
    }
    let excludes =
        field.equals.is_empty() && !others && field.not_equals.iter().all(|v| EXCLUDABLE.contains(&v.as_str()));
    if category == "Management" && name == "eventSource" && !excludes {
        return Err(bad(
            "Of management events, eventSource can be NotEquals kms.amazonaws.com or rdsdata.amazonaws.com alone.",
        ));
    }
    Ok(())
}

fn field_row(field: AdvancedFieldSelector) -> FieldRow {
    FieldRow {
        field: field.field,
        equals: field.equals.unwrap_or_default(),
        starts: field.starts_with.unwrap_or_default(),
        ends: field.ends_with.unwrap_or_default(),
        not_equals: field.not_equals.unwrap_or_default(),
        not_starts: field.not_starts_with.unwrap_or_default(),
        not_ends: field.not_ends_with.unwrap_or_default(),
    }
}

fn shown_advanced(row: &AdvancedRow) -> AdvancedEventSelector {
    let some = |values: &Vec<String>| Some(values.clone()).filter(|values| !values.is_empty());
    let field = |field: &FieldRow| AdvancedFieldSelector {
        field: field.field.clone(),
        equals: some(&field.equals),
        starts_with: some(&field.starts),
        ends_with: some(&field.ends),
        not_equals: some(&field.not_equals),
        not_starts_with: some(&field.not_starts),
        not_ends_with: some(&field.not_ends),
    };
    AdvancedEventSelector { name: row.name.clone(), field_selectors: row.fields.iter().map(field).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(basic: Vec<EventSelector>, advanced: Vec<AdvancedEventSelector>) -> Result<TrailRow, String> {
        let told = |error: ServiceError| error.code.into_owned();
        Ok(TrailRow {
            global: true,
            basic: if basic.is_empty() { Vec::new() } else { wanted_basic(basic).map_err(told)? },
            advanced: if advanced.is_empty() { Vec::new() } else { wanted_advanced(advanced).map_err(told)? },
            ..TrailRow::default()
        })
    }

    fn objects(which: ReadWriteType, values: &[&str]) -> EventSelector {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        EventSelector {
            read_write_type: Some(which),
            include_management_events: Some(false),
            data_resources: Some(vec![DataResource { type_: Some(OBJECT.into()), values: Some(values) }]),
            exclude_management_event_sources: None,
        }
    }

    fn fields(all: &[(&str, &str, &[&str])]) -> AdvancedEventSelector {
        let one = |(field, operator, values): &(&str, &str, &[&str])| {
            let values = |name: &str| (*operator == name).then(|| values.iter().map(|v| (*v).to_owned()).collect());
            AdvancedFieldSelector {
                field: (*field).to_owned(),
                equals: values("="),
                starts_with: values("^"),
                ends_with: values("$"),
                not_equals: values("!="),
                not_starts_with: values("!^"),
                not_ends_with: values("!$"),
            }
        };
        AdvancedEventSelector { name: None, field_selectors: all.iter().map(one).collect() }
    }

    const DATA: (&str, &str, &[&str]) = ("eventCategory", "=", &["Data"]);
    const OBJECTS: (&str, &str, &[&str]) = ("resources.type", "=", &[OBJECT]);

    #[test]
    fn data_events_are_selected_by_what_they_are_about() {
        use ReadWriteType::{All, ReadOnly, WriteOnly};
        let key = ["arn:aws:s3:::bucket/logs/a".to_owned(), "arn:aws:s3:::bucket".to_owned()];
        let listing = ["arn:aws:s3:::bucket".to_owned()];
        for (trail, name, resources, expected) in [
            (trail(vec![objects(All, &["arn:aws:s3"])], vec![]), "PutObject", &key[..], true),
            (trail(vec![objects(All, &["arn:aws:s3:::bucket/"])], vec![]), "GetObject", &key, true),
            (trail(vec![objects(All, &["arn:aws:s3:::bucket/"])], vec![]), "ListObjects", &listing, true),
            (trail(vec![objects(All, &["arn:aws:s3:::bucket/logs/"])], vec![]), "GetObject", &key, true),
            (trail(vec![objects(All, &["arn:aws:s3:::bucket/logs/"])], vec![]), "ListObjects", &listing, false),
            (trail(vec![objects(All, &["arn:aws:s3:::buck/"])], vec![]), "GetObject", &key, false),
            (trail(vec![objects(ReadOnly, &["arn:aws:s3"])], vec![]), "PutObject", &key, false),
            (trail(vec![objects(WriteOnly, &["arn:aws:s3"])], vec![]), "PutObject", &key, true),
            (trail(vec![], vec![]), "PutObject", &key, false),
            (trail(vec![], vec![fields(&[DATA, OBJECTS])]), "GetObject", &key, true),
            (
                trail(vec![], vec![fields(&[DATA, OBJECTS, ("eventName", "=", &["PutObject"])])]),
                "GetObject",
                &key,
                false,
            ),
            (
                trail(vec![], vec![fields(&[DATA, OBJECTS, ("eventName", "^", &["Put", "Delete"])])]),
                "PutObject",
                &key,
                true,
            ),
            (trail(vec![], vec![fields(&[DATA, OBJECTS, ("eventName", "!^", &["Put"])])]), "PutObject", &key, false),
            (
                trail(vec![], vec![fields(&[DATA, OBJECTS, ("resources.ARN", "^", &["arn:aws:s3:::bucket/"])])]),
                "PutObject",
                &key,
                true,
            ),
            (
                trail(vec![], vec![fields(&[DATA, OBJECTS, ("resources.ARN", "^", &["arn:aws:s3:::other/"])])]),
                "PutObject",
                &key,
                false,
            ),
            (trail(vec![], vec![fields(&[DATA, OBJECTS, ("readOnly", "=", &["true"])])]), "PutObject", &key, false),
            (trail(vec![], vec![fields(&[("eventCategory", "=", &["Management"])])]), "PutObject", &key, false),
        ] {
            let trail = trail.unwrap();
            let read_only = name.starts_with("Get") || name.starts_with("List");
            let (source, caller) = ("s3.amazonaws.com", "arn:aws:iam::123456789012:root");
            let event = Selected { data: true, source, name, read_only, caller, resources };
            assert_eq!(trail.selects(&event), expected, "{name} {trail:?}");
            assert!(!expected || trail.selects_data());
        }
    }

    #[test]
    fn management_events_are_selected_by_what_they_do() {
        let kms = |exclude: bool| EventSelector {
            exclude_management_event_sources: exclude.then(|| vec!["kms.amazonaws.com".to_owned()]),
            ..EventSelector::default()
        };
        let writes = EventSelector { read_write_type: Some(ReadWriteType::WriteOnly), ..EventSelector::default() };
        let not_kms = fields(&[("eventCategory", "=", &["Management"]), ("eventSource", "!=", &["kms.amazonaws.com"])]);
        for (trail, source, read_only, expected) in [
            (trail(vec![], vec![]), "iam.amazonaws.com", false, true),
            (trail(vec![kms(true)], vec![]), "kms.amazonaws.com", true, false),
            (trail(vec![kms(false)], vec![]), "kms.amazonaws.com", true, true),
            (trail(vec![writes.clone()], vec![]), "iam.amazonaws.com", true, false),
            (trail(vec![writes], vec![]), "iam.amazonaws.com", false, true),
            (trail(vec![], vec![not_kms.clone()]), "kms.amazonaws.com", true, false),
            (trail(vec![], vec![not_kms]), "iam.amazonaws.com", true, true),
            (trail(vec![objects(ReadWriteType::All, &["arn:aws:s3"])], vec![]), "iam.amazonaws.com", false, false),
            (trail(vec![], vec![]).map(|trail| TrailRow { global: false, ..trail }), "iam.amazonaws.com", false, false),
            (trail(vec![], vec![]).map(|trail| TrailRow { global: false, ..trail }), "kms.amazonaws.com", false, true),
        ] {
            let trail = trail.unwrap();
            let event = Selected { source, read_only, name: "X", ..Selected::default() };
            assert_eq!(trail.selects(&event), expected, "{source} {read_only} {trail:?}");
        }
    }

    #[test]
    fn selectors_that_cannot_be_are_refused() {
        let lambda = EventSelector {
            data_resources: Some(vec![DataResource { type_: Some("AWS::Lambda::Function".into()), values: None }]),
            ..EventSelector::default()
        };
        let source = EventSelector {
            exclude_management_event_sources: Some(vec!["s3.amazonaws.com".into()]),
            ..EventSelector::default()
        };
        let invalid = "InvalidEventSelectorsException";
        for (basic, advanced, code) in [
            (vec![lambda], vec![], "NotImplemented"),
            (vec![source], vec![], invalid),
            (vec![objects(ReadWriteType::All, &["arn:aws:s3:::bucket"])], vec![], invalid),
            (vec![objects(ReadWriteType::All, &["bucket/"])], vec![], invalid),
            (vec![EventSelector::default(); 6], vec![], invalid),
            (vec![], vec![fields(&[OBJECTS])], invalid),
            (vec![], vec![fields(&[DATA])], invalid),
            (vec![], vec![fields(&[DATA, OBJECTS, ("vpcEndpointId", "=", &["v"])])], invalid),
            (vec![], vec![fields(&[DATA, OBJECTS, ("eventName", "", &[])])], invalid),
            (vec![], vec![fields(&[DATA, OBJECTS, ("readOnly", "=", &["yes"])])], invalid),
            (vec![], vec![fields(&[DATA, DATA, OBJECTS])], invalid),
            (vec![], vec![fields(&[DATA, ("resources.type", "=", &["AWS::Lambda::Function"])])], "NotImplemented"),
            (vec![], vec![fields(&[("eventCategory", "=", &["NetworkActivity"])])], "NotImplemented"),
        ] {
            assert_eq!(trail(basic, advanced.clone()).unwrap_err(), code, "{advanced:?}");
        }
    }
}
