"""The relay that the settings name, checked."""

import json
import os
import re
import sys

PORTS = {"starttls": 587, "tls": 465, "none": 25}


def fail(message):
    """Ends the script with one sentence for the person who deploys."""
    sys.exit(f"{message.rstrip('.')}: see [service:mail] of the configuration")


def relay():
    with open(os.environ["CLOUDTOOL_SERVICE_SETTINGS"], encoding="utf-8") as file:
        values = {name: value.strip() for name, value in json.load(file).items()}
    if not values["host"]:
        fail("no relay is set for outgoing mail (host, and username and password where it asks for them)")
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", values["host"]):
        fail(f"host = {values['host']} is not the name or address of a relay")
    if values["tls"] not in PORTS:
        fail(f"tls = {values['tls']} is none of starttls, tls and none")
    values["port"] = values["port"] or str(PORTS[values["tls"]])
    if not values["port"].isascii() or not values["port"].isdigit() or not 0 < int(values["port"]) < 65536:
        fail(f"port = {values['port']} is not a port")
    if bool(values["username"]) != bool(values["password"]):
        fail("username and password of the relay are given together or not at all")
    if values["username"] and values["tls"] == "none" and values["host"] not in ("127.0.0.1", "::1", "localhost"):
        fail("with tls = none the relay's password would cross the network as it is")
    if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", values["from"]):
        fail(f"from = {values['from']} is not an address to send from")
    return values
