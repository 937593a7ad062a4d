#!/usr/bin/env bash
# Events that are filtered by what is in them, so that nobody downstream gets what it would throw away: transactions of cash machines, and changes of
# objects both as S3 tells them and as CloudTrail records them. Queues and a function consume them. Needs the aws CLI, curl, Python, and a running server
# whose root credentials (or those of an administrator) are in the environment:
#
#   AWS_ENDPOINT_URL=http://127.0.0.1:9000 AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... examples/content-filtering/run.sh [NAME]
#
# NAME begins the names of its buckets. What it makes stays there afterwards, to look at; run it once for each server.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
name="${1:-myapp}"
export AWS_REGION="${AWS_REGION:-us-east-1}" AWS_DEFAULT_REGION="${AWS_REGION:-us-east-1}" AWS_PAGER=""
: "${AWS_ENDPOINT_URL:?set AWS_ENDPOINT_URL, such as http://127.0.0.1:9000}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export AWS_CONFIG_FILE="$work/config"
printf '[default]\ns3 =\n    signature_version = s3v4\n    addressing_style = path\n' > "$AWS_CONFIG_FILE"
account="$(aws sts get-caller-identity --query Account --output text)"
cd "$work"

say() { printf '\n== %s\n' "$*"; }
# Version 1 of the aws CLI takes AWS's own endpoint for SQS in us-east-1 unless the command names another.
sqs() { aws --endpoint-url "$AWS_ENDPOINT_URL" sqs "$@"; }
# document FILE [QUEUE RULE]
document() {
  sed "s|@NAME@|$name|g; s|@ACCOUNT@|$account|g; s|@REGION@|$AWS_REGION|g; s|@QUEUE@|${2:-}|g; s|@RULE@|${3:-}|g" "$here/$1.json"
}
escaped() { sed 's|\\|\\\\|g; s|"|\\"|g' | tr -d '\n'; }

# queue NAME RULE: a queue that takes what the rule sends, and nothing else.
queue() {
  sqs create-queue --queue-name "$1" --query QueueUrl --output text
  printf '{"Policy": "%s"}' "$(document policies/queue "$1" "$2" | escaped)" > attributes.json
  sqs set-queue-attributes --queue-url "$(url "$1")" --attributes file://attributes.json
}
url() { sqs get-queue-url --queue-name "$1" --query QueueUrl --output text; }

# rule NAME INPUT QUEUE...: a rule on the default bus. INPUT is what the queues get of each event: a path, or the template of a text.
rule() {
  local rule="$1" input="$2" queue targets=""; shift 2
  document "rules/$rule" > pattern.json
  aws events put-rule --name "$rule" --event-pattern file://pattern.json --query RuleArn --output text
  for queue in "$@"; do
    queue "$queue" "$rule"
    targets="$targets${targets:+, }{\"Id\": \"$queue\", \"Arn\": \"arn:aws:sqs:$AWS_REGION:$account:$queue\", $input}"
  done
  printf '[%s]' "$targets" > targets.json
  [ "$(aws events put-targets --rule "$rule" --targets file://targets.json --query FailedEntryCount)" = 0 ]
}

# arrived QUEUE TEXT...: exactly these texts come to the queue, in any order; prints them.
arrived() {
  local queue="$1" at tries=0 quiet=0; shift
  at="$(url "$queue")"
  : > got
  # Once all are there, one more look for what should not be.
  while [ "$quiet" = 0 ] && [ "$tries" -lt 30 ]; do
    tries=$((tries + 1))
    [ "$(wc -l < got)" -lt "$#" ] || quiet=1
    sqs receive-message --queue-url "$at" --max-number-of-messages 10 --wait-time-seconds $((quiet ? 1 : 5)) --visibility-timeout 600 \
      --query 'Messages[].[Body]' --output text | sed '/^None$/d; s|"||g' >> got
  done
  sort -o got got
  printf '%s\n' "$@" | sort > wanted
  printf '%-16s %s\n' "$queue" "$(paste -s -d ' ' got)"
  cmp -s got wanted || { echo "this should have come: $(paste -s -d ' ' wanted)" >&2; exit 1; }
}

# consumer: a function that prints what rules give it.
consumer() {
  printf 'def handler(event, context):\n    print("consumed", event)\n' > consumer.py
  python3 -m zipfile -c consumer.zip consumer.py
  aws iam create-role --role-name "$name-consumer" --assume-role-policy-document "$(document policies/function-trust)" --query Role.Arn --output text
  aws iam put-role-policy --role-name "$name-consumer" --policy-name logs --policy-document "$(document policies/function-logs)"
  aws lambda create-function --function-name "$name-consumer" --runtime python3.12 --handler consumer.handler --zip-file fileb://consumer.zip \
    --role "arn:aws:iam::$account:role/$name-consumer" --query FunctionArn --output text
}

# invoked_by RULE INPUT: the rule invokes the function too, and nobody else does.
invoked_by() {
  aws lambda add-permission --function-name "$name-consumer" --statement-id "$1" --action lambda:InvokeFunction --principal events.amazonaws.com \
    --source-arn "arn:aws:events:$AWS_REGION:$account:rule/$1" --query 'length(Statement) > `0`' --output text
  printf '[{"Id": "function", "Arn": "arn:aws:lambda:%s:%s:function:%s", %s}]' "$AWS_REGION" "$account" "$name-consumer" "$2" > targets.json
  [ "$(aws events put-targets --rule "$1" --targets file://targets.json --query FailedEntryCount)" = 0 ]
}

# consumed TEXT...: exactly these texts were printed by the function, in any order.
consumed() {
  local tries=0
  printf '%s\n' "$@" | sort > wanted
  until aws logs filter-log-events --log-group-name "/aws/lambda/$name-consumer" --filter-pattern consumed --query 'events[].[message]' --output text 2> problem \
    | sed -n 's|^consumed ||p' | sort > got && cmp -s got wanted; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo "the function printed: $(paste -s -d ' ' got); wanted: $(paste -s -d ' ' wanted)" >&2; cat problem >&2; exit 1; }
    sleep 1
  done
  printf '%-16s %s\n' consumer "$(paste -s -d ' ' got)"
}

say "four rules on the transactions of cash machines, each with its queue"
for one in large-amounts new-york-city partner-banks own-customers; do
  rule "$one" '"InputPath": "$.detail.transactionId"' "$one"
done

say "a function that two of the rules invoke beside their queues"
consumer
for one in large-amounts own-customers; do
  invoked_by "$one" '"InputPath": "$.detail.transactionId"'
done

say "five transactions"
# ID LOCATION AMOUNT RESULT [PARTNER]
transaction() {
  local partner="${5:+, \"partnerBank\": \"$5\"}" detail
  detail="{\"action\": \"withdrawal\", \"transactionId\": \"$1\", \"location\": \"$2\", \"amount\": $3, \"result\": \"$4\"$partner}"
  printf '{"Source": "custom.myATMapp", "DetailType": "transaction", "Detail": "%s"}' "$(printf '%s' "$detail" | escaped)"
}
cat > entries.json <<END
[$(transaction t1 NY-NYC-001 300 approved "Example Bank"),
 $(transaction t2 NY-NYC-002 450.5 approved),
 $(transaction t3 NJ-NWK-010 120 approved),
 $(transaction t4 NY-BUF-003 900 denied "Example Bank"),
 $(transaction t5 NY-NYC-004 20 denied)]
END
[ "$(aws events put-events --entries file://entries.json --query FailedEntryCount)" = 0 ]
arrived large-amounts t2 t4
arrived new-york-city t1 t2 t5
arrived partner-banks t1 t4
arrived own-customers t3
consumed t2 t3 t4

say "three buckets that begin alike and tell the bus what changes, and one more that tells it too"
for bucket in "$name-images" "$name-uploads" "$name-archive" "other-$name"; do
  aws s3 mb "s3://$bucket"
  aws s3api put-bucket-notification-configuration --bucket "$bucket" --notification-configuration '{"EventBridgeConfiguration": {}}'
done

say "a trail that records what is done to objects"
aws s3 mb "s3://trail-of-$name"
aws s3api put-bucket-policy --bucket "trail-of-$name" --policy "$(document policies/trail-bucket)"
aws cloudtrail create-trail --name "$name" --s3-bucket-name "trail-of-$name" --query TrailARN --output text
aws cloudtrail put-event-selectors --trail-name "$name" --query TrailARN --output text --event-selectors \
  '[{"ReadWriteType": "All", "IncludeManagementEvents": true, "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]}]'
aws cloudtrail start-logging --name "$name"

say "rules on what S3 tells, and on what the trail records; the last has two consumers"
path() { printf '"InputTransformer": {"InputPathsMap": {"bucket": "%s", "key": "%s"}, "InputTemplate": "\\"<bucket>/<key>\\""}' "$1" "$2"; }
rule created-objects "$(path '$.detail.bucket.name' '$.detail.object.key')" created-objects
recorded="$(path '$.detail.requestParameters.bucketName' '$.detail.requestParameters.key')"
rule recorded-puts "$recorded" recorded-puts
rule recorded-reads "$recorded" recorded-reads-1 recorded-reads-2
for one in created-objects recorded-puts; do
  input="$recorded"
  [ "$one" = recorded-puts ] || input="$(path '$.detail.bucket.name' '$.detail.object.key')"
  invoked_by "$one" "$input"
done

say "objects come"
head -c 1000 /dev/urandom > flower.jpg
: > empty.jpg
for bucket in "$name-images" "$name-uploads" "other-$name"; do
  aws s3 cp flower.jpg "s3://$bucket/flower.jpg" --no-progress
done
aws s3 cp flower.jpg "s3://$name-archive/flower.raw" --no-progress
aws s3 cp empty.jpg "s3://$name-archive/empty.jpg" --no-progress
arrived created-objects "$name-images/flower.jpg" "$name-uploads/flower.jpg"
arrived recorded-puts "$name-images/flower.jpg" "$name-uploads/flower.jpg" "$name-archive/flower.raw" "$name-archive/empty.jpg"
consumed t2 t3 t4 "$name-images/flower.jpg" "$name-uploads/flower.jpg" \
  "$name-images/flower.jpg" "$name-uploads/flower.jpg" "$name-archive/flower.raw" "$name-archive/empty.jpg"

say "and are read: by the aws CLI, and by a client that gives another user agent"
for bucket in "$name-images" "$name-uploads"; do
  aws s3 cp "s3://$bucket/flower.jpg" read.jpg --no-progress
  curl --fail --silent --show-error --user-agent userAgent --output read.jpg "$(aws s3 presign "s3://$bucket/flower.jpg")"
  cmp flower.jpg read.jpg
done
arrived recorded-reads-1 "$name-images/flower.jpg"
arrived recorded-reads-2 "$name-images/flower.jpg"

say "all of it holds"
