"""Requests presigned by botocore's own Signature Version 2, at a fixed time with fixed credentials.

    pip install boto3==1.44.5 && python vectors.py > vectors.tsv

Columns: name, method, bucket named by the host or -, target, headers the client has to send (separated by " | ").
"""

import time
from urllib.parse import urlsplit

import boto3
from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

NOW = 1767225600  # 2026-01-01T00:00:00Z
KEY, SECRET, TOKEN = "AKIDMILLPOND", "a/secret+of%forty=characters~0123456789ab", "FwoG/+token=="
time.time = lambda: NOW


def row(name, method, url, bucket="-", headers=()):
    parts = urlsplit(url)
    print(name, method, bucket, f"{parts.path}?{parts.query}", " | ".join(f"{k}: {v}" for k, v in headers), sep="\t")


def client(style, token=None):
    config = Config(signature_version="s3", s3={"addressing_style": style})
    return boto3.client("s3", "us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET, aws_session_token=token,
                        endpoint_url="http://lake.test:9000", config=config)  # fmt: skip


def presigned(name, operation, params, method="GET", style="path", headers=(), token=None, expires=3600):
    url = client(style, token).generate_presigned_url(operation, {"Bucket": "photos", **params}, expires)
    row(name, method, url, "photos" if style == "virtual" else "-", headers)


presigned("get", "get_object", {"Key": "k"})
presigned("get virtual", "get_object", {"Key": "k"}, style="virtual")
presigned("odd key", "get_object", {"Key": "a b+c/ü~(1)*'!.&=?%41"})
presigned("odd key virtual", "get_object", {"Key": "//a b/../ü"}, style="virtual")
presigned("head", "head_object", {"Key": "k"}, "HEAD")
presigned("a week", "get_object", {"Key": "k"}, expires=604800)
presigned("version", "get_object", {"Key": "k", "VersionId": "3/L4kqtJ+lcpXroDTDmJ=rmSpXd3dIb"})
presigned("part", "get_object", {"Key": "k", "PartNumber": 2})
presigned("overrides", "get_object", {
    "Key": "k", "ResponseContentType": "text/plain; charset=utf-8", "ResponseContentLanguage": "de, en",
    "ResponseExpires": "Thu, 01 Jan 2026 00:00:00 GMT", "ResponseCacheControl": "no-cache", "VersionId": "null",
    "ResponseContentDisposition": "attachment; filename=\"a b&c=ü.txt\"", "ResponseContentEncoding": "gzip"})  # fmt: skip
presigned("token", "get_object", {"Key": "k"}, token=TOKEN)
presigned("put", "put_object", {"Key": "k"}, "PUT")
presigned("put typed", "put_object", {"Key": "k", "ContentType": "text/x; a=b"}, "PUT", headers=[("content-type", "text/x; a=b")])
presigned("put md5", "put_object", {"Key": "k", "ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, "PUT",
          headers=[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")])  # fmt: skip
presigned("put metadata", "put_object", {"Key": "k", "Metadata": {"a": "1  2", "B-c": "x,y"}, "ACL": "private"}, "PUT")
presigned("put metadata sent", "put_object", {"Key": "k", "Metadata": {"a": "1  2"}}, "PUT", headers=[("x-amz-meta-a", "1  2")])
presigned("copy", "copy_object", {"Key": "k", "CopySource": "photos/a b?versionId=7"}, "PUT", token=TOKEN)
presigned("delete", "delete_object", {"Key": "k"}, "DELETE")
presigned("upload part", "upload_part", {"Key": "k", "UploadId": "a/b+c=", "PartNumber": 3}, "PUT")
presigned("begin upload", "create_multipart_upload", {"Key": "k"}, "POST")
presigned("tags", "get_object_tagging", {"Key": "k"})
presigned("list bucket", "list_objects", {})
presigned("list bucket virtual", "list_objects", {}, style="virtual")
presigned("policy", "get_bucket_policy", {}, style="virtual")

request = AWSRequest("PUT", "http://lake.test:9000/photos/k?acl", headers={"X-Amz-Meta-A": " x ", "x-amz-acl": "private"})
HmacV1QueryAuth(Credentials(KEY, SECRET)).add_auth(request)
row("header with blanks", "PUT", request.url.replace("x-amz-meta-a=%20x%20&", "").replace("&x-amz-meta-a=%20x%20", ""), "-",
    [("x-amz-meta-a", "x"), ("x-amz-acl", "private")])  # fmt: skip
