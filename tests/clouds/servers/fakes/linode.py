"""A fake of Linode's API v4: instances, tags, images, types, regions."""

import base64
import binascii
import json
import re

from base import QUOTA, Fake, Refused, fingerprint, now, page_of, route, serve

PAGE = 2
REGIONS = [("us-east", "Newark, NJ", "us"), ("eu-central", "Frankfurt, DE", "de"), ("br-gru", "Sao Paulo, BR", "br")]
TYPES = [
    ("g6-nanode-1", "Nanode 1GB", 1024, 25600, 1, 5),
    ("g6-standard-1", "Linode 2GB", 2048, 51200, 1, 12),
    ("g6-standard-2", "Linode 4GB", 4096, 81920, 2, 24),
]
IMAGES = [
    ("debian12", "Debian 12", "Debian"),
    ("ubuntu22.04", "Ubuntu 22.04 LTS", "Ubuntu"),
    ("ubuntu24.04", "Ubuntu 24.04 LTS", "Ubuntu"),
]
# The states an action is allowed in, the state meanwhile, and that afterwards.
ACTIONS = {
    "boot": ({"offline"}, "booting", "running"),
    "reboot": ({"running"}, "rebooting", "running"),
    "shutdown": ({"running"}, "shutting_down", "offline"),
}
BUSY = {"provisioning", "booting", "rebooting", "shutting_down", "deleting"}


class Linode(Fake):
    def __init__(self, options):
        super().__init__(options.token, options.public)
        self.instances, self.tags = {}, set()
        self.regions = [
            {
                "id": name,
                "label": label,
                "country": country,
                "capabilities": ["Linodes", "Metadata"],
                "status": "ok",
                "resolvers": {"ipv4": "192.0.2.53,198.51.100.53", "ipv6": "2001:db8::53"},
            }
            for name, label, country in REGIONS
        ]
        self.types = [self.type(*facts) for facts in TYPES]
        self.images = [self.image(f"linode/{name}", label, vendor) for name, label, vendor in IMAGES]

    def type(self, name, label, memory, disk, cpus, monthly):
        def price(amount):
            return {"hourly": amount / 667, "monthly": amount}

        return {
            "id": name,
            "label": label,
            "memory": memory,
            "disk": disk,
            "vcpus": cpus,
            "gpus": 0,
            "network_out": 1000,
            "transfer": 1000,
            "class": "nanode" if "nanode" in name else "standard",
            "successor": None,
            "price": price(monthly),
            "region_prices": [{"id": "br-gru", **price(monthly * 1.4)}],
            "addons": {"backups": {"price": price(2), "region_prices": []}},
        }

    def image(self, name, label, vendor):
        return {
            "id": name,
            "label": label,
            "vendor": vendor,
            "description": None,
            "created": now(),
            "updated": now(),
            "created_by": "linode",
            "deprecated": False,
            "eol": now(),
            "expiry": None,
            "is_public": True,
            "size": 3100,
            "status": "available",
            "type": "manual",
            "capabilities": ["cloud-init"],
        }

    # Refusals.

    def refused(self, status, reason, field=None, headers=None):
        error = {"reason": reason} if field is None else {"reason": reason, "field": field}
        return Refused(status, {"errors": [error]}, headers)

    def unauthorized(self):
        return self.refused(401, "Invalid Token")

    def not_found(self):
        return self.refused(404, "Not found")

    def throttled(self):
        return self.refused(429, "Too many requests", headers={"retry-after": "1"})

    # Lists.

    def page(self, ask, items):
        page, size = ask.number("page", 1, 1, 10**6), min(ask.number("page_size", 100, 25, 500), PAGE)
        wanted = json.loads(ask.headers.get("x-filter", "{}"))

        def fits(item):
            return all(
                value in item[key] if isinstance(item[key], list) else value == item[key]
                for key, value in wanted.items()
            )

        items = [item for item in items if fits(item)]
        shown, pages = page_of(items, page, size)
        if page > pages:
            raise self.not_found()
        return 200, {"data": shown, "page": page, "pages": pages, "results": len(items)}

    @route("GET", "/regions")
    def list_regions(self, ask):
        return self.page(ask, self.regions)

    @route("GET", "/linode/types")
    def list_types(self, ask):
        return self.page(ask, self.types)

    @route("GET", "/images")
    def list_images(self, ask):
        return self.page(ask, self.images)

    @route("GET", "/tags")
    def list_tags(self, ask):
        return self.page(ask, [{"label": tag} for tag in sorted(self.tags)])

    @route("DELETE", "/tags/{tag}")
    def remove_tag(self, ask, tag):
        if tag not in self.tags:
            raise self.not_found()
        self.tags.discard(tag)
        for instance in self.instances.values():
            instance["tags"] = [one for one in instance["tags"] if one != tag]
        return 200, {}

    # Instances.

    def instance(self, text):
        instance = self.instances.get(int(text)) if text.isdecimal() else None
        if instance is None:
            raise self.not_found()
        return instance

    @route("GET", "/linode/instances")
    def list_instances(self, ask):
        return self.page(ask, list(self.instances.values()))

    @route("GET", "/linode/instances/{number}")
    def get_instance(self, ask, number):
        return 200, self.instance(number)

    @route("POST", "/linode/instances")
    def create_instance(self, ask):
        given = ask.json()
        label = given["label"]
        if not re.fullmatch(r"[a-zA-Z0-9](?!.*(--|__|\.\.))[a-zA-Z0-9._-]{1,62}[a-zA-Z0-9]", label):
            raise self.refused(400, "Label must be 3-64 characters, and begin and end with a letter or digit", "label")
        if any(instance["label"] == label for instance in self.instances.values()):
            raise self.refused(400, "Label must be unique among your linodes", "label")
        kind = next((one for one in self.types if one["id"] == given["type"]), None)
        if kind is None:
            raise self.refused(400, "A valid plan type by that ID was not found", "type")
        if all(one["id"] != given["region"] for one in self.regions):
            raise self.refused(400, "region is not valid", "region")
        if all(one["id"] != given["image"] for one in self.images):
            raise self.refused(400, "image is not valid", "image")
        if len(given.get("root_pass", "")) < 11:
            raise self.refused(400, "Password does not meet strength requirement", "root_pass")
        if any(fingerprint(key) is None for key in given.get("authorized_keys", [])):
            raise self.refused(400, "SSH Key is invalid", "authorized_keys")
        try:
            base64.b64decode(given.get("metadata", {}).get("user_data", ""), validate=True)
        except binascii.Error:
            raise self.refused(400, "user_data must be base64", "metadata.user_data") from None
        if any(not 3 <= len(tag) <= 50 for tag in given.get("tags", [])):
            raise self.refused(400, "Length must be 3-50 characters", "tags")
        if len(self.instances) >= QUOTA:
            raise self.refused(400, "Account Limit reached. Please open a support ticket.")
        number = self.new_id()
        last = number % 250 + 2
        instance = {
            "id": number,
            "label": label,
            "group": "",
            "status": "provisioning",
            "created": now(),
            "updated": now(),
            "type": kind["id"],
            # The private one first: only its network tells.
            "ipv4": [f"192.168.130.{last}", f"192.0.2.{last}"],
            "ipv6": f"2001:db8::{last:x}/128",
            "image": given["image"],
            "region": given["region"],
            "specs": {
                "disk": kind["disk"],
                "memory": kind["memory"],
                "vcpus": kind["vcpus"],
                "gpus": 0,
                "transfer": 1000,
            },
            "alerts": {"cpu": 90, "network_in": 10, "network_out": 10, "transfer_quota": 80, "io": 10000},
            "backups": {"enabled": False, "available": False, "schedule": {"day": None, "window": None}},
            "hypervisor": "kvm",
            "watchdog_enabled": True,
            "tags": given.get("tags", []),
            "host_uuid": "3a3ddd59-d9a7-48bb-8de0-41391075df44",
            "has_user_data": "metadata" in given,
        }
        self.instances[number] = instance
        self.tags.update(instance["tags"])
        self.later(lambda: instance.update(status="booting"))
        self.later(lambda: instance.update(status="running"), after=0.6)
        return 200, instance

    @route("DELETE", "/linode/instances/{number}")
    def remove_instance(self, ask, number):
        instance = self.instance(number)
        instance["status"] = "deleting"
        self.later(lambda: self.instances.pop(instance["id"], None))
        return 200, {}

    @route("POST", "/linode/instances/{number}/{action}")
    def act(self, ask, number, action):
        instance = self.instance(number)
        if action not in ACTIONS:
            raise self.not_found()
        allowed, meanwhile, afterwards = ACTIONS[action]
        if instance["status"] in BUSY:
            raise self.refused(400, "Linode busy.")
        if instance["status"] not in allowed:
            raise self.refused(400, f"Linode {number} is {instance['status']}.")
        instance["status"] = meanwhile
        self.later(lambda: instance.update(status=afterwards))
        return 200, {}


serve(Linode)
