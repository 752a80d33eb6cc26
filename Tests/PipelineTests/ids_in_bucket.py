"""Prints the id of every event in the bucket, one a line, as often as it is there; judges from outside, with botocore and
the zstd tool alone. Arguments: endpoint, bucket, prefix, event type."""

import json
import subprocess
import sys

import botocore.config
import botocore.session

endpoint, bucket, prefix, kind = sys.argv[1:]
client = botocore.session.get_session().create_client(
    "s3", endpoint_url=endpoint, region_name="us-east-1", config=botocore.config.Config(s3={"addressing_style": "path"}))
for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/events/"):
    for entry in page.get("Contents", []):
        body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        for line in subprocess.run(["zstd", "-dcq"], input=body, check=True, capture_output=True).stdout.split(b"\n"):
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the torn tail of a killed writer
            if isinstance(event, dict) and event.get("type") == kind:
                print(event["id"])
