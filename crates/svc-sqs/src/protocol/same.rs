//! The two protocols have types of their own for the same inputs and outputs. Handlers work with those of the JSON protocol; here the others
//! become them, and they the others, member by member: what one protocol gets the other cannot forget.

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_api_sqs as json;
use millpond_api_sqs_query as query;
use millpond_wire::{FormPairs, ParseError, RequestView, ResponseParts, TimeFormat};

use super::{Input, Output};

/// The same in the other protocol.
trait Same<T> {
    fn same(self) -> T;
}

macro_rules! itself {
    ($($type:ty)*) => {
        $(impl Same<$type> for $type {
            fn same(self) -> $type {
                self
            }
        })*
    };
}

itself! { String bool i32 i64 Bytes }

impl<A: Same<B>, B> Same<Option<B>> for Option<A> {
    fn same(self) -> Option<B> {
        self.map(A::same)
    }
}

impl<A: Same<B>, B> Same<Vec<B>> for Vec<A> {
    fn same(self) -> Vec<B> {
        self.into_iter().map(A::same).collect()
    }
}

impl<A: Same<B>, B> Same<BTreeMap<String, B>> for BTreeMap<String, A> {
    fn same(self) -> BTreeMap<String, B> {
        self.into_iter().map(|(key, value)| (key, value.same())).collect()
    }
}

macro_rules! shapes {
    ($from:ident => $to:ident: $($name:ident { $($member:ident),* })*) => {
        $(impl Same<$to::$name> for $from::$name {
            fn same(self) -> $to::$name {
                let Self { $($member),* } = self;
                $to::$name { $($member: $member.same()),* }
            }
        })*
    };
}

shapes! { query => json:
    ChangeMessageVisibilityBatchRequestEntry { id, receipt_handle, visibility_timeout }
    DeleteMessageBatchRequestEntry { id, receipt_handle }
    MessageAttributeValue { string_value, binary_value, string_list_values, binary_list_values, data_type }
    MessageSystemAttributeValue { string_value, binary_value, string_list_values, binary_list_values, data_type }
    SendMessageBatchRequestEntry { id, message_body, delay_seconds, message_attributes, message_system_attributes, message_deduplication_id, message_group_id }
}

shapes! { json => query:
    BatchResultErrorEntry { id, sender_fault, code, message }
    ChangeMessageVisibilityBatchResultEntry { id }
    DeleteMessageBatchResultEntry { id }
    ListMessageMoveTasksResultEntry { task_handle, status, source_arn, destination_arn, max_number_of_messages_per_second, approximate_number_of_messages_moved, approximate_number_of_messages_to_move, failure_reason, started_timestamp }
    Message { message_id, receipt_handle, md5_of_body, body, attributes, md5_of_message_attributes, message_attributes }
    MessageAttributeValue { string_value, binary_value, string_list_values, binary_list_values, data_type }
    SendMessageBatchResultEntry { id, message_id, md5_of_message_body, md5_of_message_attributes, md5_of_message_system_attributes, sequence_number }
}

macro_rules! inputs {
    ($($operation:ident: $input:ident { $($member:ident),* } => $output:ident)*) => {
        $(impl Input for json::$input {
            const NAME: &'static str = stringify!($operation);
            type Output = json::$output;

            fn json(view: &RequestView<'_>) -> Result<Self, ParseError> {
                Self::parse(view)
            }

            fn form(form: &FormPairs<'_>) -> Result<Self, ParseError> {
                let query::$input { $($member),* } = query::$input::parse_form(form)?;
                Ok(Self { $($member: $member.same()),* })
            }
        })*
    };
}

inputs! {
    AddPermission: AddPermissionInput { queue_url, label, aws_account_ids, actions } => AddPermissionOutput
    CancelMessageMoveTask: CancelMessageMoveTaskInput { task_handle } => CancelMessageMoveTaskOutput
    ChangeMessageVisibility: ChangeMessageVisibilityInput { queue_url, receipt_handle, visibility_timeout } => ChangeMessageVisibilityOutput
    ChangeMessageVisibilityBatch: ChangeMessageVisibilityBatchInput { queue_url, entries } => ChangeMessageVisibilityBatchOutput
    CreateQueue: CreateQueueInput { queue_name, attributes, tags } => CreateQueueOutput
    DeleteMessage: DeleteMessageInput { queue_url, receipt_handle } => DeleteMessageOutput
    DeleteMessageBatch: DeleteMessageBatchInput { queue_url, entries } => DeleteMessageBatchOutput
    DeleteQueue: DeleteQueueInput { queue_url } => DeleteQueueOutput
    GetQueueAttributes: GetQueueAttributesInput { queue_url, attribute_names } => GetQueueAttributesOutput
    GetQueueUrl: GetQueueUrlInput { queue_name, queue_owner_aws_account_id } => GetQueueUrlOutput
    ListDeadLetterSourceQueues: ListDeadLetterSourceQueuesInput { queue_url, next_token, max_results } => ListDeadLetterSourceQueuesOutput
    ListMessageMoveTasks: ListMessageMoveTasksInput { source_arn, max_results } => ListMessageMoveTasksOutput
    ListQueueTags: ListQueueTagsInput { queue_url } => ListQueueTagsOutput
    ListQueues: ListQueuesInput { queue_name_prefix, next_token, max_results } => ListQueuesOutput
    PurgeQueue: PurgeQueueInput { queue_url } => PurgeQueueOutput
    RemovePermission: RemovePermissionInput { queue_url, label } => RemovePermissionOutput
    SendMessage: SendMessageInput { queue_url, message_body, delay_seconds, message_attributes, message_system_attributes, message_deduplication_id, message_group_id } => SendMessageOutput
    SendMessageBatch: SendMessageBatchInput { queue_url, entries } => SendMessageBatchOutput
    SetQueueAttributes: SetQueueAttributesInput { queue_url, attributes } => SetQueueAttributesOutput
    StartMessageMoveTask: StartMessageMoveTaskInput { source_arn, destination_arn, max_number_of_messages_per_second } => StartMessageMoveTaskOutput
    TagQueue: TagQueueInput { queue_url, tags } => TagQueueOutput
    UntagQueue: UntagQueueInput { queue_url, tag_keys } => UntagQueueOutput
}

impl Input for json::ReceiveMessageInput {
    const NAME: &'static str = "ReceiveMessage";
    type Output = json::ReceiveMessageOutput;

    fn json(view: &RequestView<'_>) -> Result<Self, ParseError> {
        Self::parse(view)
    }

    fn form(form: &FormPairs<'_>) -> Result<Self, ParseError> {
        let input = query::ReceiveMessageInput::parse_form(form)?;
        // Younger than the model of this protocol, yet served by AWS.
        let system = form.root().child("MessageSystemAttributeName");
        let system =
            system.map(|node| node.list(None, |item| item.scalar::<String>(TimeFormat::Iso8601))).transpose()?;
        Ok(Self {
            queue_url: input.queue_url,
            attribute_names: input.attribute_names,
            message_system_attribute_names: system,
            message_attribute_names: input.message_attribute_names,
            max_number_of_messages: input.max_number_of_messages,
            visibility_timeout: input.visibility_timeout,
            wait_time_seconds: input.wait_time_seconds,
            receive_request_attempt_id: input.receive_request_attempt_id,
        })
    }
}

macro_rules! outputs {
    ($($name:ident { $($member:ident),* })*) => {
        $(impl Output for json::$name {
            fn json(self) -> ResponseParts {
                self.write()
            }

            fn form(self, request_id: &str) -> ResponseParts {
                let Self { $($member),* } = self;
                query::$name { $($member: $member.same()),* }.write(request_id)
            }
        })*
    };
}

outputs! {
    AddPermissionOutput {}
    CancelMessageMoveTaskOutput { approximate_number_of_messages_moved }
    ChangeMessageVisibilityOutput {}
    ChangeMessageVisibilityBatchOutput { successful, failed }
    CreateQueueOutput { queue_url }
    DeleteMessageOutput {}
    DeleteMessageBatchOutput { successful, failed }
    DeleteQueueOutput {}
    GetQueueAttributesOutput { attributes }
    GetQueueUrlOutput { queue_url }
    ListDeadLetterSourceQueuesOutput { queue_urls, next_token }
    ListMessageMoveTasksOutput { results }
    ListQueueTagsOutput { tags }
    ListQueuesOutput { queue_urls, next_token }
    PurgeQueueOutput {}
    ReceiveMessageOutput { messages }
    RemovePermissionOutput {}
    SendMessageOutput { md5_of_message_body, md5_of_message_attributes, md5_of_message_system_attributes, message_id, sequence_number }
    SendMessageBatchOutput { successful, failed }
    SetQueueAttributesOutput {}
    StartMessageMoveTaskOutput { task_handle }
    TagQueueOutput {}
    UntagQueueOutput {}
}
