"""A fake of Vultr's API v2: instances, keys, systems, snapshots, plans, regions.

The vendor's document is in no registry: nothing but this file holds its answers to the contract.
"""

import base64
import binascii
import re
import uuid

from base import QUOTA, TAKES, Fake, Refused, fingerprint, now, route, serve

PAGE = 2
REGIONS = [
    ("ewr", "New Jersey", "US", "North America"),
    ("ams", "Amsterdam", "NL", "Europe"),
    ("fra", "Frankfurt", "DE", "Europe"),
]
PLANS = [("vc2-1c-1gb", 1, 1024, 25, 5), ("vc2-1c-2gb", 1, 2048, 55, 10), ("vc2-2c-4gb", 2, 4096, 80, 20)]
SYSTEMS = [
    (159, "Custom", "iso"),
    (164, "Snapshot", "snapshot"),
    (186, "Application", "application"),
    (2136, "Debian 12 x64 (bookworm)", "debian"),
    (1743, "Ubuntu 22.04 LTS x64", "ubuntu"),
    (2284, "Ubuntu 24.04 LTS x64", "ubuntu"),
]


class Vultr(Fake):
    def __init__(self, options):
        super().__init__(options.token, options.public)
        self.instances, self.keys = {}, {}
        self.snapshots = [
            {
                "id": str(uuid.uuid4()),
                "date_created": now(),
                "description": "web before the upgrade",
                "size": 42949672960,
                "compressed_size": 949678560,
                "status": "complete",
                "os_id": 2136,
                "app_id": 0,
            }
        ]
        self.regions = [
            {"id": name, "city": city, "country": country, "continent": continent, "options": ["ddos_protection"]}
            for name, city, country, continent in REGIONS
        ]
        self.plans = [
            {
                "id": name,
                "vcpu_count": cpus,
                "ram": memory,
                "disk": disk,
                "disk_count": 1,
                "bandwidth": 1024,
                "monthly_cost": price,
                "hourly_cost": price / 672,
                "type": "vc2",
                "locations": [region for region, *_ in REGIONS],
            }
            for name, cpus, memory, disk, price in PLANS
        ]
        # The last one is sold out.
        self.plans.append({**self.plans[0], "id": "vc2-1c-0.5gb-v6", "monthly_cost": 2.5, "locations": []})
        self.systems = [
            {"id": number, "name": name, "arch": "x64", "family": family} for number, name, family in SYSTEMS
        ]

    # Refusals.

    def refused(self, status, message):
        return Refused(status, {"error": message, "status": status})

    def unauthorized(self):
        return self.refused(401, "Invalid API token.")

    def not_found(self):
        return self.refused(404, "Not found.")

    def throttled(self):
        return self.refused(429, "Rate limit exceeded.")

    # Lists.

    def page(self, ask, field, items):
        size = min(ask.number("per_page", 100, 1, 500), PAGE)
        start = 0
        if ask.query.get("cursor"):
            try:
                start = int(base64.b64decode(ask.query["cursor"], validate=True).decode().removeprefix("next__"))
            except (binascii.Error, ValueError):
                raise self.refused(400, "Invalid cursor.") from None

        def cursor(index):
            return base64.b64encode(f"next__{index}".encode()).decode()

        links = {
            "next": cursor(start + size) if start + size < len(items) else "",
            "prev": cursor(max(0, start - size)) if start else "",
        }
        return 200, {field: items[start : start + size], "meta": {"total": len(items), "links": links}}

    @route("GET", "/v2/regions")
    def list_regions(self, ask):
        return self.page(ask, "regions", self.regions)

    @route("GET", "/v2/plans")
    def list_plans(self, ask):
        return self.page(ask, "plans", self.plans)

    @route("GET", "/v2/os")
    def list_systems(self, ask):
        return self.page(ask, "os", self.systems)

    @route("GET", "/v2/snapshots")
    def list_snapshots(self, ask):
        return self.page(ask, "snapshots", self.snapshots)

    @route("GET", "/v2/ssh-keys")
    def list_keys(self, ask):
        return self.page(ask, "ssh_keys", list(self.keys.values()))

    @route("POST", "/v2/ssh-keys")
    def add_key(self, ask):
        given = ask.json()
        if fingerprint(given["ssh_key"]) is None:
            raise self.refused(400, "Invalid SSH Key.")
        key = {"id": str(uuid.uuid4()), "date_created": now(), "name": given["name"], "ssh_key": given["ssh_key"]}
        self.keys[key["id"]] = key
        return 201, {"ssh_key": key}

    # Instances.

    def instance(self, text):
        if text not in self.instances:
            raise self.refused(404, "Invalid instance-id.")
        return self.instances[text]

    @route("GET", "/v2/instances")
    def list_instances(self, ask):
        instances = list(self.instances.values())
        if "label" in ask.query:
            instances = [instance for instance in instances if instance["label"] == ask.query["label"]]
        return self.page(ask, "instances", instances)

    @route("GET", "/v2/instances/{name}")
    def get_instance(self, ask, name):
        return 200, {"instance": self.instance(name)}

    @route("POST", "/v2/instances")
    def create_instance(self, ask):
        given = ask.json()
        if all(one["id"] != given.get("region") for one in self.regions):
            raise self.refused(400, "Invalid region.")
        plan = next((one for one in self.plans if one["id"] == given.get("plan")), None)
        if plan is None:
            raise self.refused(400, "Invalid plan.")
        if given["region"] not in plan["locations"]:
            raise self.refused(400, "Plan is not available in the selected region.")
        chosen = [key for key in ("os_id", "snapshot_id", "image_id", "iso_id", "app_id") if key in given]
        if len(chosen) != 1:
            raise self.refused(400, "Exactly one of os_id, snapshot_id, image_id, iso_id, app_id is needed.")
        system = next((one for one in self.systems if one["id"] == given.get("os_id")), None)
        snapshot = next((one for one in self.snapshots if one["id"] == given.get("snapshot_id")), None)
        if system is None and snapshot is None:
            raise self.refused(400, f"Invalid {chosen[0]}.")
        if not re.fullmatch(r"[a-zA-Z0-9.-]{1,64}", given.get("hostname", "")):
            raise self.refused(400, "Invalid hostname.")
        if any(key not in self.keys for key in given.get("sshkey_id", [])):
            raise self.refused(400, "Invalid sshkey_id.")
        try:
            base64.b64decode(given.get("user_data", ""), validate=True)
        except binascii.Error:
            raise self.refused(400, "Invalid user_data, it must be base64 encoded.") from None
        if len(self.instances) >= QUOTA:
            reason = "You have reached the maximum number of active virtual machines for this account."
            raise self.refused(400, f"{reason} Please contact our support team to have this limit raised.")
        name = str(uuid.uuid4())
        instance = {
            "id": name,
            "os": system["name"] if system else "Snapshot",
            "ram": plan["ram"],
            "disk": plan["disk"],
            "main_ip": "0.0.0.0",
            "vcpu_count": plan["vcpu_count"],
            "region": given["region"],
            "plan": plan["id"],
            "date_created": now(),
            "status": "pending",
            "allowed_bandwidth": 1000,
            "netmask_v4": "",
            "gateway_v4": "0.0.0.0",
            "power_status": "running",
            "server_status": "none",
            "v6_network": "",
            "v6_main_ip": "",
            "v6_network_size": 0,
            "label": given.get("label", ""),
            "internal_ip": "",
            "kvm": "",
            "hostname": given["hostname"],
            "os_id": system["id"] if system else 164,
            "app_id": 0,
            "image_id": "",
            "snapshot_id": given.get("snapshot_id", ""),
            "firewall_group_id": "",
            "features": ["ipv6"] if given.get("enable_ipv6") else [],
            "tags": given.get("tags", []),
            "user_scheme": "root",
        }
        self.instances[name] = instance
        last = self.new_id() % 250 + 2
        addresses = {
            "main_ip": f"192.0.2.{last}",
            "netmask_v4": "255.255.254.0",
            "gateway_v4": "192.0.2.1",
            "v6_network": f"2001:db8:{last:x}::",
            "v6_main_ip": f"2001:db8:{last:x}::1",
            "v6_network_size": 64,
        }
        self.later(lambda: instance.update(status="active", server_status="installingbooting", **addresses))
        self.later(lambda: instance.update(server_status="ok"), after=2 * TAKES)
        return 202, {"instance": {**instance, "default_password": f"{self.token}-default-password"}}

    @route("DELETE", "/v2/instances/{name}")
    def remove_instance(self, ask, name):
        self.instance(name)
        self.later(lambda: self.instances.pop(name, None))
        return 204, None

    @route("POST", "/v2/instances/{name}/{action}")
    def act(self, ask, name, action):
        instance = self.instance(name)
        if action not in ("start", "halt", "reboot"):
            raise self.not_found()
        if instance["status"] != "active" or instance["server_status"] == "locked":
            raise self.refused(400, "Server is currently locked.")
        power = "stopped" if action == "halt" else "running"
        self.later(lambda: instance.update(power_status=power))
        return 204, None


serve(Vultr)
