"""A fake of Google Compute Engine's API v1: instances, operations, images, machine types, zones; and of the endpoint for tokens.

It knows service accounts by their public keys, and lets `openssl` check the signatures of their claims.
"""

import base64
import binascii
import json
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.parse
import uuid

from base import BURST, QUOTA, TAKES, Fake, Refused, page_of, route, serve

PAGE = 2
PROJECT = "my-project"
ZONES = ["europe-west1-b", "us-central1-a", "us-central1-b"]
TYPES = [("e2-medium", 2, 4096), ("e2-micro", 2, 1024), ("n1-standard-1", 1, 3840), ("x9-unpriced-1", 1, 2048)]
IMAGES = {
    "ubuntu-os-cloud": [
        ("ubuntu-2204-jammy-v20250815", "Canonical, Ubuntu, 22.04 LTS, amd64 jammy image built on 2025-08-15", False),
        (
            "ubuntu-2404-noble-amd64-v20250701",
            "Canonical, Ubuntu, 24.04 LTS, amd64 noble image built on 2025-07-01",
            True,
        ),
        (
            "ubuntu-2404-noble-amd64-v20250815",
            "Canonical, Ubuntu, 24.04 LTS, amd64 noble image built on 2025-08-15",
            False,
        ),
        (
            "ubuntu-2404-noble-arm64-v20250815",
            "Canonical, Ubuntu, 24.04 LTS, arm64 noble image built on 2025-08-15",
            False,
        ),
    ],
    "debian-cloud": [("debian-12-bookworm-v20250812", "Debian, Debian GNU/Linux, 12 (bookworm), amd64", False)],
    PROJECT: [("web-before-upgrade", "", False)],
}
# The states an action is allowed in, the state meanwhile, and that afterwards.
ACTIONS = {
    "start": ({"TERMINATED", "RUNNING"}, "STAGING", "RUNNING"),
    "stop": ({"RUNNING", "TERMINATED"}, "STOPPING", "TERMINATED"),
    "reset": ({"RUNNING"}, "RUNNING", "RUNNING"),
    "suspend": ({"RUNNING"}, "SUSPENDING", "SUSPENDED"),
    "resume": ({"SUSPENDED"}, "STAGING", "RUNNING"),
}
ZONE = "/projects/{project}/zones/{zone}"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def stamp():
    return time.strftime("%Y-%m-%dT%H:%M:%S.000-00:00", time.gmtime())


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Gce(Fake):
    def __init__(self, options):
        super().__init__(options.token, options.public)
        self.public_key, self.token_uri = options.key, f"http://127.0.0.1:{options.port}/token"
        # By token: the account and until when it holds.
        self.tokens = {}
        self.instances, self.operations, self.requests = {}, {}, {}

    # Who asks.

    @route("POST", "/token")
    def give_token(self, ask):
        form = dict(urllib.parse.parse_qsl(ask.raw.decode()))
        claims = self.verified(form.get("assertion", "")) if form.get("grant_type") == GRANT else None
        if claims is None:
            raise Refused(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        in_time = abs(time.time() - claims["iat"]) < 300 and 0 < claims["exp"] - claims["iat"] <= 3600
        if not in_time or claims["aud"] != self.token_uri or "/auth/compute" not in claims["scope"]:
            raise Refused(400, {"error": "invalid_grant", "error_description": "Invalid JWT: its claims are wrong."})
        token = f"{self.token}-{uuid.uuid4()}"
        self.tokens[token] = claims["iss"]
        return 200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}

    give_token.anonymous = True

    def verified(self, claim):
        """The claims of a JWT that the known key has signed; None for any other."""
        try:
            signed, _, signature = claim.rpartition(".")
            header, claims = (json.loads(decoded(part)) for part in signed.split("."))
            signature = decoded(signature)
        except (ValueError, binascii.Error):
            return None
        if header["alg"] != "RS256":
            return None
        with tempfile.NamedTemporaryFile() as file:
            pathlib.Path(file.name).write_bytes(signature)
            command = ["openssl", "dgst", "-sha256", "-verify", self.public_key, "-signature", file.name]
            checked = subprocess.run(command, input=signed.encode(), capture_output=True, check=False)
        return claims if checked.returncode == 0 else None

    def authorize(self, ask):
        account = self.tokens.get(ask.headers.get("authorization", "").removeprefix("Bearer "))
        if account is None:
            raise self.unauthorized()
        if account.startswith("throttled"):
            moment = time.monotonic()
            self.asked = [one for one in self.asked if one > moment - 1]
            if len(self.asked) >= BURST:
                raise self.throttled()
            self.asked.append(moment)

    # Refusals.

    def refused(self, status, reason, message):
        error = {"message": message, "domain": "global", "reason": reason}
        return Refused(status, {"error": {"code": status, "message": message, "errors": [error]}})

    def unauthorized(self):
        return self.refused(401, "authError", "Request had invalid authentication credentials.")

    def not_found(self, what="resource"):
        return self.refused(404, "notFound", f"The resource '{what}' was not found")

    def throttled(self):
        return self.refused(403, "rateLimitExceeded", "Rate Limit Exceeded")

    def invalid(self, field, value):
        return self.refused(400, "invalid", f"Invalid value for field '{field}': '{value}'.")

    # Lists.

    def link(self, path):
        return f"https://www.googleapis.com/compute/v1/{path}"

    def page(self, ask, kind, items):
        size = min(ask.number("maxResults", 500, 1, 500), PAGE)
        page = 1
        if ask.query.get("pageToken"):
            try:
                page = int(base64.b64decode(ask.query["pageToken"], validate=True))
            except ValueError:
                raise self.invalid("pageToken", ask.query["pageToken"]) from None
        shown, pages = page_of(items, page, size)
        answer = {"kind": f"compute#{kind}", "id": ask.path.lstrip("/"), "selfLink": self.link(ask.path.lstrip("/"))}
        # An empty list is left out.
        if shown:
            answer["items"] = shown
        if page < pages:
            answer["nextPageToken"] = base64.b64encode(str(page + 1).encode()).decode()
        return answer

    def project(self, name):
        if name != PROJECT:
            raise self.not_found(f"projects/{name}")

    def zone(self, project, name):
        self.project(project)
        if name not in ZONES:
            raise self.not_found(f"projects/{project}/zones/{name}")

    @route("GET", "/projects/{project}/zones")
    def list_zones(self, ask, project):
        self.project(project)
        zones = [
            {
                "kind": "compute#zone",
                "id": str(index),
                "name": name,
                "status": "UP",
                "region": self.link(f"projects/{project}/regions/{name[:-2]}"),
            }
            for index, name in enumerate(ZONES, 2000)
        ]
        return 200, self.page(ask, "zoneList", zones)

    @route("GET", ZONE + "/machineTypes")
    def list_types(self, ask, project, zone):
        self.zone(project, zone)
        types = [
            {
                "kind": "compute#machineType",
                "id": str(index),
                "name": name,
                "guestCpus": cpus,
                "memoryMb": memory,
                "zone": zone,
            }
            for index, (name, cpus, memory) in enumerate(TYPES, 3000)
        ]
        return 200, self.page(ask, "machineTypeList", types)

    @route("GET", "/projects/{project}/global/images")
    def list_images(self, ask, project):
        if project not in IMAGES:
            raise self.not_found(f"projects/{project}")
        images = []
        for index, (name, description, is_old) in enumerate(IMAGES[project], 4000):
            image = {
                "kind": "compute#image",
                "id": str(index),
                "name": name,
                "description": description,
                "status": "READY",
            }
            if is_old:
                image["deprecated"] = {"state": "DEPRECATED"}
            images.append(image)
        return 200, self.page(ask, "imageList", images)

    # Operations.

    def operation(self, ask, zone, kind, instance, error=None, after=TAKES):
        number = str(self.new_id())
        operation = {
            "kind": "compute#operation",
            "id": number,
            "name": f"operation-{number}",
            "operationType": kind,
            "zone": self.link(f"projects/{PROJECT}/zones/{zone}"),
            "targetId": instance["id"],
            "targetLink": self.link(f"projects/{PROJECT}/zones/{zone}/instances/{instance['name']}"),
            "user": "me@my-project.iam.gserviceaccount.com",
            "status": "PENDING",
            "progress": 0,
            "insertTime": stamp(),
            "selfLink": self.link(f"projects/{PROJECT}/zones/{zone}/operations/operation-{number}"),
        }
        self.operations[operation["name"]] = operation
        self.requests[ask.query.get("requestId")] = operation
        self.later(lambda: operation.update(status="RUNNING", startTime=stamp()), after=after / 2)

        def done():
            operation.update(status="DONE", progress=100, endTime=stamp())
            if error:
                operation.update(
                    error={"errors": [error]}, httpErrorStatusCode=503, httpErrorMessage="SERVICE UNAVAILABLE"
                )

        self.later(done, after=after)
        return operation

    def repeated(self, ask):
        """The operation of the same order, where it has come before."""
        try:
            uuid.UUID(ask.query["requestId"])
        except (KeyError, ValueError):
            raise self.invalid("requestId", ask.query.get("requestId")) from None
        return self.requests.get(ask.query["requestId"])

    @route("GET", ZONE + "/operations/{name}")
    def get_operation(self, ask, project, zone, name):
        self.zone(project, zone)
        if name not in self.operations:
            raise self.not_found(f"projects/{project}/zones/{zone}/operations/{name}")
        return 200, self.operations[name]

    # Instances.

    def instance(self, project, zone, text):
        self.zone(project, zone)
        for instance in self.instances.values():
            if text in (instance["id"], instance["name"]) and instance["zone"].endswith(f"/{zone}"):
                return instance
        raise self.not_found(f"projects/{project}/zones/{zone}/instances/{text}")

    @route("GET", "/projects/{project}/aggregated/instances")
    def list_instances(self, ask, project):
        self.project(project)
        key, _, value = ask.query.get("filter", "").partition("=")

        def fits(instance):
            label = key.removeprefix("labels.")
            return not key or value == (instance["labels"].get(label) if label != key else instance.get(key))

        # The vendor pages through instances, not through zones.
        answer = self.page(ask, "instanceAggregatedList", [one for one in self.instances.values() if fits(one)])
        empty = {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for this scope on this page."}
        zones = {f"zones/{zone}": [] for zone in ZONES}
        for instance in answer.get("items", []):
            zones["zones/" + instance["zone"].rpartition("/")[2]].append(instance)
        answer["items"] = {
            zone: {"instances": found} if found else {"warning": {**empty, "data": [{"key": "scope", "value": zone}]}}
            for zone, found in zones.items()
        }
        return 200, answer

    @route("GET", ZONE + "/instances/{name}")
    def get_instance(self, ask, project, zone, name):
        return 200, self.instance(project, zone, name)

    @route("POST", ZONE + "/instances")
    def create_instance(self, ask, project, zone):
        self.zone(project, zone)
        if known := self.repeated(ask):
            return 200, known
        given = ask.json()
        name = given["name"]
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name):
            raise self.invalid("resource.name", name)
        if any(one["name"] == name and one["zone"].endswith(f"/{zone}") for one in self.instances.values()):
            raise self.refused(409, "alreadyExists", f"The resource '{name}' already exists")
        kind = given["machineType"].rpartition("/")[2]
        if given["machineType"] != f"zones/{zone}/machineTypes/{kind}" or kind not in [one for one, *_ in TYPES]:
            raise self.invalid("resource.machineType", given["machineType"])
        source = given["disks"][0]["initializeParams"]["sourceImage"]
        match = re.fullmatch(r"projects/([^/]+)/global/images/([^/]+)", source)
        if not match or match[2] not in [one for one, *_ in IMAGES.get(match[1], [])]:
            raise self.not_found(source)
        for key, value in given.get("labels", {}).items():
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
                raise self.invalid("resource.labels", key)
        if len(self.instances) >= QUOTA:
            raise self.refused(403, "quotaExceeded", "Quota 'CPUS_ALL_REGIONS' exceeded. Limit: 3.0 globally.")
        number = str(self.new_id())
        last = int(number) % 250 + 2
        instance = {
            "kind": "compute#instance",
            "id": number,
            "name": name,
            "creationTimestamp": stamp(),
            "zone": self.link(f"projects/{project}/zones/{zone}"),
            "machineType": self.link(f"projects/{project}/zones/{zone}/machineTypes/{kind}"),
            "status": "PROVISIONING",
            "metadata": {"kind": "compute#metadata", "fingerprint": "Zm9vYmFy", **given.get("metadata", {})},
            "labels": given.get("labels", {}),
            "labelFingerprint": "Zm9vYmFy",
            "disks": [
                {"kind": "compute#attachedDisk", "boot": True, "autoDelete": True, "index": 0, "type": "PERSISTENT"}
            ],
            "networkInterfaces": [
                {"kind": "compute#networkInterface", "name": "nic0", "networkIP": f"10.128.0.{last}"}
            ],
            "canIpForward": False,
            "startRestricted": False,
            "deletionProtection": False,
        }
        if name.startswith("fails"):
            message = f"The zone 'projects/{project}/zones/{zone}' does not have enough resources available."
            error = {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": message}
            return 200, self.operation(ask, zone, "insert", instance, error)
        self.instances[number] = instance
        nat = {
            "kind": "compute#accessConfig",
            "type": "ONE_TO_ONE_NAT",
            "name": "External NAT",
            "natIP": f"192.0.2.{last}",
        }
        self.later(lambda: instance["networkInterfaces"][0].update(accessConfigs=[nat]), after=TAKES / 2)
        self.later(lambda: instance.update(status="STAGING"))
        self.later(lambda: instance.update(status="RUNNING"), after=2 * TAKES)
        return 200, self.operation(ask, zone, "insert", instance)

    @route("DELETE", ZONE + "/instances/{name}")
    def remove_instance(self, ask, project, zone, name):
        if known := self.repeated(ask):
            return 200, known
        instance = self.instance(project, zone, name)
        instance["status"] = "STOPPING"
        self.later(lambda: self.instances.pop(instance["id"], None))
        return 200, self.operation(ask, zone, "delete", instance)

    @route("POST", ZONE + "/instances/{name}/{action}")
    def act(self, ask, project, zone, name, action):
        if known := self.repeated(ask):
            return 200, known
        instance = self.instance(project, zone, name)
        if action not in ACTIONS:
            raise self.not_found(action)
        allowed, meanwhile, afterwards = ACTIONS[action]
        status = instance["status"]
        if status not in ("RUNNING", "TERMINATED", "SUSPENDED"):
            raise self.refused(400, "resourceNotReady", f"The resource '{instance['name']}' is not ready")
        if status not in allowed:
            raise self.refused(400, "invalid", f"Instance state {status} is not valid for this operation.")
        if status != afterwards:
            instance["status"] = meanwhile
            self.later(lambda: instance.update(status=afterwards))
        return 200, self.operation(ask, zone, action, instance)


serve(Gce, lambda parser: parser.add_argument("--key", required=True, help="the file of the account's public key"))
