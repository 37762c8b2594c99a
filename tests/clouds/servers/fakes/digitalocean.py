"""A fake of DigitalOcean's API v2: droplets, their actions, keys, tags, images, sizes, regions."""

import re

from base import QUOTA, Fake, Refused, fingerprint, now, page_of, route, serve

PAGE = 2
REGIONS = [("nyc1", "New York 1"), ("ams3", "Amsterdam 3"), ("fra1", "Frankfurt 1")]
SIZES = [("s-1vcpu-512mb-10gb", 512, 1, 10, 4), ("s-1vcpu-1gb", 1024, 1, 25, 6), ("s-2vcpu-4gb", 4096, 2, 80, 24)]
IMAGES = [
    ("debian-12-x64", "12 x64", "Debian"),
    ("ubuntu-22-04-x64", "22.04 (LTS) x64", "Ubuntu"),
    ("ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu"),
    ("ubuntu-25-10-x64", "25.10 x64", "Ubuntu"),
]
ACTIONS = {"reboot": "active", "power_cycle": "active", "power_on": "active", "power_off": "off", "shutdown": "off"}


class DigitalOcean(Fake):
    def __init__(self, options):
        super().__init__(options.token, options.public)
        self.droplets, self.actions, self.keys, self.tags = {}, {}, {}, set()
        slugs = [slug for slug, _ in REGIONS]
        self.regions = [
            {
                "slug": slug,
                "name": name,
                "features": ["metadata", "ipv6"],
                "available": True,
                "sizes": [s[0] for s in SIZES],
            }
            for slug, name in REGIONS
        ]
        self.sizes = [
            {
                "slug": slug,
                "memory": memory,
                "vcpus": vcpus,
                "disk": disk,
                "transfer": 1.0,
                "price_monthly": price,
                "price_hourly": price / 672,
                "regions": slugs,
                "available": True,
                "description": "Basic",
            }
            for slug, memory, vcpus, disk, price in SIZES
        ]
        self.images = [self.image(slug, name, distribution, True) for slug, name, distribution in IMAGES]
        self.images.append(self.image(None, "web-before-upgrade", "Debian", False))

    def image(self, slug, name, distribution, public):
        return {
            "id": self.new_id(),
            "name": name,
            "type": "base" if public else "snapshot",
            "distribution": distribution,
            "slug": slug,
            "public": public,
            "regions": [region for region, _ in REGIONS],
            "created_at": now(),
            "min_disk_size": 7,
            "size_gigabytes": 2.4,
            "description": f"{distribution} {name}",
            "tags": [],
            "status": "available",
        }

    # Refusals.

    def refused(self, status, code, message, headers=None):
        return Refused(
            status, {"id": code, "message": message, "request_id": "4d9d8375-3c56-4925-a3e7-eb137fed17e9"}, headers
        )

    def unauthorized(self):
        return self.refused(401, "unauthorized", "Unable to authenticate you")

    def not_found(self):
        return self.refused(404, "not_found", "The resource you were accessing could not be found.")

    def throttled(self):
        return self.refused(429, "too_many_requests", "API Rate limit exceeded.", {"retry-after": "1"})

    def unprocessable(self, message):
        return self.refused(422, "unprocessable_entity", message)

    # Lists.

    def page(self, ask, field, items):
        page, size = ask.number("page", 1, 1, 10**6), ask.number("per_page", 20, 1, 200)
        # Smaller than the vendor's, so that there is always another one.
        size = min(size, PAGE)
        shown, pages = page_of(items, page, size)
        others = "".join(f"&{key}={value}" for key, value in ask.query.items() if key not in ("page", "per_page"))

        def link(number):
            return f"{self.public}{ask.path}?page={number}&per_page={size}{others}"

        links = {}
        if page < pages:
            links |= {"next": link(page + 1), "last": link(pages)}
        if page > 1:
            links |= {"prev": link(page - 1), "first": link(1)}
        return 200, {field: shown, "links": {"pages": links} if links else {}, "meta": {"total": len(items)}}

    @route("GET", "/v2/regions")
    def list_regions(self, ask):
        return self.page(ask, "regions", self.regions)

    @route("GET", "/v2/sizes")
    def list_sizes(self, ask):
        return self.page(ask, "sizes", self.sizes)

    @route("GET", "/v2/images")
    def list_images(self, ask):
        images = self.images
        if ask.query.get("type") == "distribution":
            images = [image for image in images if image["public"]]
        if ask.query.get("private") == "true":
            images = [image for image in images if not image["public"]]
        return self.page(ask, "images", images)

    @route("GET", "/v2/account/keys")
    def list_keys(self, ask):
        return self.page(ask, "ssh_keys", list(self.keys.values()))

    @route("POST", "/v2/account/keys")
    def add_key(self, ask):
        given = ask.json()
        print_ = fingerprint(given["public_key"])
        if print_ is None:
            raise self.unprocessable("Key invalid, key should be of the format `type key [comment]`")
        if any(key["fingerprint"] == print_ for key in self.keys.values()):
            raise self.unprocessable("SSH Key is already in use on your account")
        key = {"id": self.new_id(), "fingerprint": print_, "public_key": given["public_key"], "name": given["name"]}
        self.keys[key["id"]] = key
        return 201, {"ssh_key": key}

    @route("DELETE", "/v2/tags/{tag}")
    def remove_tag(self, ask, tag):
        if tag not in self.tags:
            raise self.not_found()
        self.tags.discard(tag)
        for droplet in self.droplets.values():
            droplet["tags"] = [one for one in droplet["tags"] if one != tag]
        return 204, None

    @route("GET", "/v2/tags")
    def list_tags(self, ask):
        count = {"count": 0}
        resources = {
            **count,
            **dict.fromkeys(("droplets", "images", "volumes", "volume_snapshots", "databases"), count),
        }
        return self.page(ask, "tags", [{"name": tag, "resources": resources} for tag in sorted(self.tags)])

    # Droplets.

    def droplet(self, text):
        droplet = self.droplets.get(int(text)) if text.isdecimal() else None
        if droplet is None:
            raise self.not_found()
        return droplet

    @route("GET", "/v2/droplets")
    def list_droplets(self, ask):
        droplets = list(self.droplets.values())
        if "name" in ask.query and "tag_name" in ask.query:
            raise self.unprocessable("name and tag_name cannot be combined")
        if "name" in ask.query:
            droplets = [droplet for droplet in droplets if droplet["name"].lower() == ask.query["name"].lower()]
        if "tag_name" in ask.query:
            droplets = [droplet for droplet in droplets if ask.query["tag_name"] in droplet["tags"]]
        return self.page(ask, "droplets", droplets)

    @route("GET", "/v2/droplets/{number}")
    def get_droplet(self, ask, number):
        return 200, {"droplet": self.droplet(number)}

    @route("POST", "/v2/droplets")
    def create_droplet(self, ask):
        given = ask.json()
        if not re.fullmatch(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?", given["name"]):
            raise self.unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
        region = next((r for r in self.regions if r["slug"] == given.get("region", "nyc1")), None)
        size = next((s for s in self.sizes if s["slug"] == given["size"]), None)
        image = next((i for i in self.images if given["image"] in (i["slug"], i["id"])), None)
        for what, found in (("region", region), ("size", size), ("image", image)):
            if found is None:
                raise self.unprocessable(f"You specified an invalid {what} for Droplet creation.")
        for tag in given.get("tags") or []:
            if not re.fullmatch(r"[a-zA-Z0-9:_-]{1,255}", tag):
                raise self.unprocessable(f"Tag {tag} is invalid")
        for key in given.get("ssh_keys") or []:
            if key not in self.keys and all(key != one["fingerprint"] for one in self.keys.values()):
                raise self.unprocessable(f"{key} are invalid key identifiers for Droplet creation.")
        if len(self.droplets) >= QUOTA:
            raise self.unprocessable("creating this/these droplet(s) will exceed your droplet limit")
        droplet = {
            "id": self.new_id(),
            "name": given["name"],
            "memory": size["memory"],
            "vcpus": size["vcpus"],
            "disk": size["disk"],
            "locked": True,
            "status": "new",
            "created_at": now(),
            "features": ["ipv6"] if given.get("ipv6") else [],
            "backup_ids": [],
            "next_backup_window": None,
            "snapshot_ids": [],
            "volume_ids": [],
            "image": image,
            "size": size,
            "size_slug": size["slug"],
            "networks": {"v4": [], "v6": []},
            "region": region,
            "tags": given.get("tags") or [],
            "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000",
        }
        self.droplets[droplet["id"]] = droplet
        self.tags.update(droplet["tags"])
        action = self.act(droplet, "create", "active", fails=given["name"].startswith("fails"))
        link = {"id": action["id"], "rel": "create", "href": f"{self.public}/v2/actions/{action['id']}"}
        return 202, {"droplet": droplet, "links": {"actions": [link]}}

    @route("DELETE", "/v2/droplets/{number}")
    def remove_droplet(self, ask, number):
        droplet = self.droplet(number)
        self.later(lambda: self.droplets.pop(droplet["id"], None))
        return 204, None

    # Actions.

    def act(self, droplet, kind, status, fails=False):
        action = {
            "id": self.new_id(),
            "status": "in-progress",
            "type": kind,
            "started_at": now(),
            "completed_at": None,
            "resource_id": droplet["id"],
            "resource_type": "droplet",
            "region": droplet["region"],
            "region_slug": droplet["region"]["slug"],
        }
        self.actions[action["id"]] = action
        droplet["locked"] = True

        def done():
            droplet["locked"] = False
            action.update(status="errored" if fails else "completed", completed_at=now())
            if not fails:
                droplet["status"] = status
                if not droplet["networks"]["v4"]:
                    self.connect(droplet)

        self.later(done)
        return action

    def connect(self, droplet):
        last = droplet["id"] % 250 + 2

        def v4(network, kind):
            return {
                "ip_address": f"{network}.{last}",
                "netmask": "255.255.255.0",
                "gateway": f"{network}.1",
                "type": kind,
            }

        v6 = {"ip_address": f"2001:db8::{last:x}", "netmask": 64, "gateway": "2001:db8::1", "type": "public"}
        # The private one first, as the vendor does.
        droplet["networks"] = {"v4": [v4("10.128.0", "private"), v4("192.0.2", "public")], "v6": [v6]}

    @route("GET", "/v2/droplets/{number}/actions")
    def list_actions(self, ask, number):
        droplet = self.droplet(number)
        mine = [action for action in self.actions.values() if action["resource_id"] == droplet["id"]]
        return self.page(ask, "actions", mine[::-1])

    @route("POST", "/v2/droplets/{number}/actions")
    def start_action(self, ask, number):
        droplet, kind = self.droplet(number), ask.json()["type"]
        if droplet["locked"]:
            raise self.unprocessable("Droplet already has a pending event.")
        if kind not in ACTIONS:
            raise self.unprocessable(f"unknown action {kind}")
        if (kind == "power_on") == (droplet["status"] == "active"):
            state = "on" if droplet["status"] == "active" else "off"
            raise self.unprocessable(f"Droplet is already powered {state}.")
        return 201, {"action": self.act(droplet, kind, ACTIONS[kind])}


serve(DigitalOcean)
