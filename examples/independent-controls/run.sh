#!/usr/bin/env bash
# Storage and keys in the hands of two teams: who is let in by one and not by the other gets nothing. Needs the aws CLI, and a running server
# whose root credentials (or those of an administrator) are in the environment:
#
#   AWS_ENDPOINT_URL=http://127.0.0.1:9000 AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... examples/independent-controls/run.sh [BUCKET]
#
# What it makes stays there afterwards, to look at; run it once for each server.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
bucket="${1:-secure-demo-bucket}"
export AWS_REGION="${AWS_REGION:-us-east-1}" AWS_DEFAULT_REGION="${AWS_REGION:-us-east-1}" AWS_PAGER=""
: "${AWS_ENDPOINT_URL:?set AWS_ENDPOINT_URL, such as http://127.0.0.1:9000}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export AWS_CONFIG_FILE="$work/config" AWS_SHARED_CREDENTIALS_FILE="$work/credentials"
printf '[default]\ns3 =\n    signature_version = s3v4\n    addressing_style = path\n' > "$AWS_CONFIG_FILE"
account="$(aws sts get-caller-identity --query Account --output text)"
key=""

say() { printf '\n== %s\n' "$*"; }
document() { sed "s|@BUCKET@|$bucket|g; s|@ACCOUNT@|$account|g; s|@KEY@|$key|g" "$here/policies/$1.json"; }

# as ROLE COMMAND...: with the role's temporary credentials, which the aws CLI gets for itself.
as() {
  local role="$1"; shift
  env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY -u AWS_SESSION_TOKEN "$@" --profile "$role"
}
# denied COMMAND...: the command must end with AccessDenied, and with nothing else.
denied() {
  if "$@" > "$work/out" 2> "$work/err"; then echo "this should have been denied: $*" >&2; exit 1; fi
  grep -q "AccessDenied" "$work/err" || { cat "$work/err" >&2; exit 1; }
  grep -o "An error occurred.*\|fatal error.*\|upload failed.*" "$work/err" | head -n 1
}

say "three policies and three roles"
for name in bucket-admin key-admin; do
  aws iam create-policy --policy-name "secure-$name" --policy-document "$(document "$name")" --query Policy.Arn --output text
  aws iam create-role --role-name "secure-$name" --assume-role-policy-document "$(document trust)" --query Role.Arn --output text
  aws iam attach-role-policy --role-name "secure-$name" --policy-arn "arn:aws:iam::$account:policy/secure-$name"
done
aws iam create-policy --policy-name secure-bucket-access --policy-document "$(document bucket-access)" --query Policy.Arn --output text
aws iam create-role --role-name authorized-users --assume-role-policy-document "$(document trust-instances)" --query Role.Arn --output text
aws iam attach-role-policy --role-name authorized-users --policy-arn "arn:aws:iam::$account:policy/secure-bucket-access"

say "a user who may act in these roles, as root may not"
aws iam create-user --user-name operator --query User.Arn --output text
aws iam put-user-policy --user-name operator --policy-name assume-roles --policy-document "$(document assume-roles)"
read -r id secret < <(aws iam create-access-key --user-name operator --query 'AccessKey.[AccessKeyId,SecretAccessKey]' --output text)
printf '[operator]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$id" "$secret" > "$AWS_SHARED_CREDENTIALS_FILE"
for role in secure-bucket-admin secure-key-admin authorized-users; do
  printf '[profile %s]\nrole_arn = arn:aws:iam::%s:role/%s\nsource_profile = operator\ns3 =\n    signature_version = s3v4\n    addressing_style = path\n' \
    "$role" "$account" "$role" >> "$AWS_CONFIG_FILE"
done

say "the bucket, made by those who manage buckets"
as secure-bucket-admin aws s3 mb "s3://$bucket"

say "the key, managed by those who manage keys, used by authorized-users alone"
key="$(aws kms create-key --description "for $bucket" --policy "$(document key-policy)" --query KeyMetadata.Arn --output text)"
aws kms create-alias --alias-name "alias/$bucket" --target-key-id "$key"
echo "$key"

say "what comes into the bucket must be encrypted with this key"
as secure-bucket-admin aws s3api put-bucket-policy --bucket "$bucket" --policy "$(document bucket-policy)"

head -c 300000 /dev/urandom > "$work/paper.pdf"
cd "$work"
put() { as authorized-users aws s3 cp paper.pdf "s3://$bucket/$1" --no-progress --sse aws:kms --sse-kms-key-id "$key"; }
get() { as authorized-users aws s3api get-object --bucket "$bucket" --key paper.pdf "$1" --query ServerSideEncryption --output text; }

say "test 1: an upload that names the key"
put paper.pdf
say "test 2: an upload that does not"
denied as authorized-users aws s3 cp paper.pdf "s3://$bucket/test2.pdf" --no-progress
say "test 3: the download is decrypted on the way, be it asked for at once or after a look at its size"
as authorized-users aws s3 cp "s3://$bucket/paper.pdf" test3.pdf --no-progress
cmp paper.pdf test3.pdf
get test3-at-once.pdf
cmp paper.pdf test3-at-once.pdf
say "who manages the bucket reads nothing of it, nor does who manages the key"
denied as secure-bucket-admin aws s3api get-object --bucket "$bucket" --key paper.pdf stolen
denied as secure-key-admin aws s3api get-object --bucket "$bucket" --key paper.pdf stolen

say "test 4: the role leaves the key's policy; bucket and identity policies stay as they are"
as secure-key-admin aws kms put-key-policy --key-id "$key" --policy-name default --policy "$(document key-policy-without-users)"
denied put test4.pdf
denied get test4.pdf
denied as authorized-users aws s3 cp "s3://$bucket/paper.pdf" test4.pdf --no-progress
[ ! -s test4.pdf ] || { echo "bytes came out" >&2; exit 1; }

say "and comes back"
as secure-key-admin aws kms put-key-policy --key-id "$key" --policy-name default --policy "$(document key-policy)"
put test4.pdf
get test4.pdf
cmp paper.pdf test4.pdf

say "all of it holds"
