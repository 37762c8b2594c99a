"""How much memory a server of this node may take, and what it forgets when that is full: settings of [service:redis]."""

import pathlib
import re

import share

EVICTION = ("noeviction", "volatile-ttl", "volatile-lru", "volatile-lfu", "allkeys-lru", "allkeys-lfu")


def settings():
    """Bytes, and a policy."""
    values = share.settings()
    eviction = values["eviction"].strip()
    if eviction not in EVICTION:
        share.fail(f"eviction = {eviction} in [service:redis] is not one of {', '.join(EVICTION)}")
    return in_bytes(values["memory"]), eviction


def in_bytes(value):
    """`25%` of the node's memory, or `512M`."""
    match = re.fullmatch(r"([1-9][0-9]*)([%KMG])", value.strip())
    if not match:
        share.fail(
            f"memory = {value} in [service:redis] is neither a part of the node's memory (25%) nor a size (512M)"
        )
    number, unit = int(match[1]), match[2]
    if unit != "%":
        return number * 1024 ** (" KMG".index(unit))
    total = re.search(r"^MemTotal: +(\d+) kB", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(total[1]) * 1024 * number // 100
