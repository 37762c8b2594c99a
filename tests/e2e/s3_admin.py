"""What the owner of the S3 server does beside the node under test, with Amazon's own SDK. Prints JSON.

s3_admin.py ENDPOINT prepare   makes a user and a bucket; the server lets the first three calls in without credentials
s3_admin.py ENDPOINT objects   the keys and sizes in the bucket, by the credentials of the usual variables
s3_admin.py ENDPOINT begin     begins an upload of a backup's object, and of something else in the same place
s3_admin.py ENDPOINT uploads   the uploads that were begun and not ended
"""

import json
import sys

import boto3

BUCKET = "ct-backups"


def client(service, endpoint, **credentials):
    return boto3.client(service, region_name="eu-test-1", endpoint_url=endpoint, **credentials)


def prepare(endpoint):
    iam = client("iam", endpoint, aws_access_key_id="nobody", aws_secret_access_key="nobody")
    iam.create_user(UserName="backup")
    key = iam.create_access_key(UserName="backup")["AccessKey"]
    actions = ["s3:CreateBucket", "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    actions += ["s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="backup", PolicyName="backups", PolicyDocument=document)
    made = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    where = {"LocationConstraint": "eu-test-1"}
    client("s3", endpoint, **made).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    return {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def objects(endpoint):
    pages = client("s3", endpoint).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}


def begin(endpoint):
    keys = [f"team/a/depot/{name}" for name in ("20200101T101500Z.files.pack.zst", "holiday.jpg")]
    return [client("s3", endpoint).create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"] for key in keys]


def uploads(endpoint):
    answer = client("s3", endpoint).list_multipart_uploads(Bucket=BUCKET)
    return [upload["Key"] for upload in answer.get("Uploads", [])]


COMMANDS = {"prepare": prepare, "objects": objects, "begin": begin, "uploads": uploads}
endpoint, command = sys.argv[1:]
print(json.dumps(COMMANDS[command](endpoint)))
