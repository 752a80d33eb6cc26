"""Signs the requests of a JSON file with botocore, for comparison: sign_with_botocore.py REQUESTS ANSWERS.

REQUESTS: a list of {method, host, key, query, headers, body, accessKeyID, secretAccessKey, sessionToken, region, date},
strings not encoded, `body` in base64, `date` in seconds since the epoch. ANSWERS: a list of
{url, authorization, headers}.
"""

import base64
import datetime
import json
import sys
from unittest import mock

from botocore import auth, awsrequest, credentials
from botocore.utils import percent_encode, percent_encode_sequence


def sign(request):
    # As botocore's serializer writes an object's key and a query into a URL.
    url = f"https://{request['host']}/{percent_encode(request['key'], safe='/~')}"
    if request["query"]:
        url += "?" + percent_encode_sequence([tuple(pair) for pair in request["query"]])
    prepared = awsrequest.AWSRequest(
        method=request["method"], url=url, headers=dict(request["headers"]), data=base64.b64decode(request["body"])
    )
    who = credentials.Credentials(request["accessKeyID"], request["secretAccessKey"], request.get("sessionToken"))
    now = datetime.datetime.fromtimestamp(request["date"], datetime.timezone.utc)
    with mock.patch.object(auth, "get_current_datetime", lambda *args, **keywords: now):
        auth.S3SigV4Auth(who, "s3", request["region"]).add_auth(prepared)
    headers = {name.lower(): value for name, value in prepared.headers.items()}
    return {"url": url, "authorization": headers.pop("authorization"), "headers": headers}


with open(sys.argv[1], encoding="utf-8") as file:
    requests = json.load(file)
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump([sign(request) for request in requests], file)
