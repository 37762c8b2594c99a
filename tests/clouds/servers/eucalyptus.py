"""Serves moto's EC2 as Eucalyptus does: below a path, with signatures of version 2, and with sizes in a form of its own.

eucalyptus.py PORT   the one account is in the environment
"""

import hmac
import io
import os
import pathlib
import sys
from urllib.parse import parse_qsl

import libcloud
from botocore.auth import SigV2Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import create_backend_app
from werkzeug.serving import run_simple
from werkzeug.wrappers import Request, Response

PATHS = ("/services/Eucalyptus", "/services/compute")
# The answer of a real one, as libcloud recorded it.
SIZES = pathlib.Path(libcloud.__file__).parent / "test/compute/fixtures/ec2/describe_instance_types.xml"
REFUSAL = "<Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error></Errors></Response>"

ACCOUNT = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
ec2 = create_backend_app("ec2")


def is_signed(request, parameters):
    """Whether Amazon's SDK signs the same as the client did."""
    if parameters.get("AWSAccessKeyId") != ACCOUNT.access_key:
        return False
    unsigned = AWSRequest(request.method, request.base_url)
    expected = SigV2Auth(ACCOUNT).calc_signature(unsigned, parameters)[1]
    return hmac.compare_digest(expected, parameters.get("Signature", ""))


def refuse(status, code, message):
    return Response(REFUSAL.format(code, message), status, content_type="text/xml")


def eucalyptus(environ, start):
    request = Request(environ)
    if request.path.rstrip("/") not in PATHS:
        return refuse(404, "NotFound", "no such service")(environ, start)
    body = request.get_data() or request.query_string
    parameters = dict(parse_qsl(body.decode(), keep_blank_values=True))
    if not is_signed(request, parameters):
        return refuse(403, "AuthFailure", "The signature does not match.")(environ, start)
    # It knows them only in later versions, and says so.
    unknown = [name for name in parameters if name.startswith(("TagSpecification.", "Filter.", "MaxResults"))]
    if unknown:
        return refuse(400, "InvalidParameterCombination", f"Failed to bind {unknown}.")(environ, start)
    if parameters["Action"] == "DescribeInstanceTypes":
        return Response(SIZES.read_bytes(), content_type="text/xml")(environ, start)
    environ |= {"PATH_INFO": "/", "RAW_URI": "/", "REQUEST_URI": "/", "wsgi.input": io.BytesIO(request.get_data())}
    return ec2(environ, start)


run_simple("127.0.0.1", int(sys.argv[1]), eucalyptus, threaded=True)
