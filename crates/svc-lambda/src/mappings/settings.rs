//! What a mapping may be (Lambda API reference, CreateEventSourceMapping; Developer Guide, the parameters of each event source).

use millpond_api_lambda as api;
use millpond_kernel::Rejection;
use millpond_pattern::{MAX_PATTERN_BYTES, Pattern};
use millpond_types::Arn;

use super::rows::MappingRow;
use super::{Acting, Kind};
use crate::errors::{LambdaError, parameter, unserved};
use crate::state::Core;

/// Records of a batch, of a queue and of a stream, unless said otherwise.
const USUAL_MESSAGES: u32 = 10;
const USUAL_RECORDS: u32 = 100;
/// Records of a batch at most, and without a window of a queue.
const MAX_BATCH: u32 = 10_000;
const MAX_UNGATHERED: u32 = 10;
/// Filters of a mapping (Developer Guide, "Lambda quotas").
const MAX_FILTERS: usize = 10;

/// What is given when a mapping is made or changed; what is not stays.
#[derive(Debug, Default)]
pub(crate) struct Given<'a> {
    pub enabled: Option<bool>,
    pub batch: Option<i32>,
    pub window: Option<i32>,
    pub start: Option<api::EventSourcePosition>,
    pub filters: Option<&'a api::FilterCriteria>,
    pub types: Option<&'a [api::FunctionResponseType]>,
    pub bisect: Option<bool>,
    pub retries: Option<i32>,
    pub age: Option<i32>,
    pub destinations: Option<&'a api::DestinationConfig>,
    pub scaling: Option<&'a api::ScalingConfig>,
    pub factor: Option<i32>,
    pub tumbling: Option<i32>,
    /// Names of parameters that are not carried out, and whether each is given.
    pub others: Vec<(&'static str, bool)>,
}

/// Parameters that both operations have and that are not carried out.
#[macro_export]
#[doc(hidden)]
macro_rules! unserved_of_mappings {
    ($input:ident) => {
        vec![
            ("KMSKeyArn", $input.kms_key_arn.is_some()),
            ("MetricsConfig", $input.metrics_config.is_some()),
            ("LoggingConfig", $input.logging_config.is_some()),
            ("SourceAccessConfigurations", $input.source_access_configurations.is_some()),
            ("AmazonManagedKafkaEventSourceConfig", $input.amazon_managed_kafka_event_source_config.is_some()),
            ("SelfManagedKafkaEventSourceConfig", $input.self_managed_kafka_event_source_config.is_some()),
            ("DocumentDBEventSourceConfig", $input.document_db_event_source_config.is_some()),
            ("ProvisionedPollerConfig", $input.provisioned_poller_config.is_some()),
        ]
    };
}

/// The kind of a source, where it is one that is served.
pub(crate) fn kind(core: &Core, source: &Arn) -> Result<Kind, LambdaError> {
    let (service, resource) = (source.service(), source.resource());
    if !source.region().is_empty() && source.region() != core.kernel.region().as_str() {
        return Err(parameter(format!("The event source {source} is of another region.")));
    }
    match service {
        "sqs" if core.kernel.queues().is_some() => Ok(Kind::Queue),
        "dynamodb" if core.kernel.table_streams().is_some() => {
            let parts: Vec<&str> = resource.split('/').collect();
            match parts.as_slice() {
                ["table", _, "stream", _] => Ok(Kind::Stream),
                _ => Err(parameter(format!("Unrecognized event source, must be a stream of a table: {source}"))),
            }
        }
        "sqs" | "dynamodb" | "kinesis" | "kafka" | "mq" | "rds" => {
            Err(unserved(format!("an event source of the service {service}")))
        }
        _ => Err(parameter("Unrecognized event source, must be kinesis, dynamodb stream or sqs.")),
    }
}

fn within(name: &str, given: Option<i32>, least: i32, most: u32) -> Result<Option<u32>, LambdaError> {
    let Some(given) = given else { return Ok(None) };
    let fits = given >= least && u32::try_from(given).is_ok_and(|given| given <= most);
    let wrong = || {
        let (bound, is) = if given < least { (i64::from(least), "greater") } else { (i64::from(most), "less") };
        LambdaError::Validation(format!(
            "Value '{given}' at '{name}' failed to satisfy constraint: Member must have value {is} than or equal to {bound}"
        ))
    };
    if fits { Ok(u32::try_from(given).ok()) } else { Err(wrong()) }
}

/// A number of which -1 means that there is no end.
fn endless(name: &str, given: Option<i32>, least: i32, most: i32) -> Result<Option<i32>, LambdaError> {
    match given {
        Some(given) if given != -1 && !(least..=most).contains(&given) => {
            Err(parameter(format!("{name} must be -1 or between {least} and {most}.")))
        }
        given => Ok(given),
    }
}

/// The patterns of filters.
fn filters(given: &api::FilterCriteria) -> Result<Vec<String>, LambdaError> {
    let given = given.filters.as_deref().unwrap_or_default();
    if given.len() > MAX_FILTERS {
        return Err(parameter(format!("A mapping has at most {MAX_FILTERS} filters.")));
    }
    let one = |filter: &api::Filter| {
        let text = filter.pattern.clone().unwrap_or_default();
        if text.len() > MAX_PATTERN_BYTES {
            return Err(parameter(format!("A filter pattern has at most {MAX_PATTERN_BYTES} bytes.")));
        }
        match Pattern::parse(&text) {
            Ok(_) => Ok(text),
            Err(error) => Err(parameter(format!("Invalid filter pattern definition. ({error})"))),
        }
    };
    given.iter().map(one).collect()
}

impl Given<'_> {
    fn refuse_unserved(&self) -> Result<(), LambdaError> {
        let mut given = self.others.iter().copied().chain([
            ("ParallelizationFactor above 1", self.factor.is_some_and(|factor| factor > 1)),
            ("TumblingWindowInSeconds", self.tumbling.is_some_and(|window| window > 0)),
            (
                "DestinationConfig.OnSuccess of an event source mapping",
                self.destinations.is_some_and(|to| to.on_success.as_ref().is_some_and(|to| to.destination.is_some())),
            ),
        ]);
        match given.find(|(_, given)| *given) {
            Some((name, _)) => Err(unserved(name)),
            None => Ok(()),
        }
    }

    /// Parameters that the other kind of source has.
    fn refuse_unfit(&self, kind: Kind) -> Result<(), LambdaError> {
        let unfit: &[(&str, bool)] = match kind {
            Kind::Queue => &[
                ("StartingPosition", self.start.is_some()),
                ("BisectBatchOnFunctionError", self.bisect == Some(true)),
                ("MaximumRetryAttempts", self.retries.is_some()),
                ("MaximumRecordAgeInSeconds", self.age.is_some()),
                ("DestinationConfig", self.failure().is_some()),
                ("ParallelizationFactor", self.factor.is_some()),
            ],
            Kind::Stream => &[("ScalingConfig", self.scaling.is_some())],
        };
        let what = if kind == Kind::Queue { "SQS" } else { "DynamoDB" };
        match unfit.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(parameter(format!("{name} is not supported for {what} event sources."))),
            None => Ok(()),
        }
    }

    fn failure(&self) -> Option<&str> {
        self.destinations?.on_failure.as_ref()?.destination.as_deref().filter(|to| !to.is_empty())
    }

    /// Changes a row by what is given. `new` of one that is made.
    pub fn apply(&self, row: &mut MappingRow, kind: Kind, new: bool) -> Result<(), LambdaError> {
        self.refuse_unserved()?;
        self.refuse_unfit(kind)?;
        let usual = if kind == Kind::Queue { USUAL_MESSAGES } else { USUAL_RECORDS };
        row.enabled = self.enabled.unwrap_or(row.enabled || new);
        row.batch = within("batchSize", self.batch, 1, MAX_BATCH)?.unwrap_or(if new { usual } else { row.batch });
        row.window = within("maximumBatchingWindowInSeconds", self.window, 0, 300)?.unwrap_or(row.window);
        if new {
            (row.retries, row.age) = (-1, -1);
            row.start = self.starting(kind)?;
        }
        row.retries = endless("MaximumRetryAttempts", self.retries, 0, 10_000)?.unwrap_or(row.retries);
        row.age = endless("MaximumRecordAgeInSeconds", self.age, 60, 604_800)?.unwrap_or(row.age);
        row.bisect = self.bisect.unwrap_or(row.bisect);
        if let Some(given) = self.filters {
            row.filters = filters(given)?;
        }
        if let Some(types) = self.types {
            row.partial = !types.is_empty();
        }
        if self.destinations.is_some() {
            row.on_failure = self.failure().map(str::to_owned);
        }
        if let Some(scaling) = self.scaling {
            row.concurrency = within("scalingConfig.maximumConcurrency", scaling.maximum_concurrency, 2, 1_000)?;
        }
        if kind == Kind::Queue {
            check_queue(row)?;
        }
        Ok(())
    }

    fn starting(&self, kind: Kind) -> Result<u32, LambdaError> {
        match (kind, self.start) {
            (Kind::Queue, _) => Ok(0),
            (Kind::Stream, Some(api::EventSourcePosition::TrimHorizon)) => Ok(1),
            (Kind::Stream, Some(api::EventSourcePosition::Latest)) => Ok(2),
            (Kind::Stream, Some(_)) => Err(parameter(
                "Unsupported starting position for arn type: a table's stream begins at TRIM_HORIZON or LATEST.",
            )),
            (Kind::Stream, None) => Err(parameter(
                "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.",
            )),
        }
    }
}

/// What depends on the queue.
fn check_queue(row: &MappingRow) -> Result<(), LambdaError> {
    let fifo = row.source.ends_with(".fifo");
    if fifo && row.window > 0 {
        return Err(parameter("Batching window is not supported for FIFO queues."));
    }
    if row.batch <= MAX_UNGATHERED {
        return Ok(());
    }
    if fifo {
        return Err(parameter("Maximum batch size for FIFO queues is 10."));
    }
    if row.window == 0 {
        return Err(parameter(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        ));
    }
    Ok(())
}

impl Core {
    /// Whether a mapping's role can do what is needed, and its function what the source wants.
    pub async fn check_source(&self, row: &MappingRow, kind: Kind, acting: &Acting) -> Result<(), LambdaError> {
        let source = Arn::parse(&row.source).ok_or_else(|| parameter("Unrecognized event source."))?;
        match kind {
            Kind::Queue => self.check_queue_source(&source, acting).await?,
            Kind::Stream => self.check_stream_source(&source, acting).await?,
        }
        let Some(text) = row.on_failure.as_deref() else { return Ok(()) };
        let to = Arn::parse(text).ok_or_else(|| parameter(format!("The destination {text} is not an ARN.")))?;
        if !["sqs", "sns"].contains(&to.service()) || !self.kernel.targets().has(to.service()) {
            return Err(unserved(format!("an OnFailure destination of the service {}", to.service())));
        }
        if text.ends_with(".fifo") {
            return Err(parameter(format!("The destination {text} must not be a FIFO queue or topic.")));
        }
        let refused =
            |why: &str| parameter(format!("The provided execution role cannot send to the destination {text}: {why}"));
        match self.kernel.targets().check(&to, &acting.caller).await {
            Ok(()) => Ok(()),
            Err(Rejection::Failed(why)) => Err(LambdaError::Internal(why)),
            Err(rejection) => Err(refused(&rejection.to_string())),
        }
    }

    async fn check_queue_source(&self, source: &Arn, acting: &Acting) -> Result<(), LambdaError> {
        let Some(queues) = self.kernel.queues() else { return Err(unserved("an event source of the service sqs")) };
        let facts = match queues.facts(source, &acting.caller).await {
            Ok(facts) => facts,
            Err(Rejection::NotFound(_)) => {
                return Err(parameter(format!(
                    "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist: {source}"
                )));
            }
            Err(Rejection::Failed(why)) => return Err(LambdaError::Internal(why)),
            Err(_) => {
                return Err(parameter(
                    "The provided execution role does not have permissions to call GetQueueAttributes on SQS",
                ));
            }
        };
        match queues.may_take(source, &acting.caller).await {
            Ok(()) => {}
            Err(Rejection::Denied(action)) => {
                let words = format!("The provided execution role does not have permissions to call {action} on SQS");
                return Err(parameter(words));
            }
            Err(why) => return Err(LambdaError::Internal(why.to_string())),
        }
        let (visible, timeout) = (facts.visibility.as_secs(), u64::from(acting.version.row.timeout));
        if visible < timeout {
            return Err(parameter(format!(
                "Queue visibility timeout: {visible} seconds is less than Function timeout: {timeout} seconds"
            )));
        }
        Ok(())
    }

    async fn check_stream_source(&self, source: &Arn, acting: &Acting) -> Result<(), LambdaError> {
        let Some(streams) = self.kernel.table_streams() else {
            return Err(unserved("an event source of the service dynamodb"));
        };
        match streams.shards(source, &acting.caller).await {
            Ok(_) => Ok(()),
            Err(Rejection::NotFound(_)) => Err(parameter(format!("Stream not found: {source}"))),
            Err(Rejection::Failed(why)) => Err(LambdaError::Internal(why)),
            Err(_) => Err(parameter(format!(
                "Cannot access stream {source}. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM."
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(kind: Kind, source: &str, given: Given<'_>) -> Result<MappingRow, String> {
        let mut row = MappingRow { source: source.to_owned(), ..MappingRow::default() };
        given.apply(&mut row, kind, true).map_err(|error| error.to_string())?;
        Ok(row)
    }

    #[test]
    fn what_a_mapping_is_usually() {
        let row = made(Kind::Queue, "q", Given::default()).unwrap();
        assert_eq!((row.enabled, row.batch, row.window, row.start), (true, 10, 0, 0));
        let start = Some(api::EventSourcePosition::Latest);
        let row = made(Kind::Stream, "s", Given { start, ..Given::default() }).unwrap();
        assert_eq!((row.batch, row.start, row.retries, row.age), (100, 2, -1, -1));
    }

    #[test]
    fn what_is_refused() {
        let start = Some(api::EventSourcePosition::TrimHorizon);
        for (kind, source, given, expected) in [
            (Kind::Stream, "s", Given::default(), "Value null at 'startingPosition'"),
            (
                Kind::Stream,
                "s",
                Given { start: Some(api::EventSourcePosition::AtTimestamp), ..Given::default() },
                "Unsupported starting position",
            ),
            (Kind::Stream, "s", Given { start, factor: Some(2), ..Given::default() }, "ParallelizationFactor above 1"),
            (Kind::Stream, "s", Given { start, tumbling: Some(2), ..Given::default() }, "TumblingWindowInSeconds"),
            (Kind::Stream, "s", Given { start, age: Some(59), ..Given::default() }, "MaximumRecordAgeInSeconds"),
            (
                Kind::Stream,
                "s",
                Given { start, batch: Some(10_001), ..Given::default() },
                "less than or equal to 10000",
            ),
            (Kind::Queue, "q", Given { batch: Some(0), ..Given::default() }, "greater than or equal to 1"),
            (Kind::Queue, "q", Given { batch: Some(11), ..Given::default() }, "Maximum batch window in seconds"),
            (Kind::Queue, "q.fifo", Given { batch: Some(11), ..Given::default() }, "for FIFO queues is 10"),
            (Kind::Queue, "q.fifo", Given { window: Some(1), ..Given::default() }, "not supported for FIFO"),
            (Kind::Queue, "q", Given { start, ..Given::default() }, "StartingPosition is not supported for SQS"),
            (Kind::Queue, "q", Given { others: vec![("KMSKeyArn", true)], ..Given::default() }, "KMSKeyArn"),
        ] {
            let text = format!("{given:?}");
            let error = made(kind, source, given).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let gathered = Given { batch: Some(10_000), window: Some(1), ..Given::default() };
        assert!(made(Kind::Queue, "q", gathered).is_ok());
    }

    #[test]
    fn filters_are_patterns() {
        let criteria = |patterns: &[&str]| api::FilterCriteria {
            filters: Some(patterns.iter().map(|text| api::Filter { pattern: Some((*text).to_owned()) }).collect()),
        };
        assert_eq!(filters(&criteria(&[r#"{"a": [1]}"#])).unwrap(), [r#"{"a": [1]}"#]);
        assert!(filters(&criteria(&["{"])).is_err());
        assert!(filters(&criteria(&[r#"{"a": [1]}"#; 11])).is_err());
        assert!(filters(&criteria(&[])).unwrap().is_empty());
    }
}
