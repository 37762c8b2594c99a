"""The server that the settings name, and the app's database on it."""

import json
import os
import re
import sys
import urllib.parse


def fail(message):
    """Ends the script with one sentence for the person who deploys. The URL is never in it: it has a password."""
    sys.exit(message)


def settings():
    with open(os.environ["CLOUDTOOL_SERVICE_SETTINGS"], encoding="utf-8") as file:
        values = json.load(file)
    url = values["url"].strip()
    if not url:
        fail(
            "no MongoDB server is set: put url = mongodb://USER:PASSWORD@HOST into [service:mongodb] of the configuration"
        )
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("mongodb", "mongodb+srv") or not parts.netloc or not re.fullmatch(r"[!-~]+", url):
        fail("url in [service:mongodb] is not an address like mongodb://USER:PASSWORD@HOST")
    if parts.path not in ("", "/"):
        fail("url in [service:mongodb] names a database: leave it out, every app gets one of its own name")
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,30}", values["prefix"]):
        fail("prefix in [service:mongodb] may have up to 30 letters, digits, '_' and '-'")
    return parts, values["prefix"] + os.environ["CLOUDTOOL_APP"]


def hosts(parts):
    """The servers, as (name, port)."""
    for host in parts.netloc.rpartition("@")[2].split(","):
        one = urllib.parse.urlsplit(f"//{host}")
        yield one.hostname, one.port or 27017
