"""A fake of Hetzner Cloud's API v1: servers, their actions, keys, images, server types, locations."""

import re

from base import QUOTA, Fake, Refused, fingerprint, now, page_of, route, serve

PAGE = 2
LOCATIONS = [
    ("fsn1", "Falkenstein", "DE", "eu-central"),
    ("nbg1", "Nuremberg", "DE", "eu-central"),
    ("hel1", "Helsinki", "FI", "eu-central"),
]
TYPES = [
    ("cax11", 2, 4.0, 40, "arm", "3.2900"),
    ("cx23", 2, 4.0, 40, "x86", "2.9900"),
    ("cx33", 4, 8.0, 80, "x86", "4.9900"),
]
IMAGES = [("debian-12", "debian", "12"), ("ubuntu-22.04", "ubuntu", "22.04"), ("ubuntu-24.04", "ubuntu", "24.04")]
# The status while an action runs, and when it has succeeded.
ACTIONS = {
    "reboot": ("reboot_server", "running", "running"),
    "reset": ("reset_server", "running", "running"),
    "poweron": ("start_server", "starting", "running"),
    "poweroff": ("stop_server", "stopping", "off"),
    "shutdown": ("shutdown_server", "stopping", "off"),
}
LABEL = re.compile(r"([a-z0-9A-Z]([-a-z0-9A-Z_.]*[a-z0-9A-Z])?/)?[a-z0-9A-Z]([-a-z0-9A-Z_.]{0,61}[a-z0-9A-Z])?")


class Hetzner(Fake):
    def __init__(self, options):
        super().__init__(options.token, options.public)
        self.servers, self.actions, self.keys = {}, {}, {}
        self.locations = [
            {
                "id": index,
                "name": name,
                "description": f"{city} DC Park 1",
                "country": country,
                "city": city,
                "latitude": 50.47612,
                "longitude": 12.370071,
                "network_zone": zone,
            }
            for index, (name, city, country, zone) in enumerate(LOCATIONS, 1)
        ]
        self.types = [self.server_type(*facts) for facts in TYPES]
        self.images = [
            self.image(name, flavor, version, architecture, "system")
            for name, flavor, version in IMAGES
            for architecture in ("x86", "arm")
        ]
        self.images.append(self.image(None, "debian", "12", "x86", "snapshot"))

    def server_type(self, name, cores, memory, disk, architecture, monthly):
        def price(net):
            return {"net": net, "gross": f"{float(net) * 1.19:.16f}"}

        return {
            "id": self.new_id(),
            "name": name,
            "description": name.upper(),
            "cores": cores,
            "memory": memory,
            "disk": disk,
            "deprecated": False,
            "deprecation": None,
            "prices": [
                {
                    "location": location,
                    "price_hourly": price(f"{float(monthly) / 625:.4f}"),
                    "price_monthly": price(monthly),
                    "included_traffic": 21990232555520,
                    "price_per_tb_traffic": price("1.0000"),
                }
                for location, *_ in LOCATIONS
            ],
            "storage_type": "local",
            "cpu_type": "shared",
            "category": "Shared vCPU",
            "architecture": architecture,
            "included_traffic": 21990232555520,
            "locations": [
                {"id": index, "name": location, "deprecation": None, "available": True, "recommended": True}
                for index, (location, *_) in enumerate(LOCATIONS, 1)
            ],
        }

    def image(self, name, flavor, version, architecture, kind):
        return {
            "id": self.new_id(),
            "type": kind,
            "status": "available",
            "name": name,
            "description": f"{flavor.title()} {version}" if name else "web before the upgrade",
            "image_size": None if name else 2.3,
            "disk_size": 5,
            "created": now(),
            "created_from": None,
            "bound_to": None,
            "os_flavor": flavor,
            "os_version": version,
            "rapid_deploy": bool(name),
            "protection": {"delete": False},
            "deprecated": None,
            "deleted": None,
            "labels": {},
            "architecture": architecture,
        }

    # Refusals.

    def refused(self, status, code, message, headers=None, details=None):
        return Refused(status, {"error": {"code": code, "message": message, "details": details}}, headers)

    def unauthorized(self):
        return self.refused(401, "unauthorized", "unable to authenticate")

    def not_found(self, what="resource"):
        return self.refused(404, "not_found", f"{what} not found")

    def throttled(self):
        return self.refused(
            429, "rate_limit_exceeded", "limit of requests an hour reached", {"RateLimit-Remaining": "0"}
        )

    def invalid(self, field, message):
        details = {"fields": [{"name": field, "messages": [message]}]}
        return self.refused(422, "invalid_input", f"invalid input in field '{field}'", details=details)

    # Lists.

    def page(self, ask, field, items):
        page, size = ask.number("page", 1, 1, 10**6), min(ask.number("per_page", 25, 1, 50), PAGE)
        shown, pages = page_of(items, page, size)
        pagination = {
            "page": page,
            "per_page": size,
            "previous_page": page - 1 if page > 1 else None,
            "next_page": page + 1 if page < pages else None,
            "last_page": pages,
            "total_entries": len(items),
        }
        return 200, {field: shown, "meta": {"pagination": pagination}}

    @route("GET", "/locations")
    def list_locations(self, ask):
        return self.page(ask, "locations", self.locations)

    @route("GET", "/server_types")
    def list_types(self, ask):
        return self.page(ask, "server_types", self.types)

    @route("GET", "/images")
    def list_images(self, ask):
        status = ask.query.get("status")
        return self.page(ask, "images", [image for image in self.images if status in (None, image["status"])])

    @route("GET", "/ssh_keys")
    def list_keys(self, ask):
        return self.page(ask, "ssh_keys", list(self.keys.values()))

    @route("POST", "/ssh_keys")
    def add_key(self, ask):
        given = ask.json()
        print_ = fingerprint(given["public_key"])
        if print_ is None:
            raise self.invalid("public_key", "SSH key format is invalid")
        if any(print_ == key["fingerprint"] or given["name"] == key["name"] for key in self.keys.values()):
            raise self.refused(409, "uniqueness_error", "SSH key with the same fingerprint already exists")
        key = {
            "id": self.new_id(),
            "name": given["name"],
            "fingerprint": print_,
            "public_key": given["public_key"],
            "labels": given.get("labels") or {},
            "created": now(),
        }
        self.keys[key["id"]] = key
        return 201, {"ssh_key": key}

    # Servers.

    def server(self, text):
        server = self.servers.get(int(text)) if text.isdecimal() else None
        if server is None:
            raise self.not_found("server")
        return server

    @route("GET", "/servers")
    def list_servers(self, ask):
        servers = list(self.servers.values())
        if "name" in ask.query:
            servers = [server for server in servers if server["name"] == ask.query["name"]]
        if "label_selector" in ask.query:
            key, _, value = ask.query["label_selector"].partition("==")
            servers = [server for server in servers if server["labels"].get(key) == value]
        return self.page(ask, "servers", servers)

    @route("GET", "/servers/{number}")
    def get_server(self, ask, number):
        return 200, {"server": self.server(number)}

    @route("POST", "/servers")
    def create_server(self, ask):
        given = ask.json()
        name = given["name"]
        if not re.fullmatch(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?", name):
            raise self.invalid("name", "Name must be a valid hostname.")
        if any(server["name"] == name for server in self.servers.values()):
            raise self.refused(409, "uniqueness_error", "server name is already used")
        kind = next((one for one in self.types if given["server_type"] in (one["name"], str(one["id"]))), None)
        if kind is None:
            raise self.not_found(f"server type {given['server_type']}")
        image = next(
            (
                one
                for one in self.images
                if given["image"] in (one["name"], str(one["id"])) and one["architecture"] == kind["architecture"]
            ),
            None,
        )
        if image is None:
            raise self.invalid("image", "image not found")
        location = next((one for one in self.locations if one["name"] == given.get("location", "fsn1")), None)
        if location is None:
            raise self.invalid("location", "location not found")
        for key in given.get("ssh_keys") or []:
            if all(str(key) not in (str(one["id"]), one["name"]) for one in self.keys.values()):
                raise self.not_found("SSH key")
        if len(given.get("user_data") or "") > 32 << 10:
            raise self.invalid("user_data", "Length must be at most 32768.")
        for key, value in (given.get("labels") or {}).items():
            if not LABEL.fullmatch(key) or (value and not LABEL.fullmatch(value)):
                raise self.invalid("labels", "invalid label")
        if len(self.servers) >= QUOTA:
            raise self.refused(403, "resource_limit_exceeded", "server limit exceeded")
        number = self.new_id()
        last = number % 250 + 2
        server = {
            "id": number,
            "name": name,
            "status": "initializing",
            "created": now(),
            "public_net": {
                "ipv4": {"id": number, "ip": f"192.0.2.{last}", "blocked": False, "dns_ptr": f"static.{last}.example"},
                "ipv6": {"id": number, "ip": f"2001:db8:{last:x}::/64", "blocked": False, "dns_ptr": []},
                "floating_ips": [],
                "firewalls": [],
            },
            "private_net": [],
            "server_type": kind,
            "image": image,
            "iso": None,
            "rescue_enabled": False,
            "locked": False,
            "backup_window": None,
            "outgoing_traffic": None,
            "ingoing_traffic": None,
            "included_traffic": 21990232555520,
            "protection": {"delete": False, "rebuild": False},
            "labels": given.get("labels") or {},
            "volumes": [],
            "load_balancers": [],
            "primary_disk_size": kind["disk"],
            "placement_group": None,
            "location": location,
            # The vendor took this away on 2026-07-01; the document that holds us is older and wants it.
            "datacenter": {
                "id": 4,
                "name": f"{location['name']}-dc1",
                "description": location["description"],
                "location": location,
                "server_types": {"supported": [], "available": [], "available_for_migration": []},
            },
        }
        self.servers[number] = server
        fails = name.startswith("fails")
        action = self.act(server, "create_server", "initializing", "running", fails=fails)
        # A key makes a password needless.
        password = None if given.get("ssh_keys") else "uXn8xKqzWmVv"
        return 201, {"server": server, "action": action, "next_actions": [], "root_password": password}

    @route("DELETE", "/servers/{number}")
    def remove_server(self, ask, number):
        server = self.server(number)
        action = self.act(server, "delete_server", "deleting", "deleting")
        self.later(lambda: self.servers.pop(server["id"], None))
        return 200, {"action": action}

    # Actions.

    def act(self, server, command, meanwhile, status, fails=False):
        if server["locked"]:
            raise self.refused(423, "locked", "server is locked")
        action = {
            "id": self.new_id(),
            "command": command,
            "status": "running",
            "progress": 0,
            "started": now(),
            "finished": None,
            "resources": [{"id": server["id"], "type": "server"}],
            "error": None,
        }
        self.actions[action["id"]] = action
        server.update(locked=True, status=meanwhile)

        def done():
            server["locked"] = False
            if fails:
                error = {"code": "resource_unavailable", "message": "no capacity at this location"}
                action.update(status="error", progress=100, finished=now(), error=error)
            else:
                action.update(status="success", progress=100, finished=now())
                server["status"] = status

        self.later(done)
        return action

    @route("GET", "/servers/{number}/actions")
    def list_actions(self, ask, number):
        server = self.server(number)
        mine = [action for action in self.actions.values() if action["resources"][0]["id"] == server["id"]]
        if "status" in ask.query:
            mine = [action for action in mine if action["status"] == ask.query["status"]]
        return self.page(ask, "actions", mine)

    @route("POST", "/servers/{number}/actions/{kind}")
    def start_action(self, ask, number, kind):
        server = self.server(number)
        if kind not in ACTIONS:
            raise self.not_found("action")
        if kind == "shutdown" and server["status"] == "off":
            raise self.refused(412, "server_not_running", "server is not running")
        return 201, {"action": self.act(server, *ACTIONS[kind])}


serve(Hetzner)
