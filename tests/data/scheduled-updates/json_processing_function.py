import os, json, boto3
from functools import partial
from urllib.parse import urlparse

s3 = boto3.resource('s3')

def parse_bucket_and_key(s3_url_as_string):
    s3_path = urlparse(s3_url_as_string)
    return s3_path.netloc, s3_path.path[1:]

def extract_s3path_from_dynamo_event(event):
    if event["Records"][0]["eventName"] == "REMOVE":
        return event["Records"][0]["dynamodb"]["Keys"]["path"]["S"]

def modify_json(json_dict, column_name, value):
    json_dict[column_name] = value
    return json_dict

def get_obj_contents(bucketname, key):
    obj = s3.Object(bucketname, key)
    return obj.get()['Body'].iter_lines()

clean_column_2_func = partial(modify_json, column_name="file_contents", value="")

def lambda_handler(event, context):
    s3_url_as_string = extract_s3path_from_dynamo_event(event)
    if s3_url_as_string:
        bucket_name, key = parse_bucket_and_key(s3_url_as_string)
        updated_json = "\n".join(map(json.dumps, map(clean_column_2_func, map(json.loads, get_obj_contents(bucket_name, key)))))
        s3.Object(bucket_name, key).put(Body=updated_json, Tagging="PROCESSED=True")
    else:
        print(f"Invalid event: {str(event)}")
