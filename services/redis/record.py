"""The frame of a dump, see `dump`."""

import json
import struct

FORMAT = "cloudtool redis 1"
FIELDS = struct.Struct(">IqQ")
# No key is as long: Redis takes 512 MB.
END = 0xFFFFFFFF


def header(version):
    return json.dumps({"format": FORMAT, "version": version}).encode() + b"\n"
