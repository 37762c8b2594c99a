"""What an administrator of the EC2 server does beside the driver under test, with Amazon's own SDK. Prints JSON.

ec2_admin.py ENDPOINT accounts             makes the users; the server lets the first three calls in without credentials
ec2_admin.py ENDPOINT user-data INSTANCE   what an instance was told
ec2_admin.py ENDPOINT many REGION COUNT    makes so many instances, each by an order of its own
ec2_admin.py ENDPOINT image INSTANCE NAME  makes an image of the account's own
ec2_admin.py ENDPOINT groups               the security groups with the ports they open
"""

import base64
import json
import pathlib
import re
import sys

import boto3

REGION = "us-east-1"


def policy(*actions):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def client(service, endpoint, region=REGION, **credentials):
    return boto3.client(service, region_name=region, endpoint_url=endpoint, **credentials)


def user(iam, name, *actions):
    """In the order of the calls that are free."""
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy(*actions))
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def session(endpoint, account):
    """Credentials for an hour, of a role that may look."""
    iam = client("iam", endpoint, **account)
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName="looker", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.put_role_policy(RoleName="looker", PolicyName="all", PolicyDocument=policy("ec2:Describe*"))
    made = client("sts", endpoint, **account).assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }


def documented_actions():
    """What the book says is enough."""
    book = pathlib.Path(__file__).resolve().parents[3] / "docs/book/src/clouds.md"
    document = re.search(r"## Amazon EC2.*?```json\n(.*?)```", book.read_text(), re.DOTALL)[1]
    return json.loads(document)["Statement"][0]["Action"]


def accounts(endpoint):
    nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nobody"}
    admin = user(client("iam", endpoint, **nobody), "admin", "*")
    iam = client("iam", endpoint, **admin)
    return {
        "admin": admin,
        "documented": user(iam, "documented", *documented_actions()),
        "session": session(endpoint, admin),
        "reader": user(iam, "reader", "ec2:Describe*"),
        "unwalled": user(
            iam, "unwalled", "ec2:Describe*", "ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances"
        ),
    }


def user_data(endpoint, instance):
    answer = client("ec2", endpoint).describe_instance_attribute(InstanceId=instance, Attribute="userData")
    return base64.b64decode(answer["UserData"]["Value"]).decode()


def many(endpoint, region, count):
    ec2 = client("ec2", endpoint, region)
    image = ec2.describe_images(Filters=[{"Name": "virtualization-type", "Values": ["hvm"]}])["Images"][0]["ImageId"]
    for _ in range(int(count)):
        ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)


def image(endpoint, instance, name):
    return client("ec2", endpoint).create_image(InstanceId=instance, Name=name)["ImageId"]


def groups(endpoint):
    found = client("ec2", endpoint).describe_security_groups()["SecurityGroups"]
    return {group["GroupName"]: [rule.get("FromPort") for rule in group["IpPermissions"]] for group in found}


if __name__ == "__main__":
    endpoint, verb, *rest = sys.argv[1:]
    verbs = {"accounts": accounts, "user-data": user_data, "many": many, "image": image, "groups": groups}
    print(json.dumps(verbs[verb](endpoint, *rest)))
