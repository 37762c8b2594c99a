"""`make bench`: everything there is a goal for, on nodes and servers of its own, beside the peers in the same run. Needs root."""

import argparse
import signal
import sys
from datetime import datetime

import backups
import clouds
import developing
import inside
import installing
import many
import serving
import sleeping
import updating
import uploading
import waiting
from nodes import World
from table import Row, table

# What is measured on the one node that is set up, in this order: an idle node first.
ON_A_NODE = {
    "serving": serving,
    "waiting": waiting,
    "sleeping": sleeping,
    "updating": updating,
    "uploading": uploading,
    "backups": backups,
    "inside": inside,
    "many": many,
}
NAMES = ["installing", *ON_A_NODE, "developing", "clouds"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(NAMES)} (all of them)")
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is done; medians count (7)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(NAMES):
        parser.error(f"there is no {', '.join(unknown)}")
    parts = options.parts or NAMES
    # Whatever ends it, the nodes go: the World destroys them on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    rows = []
    with World() as world:
        if "installing" in parts:
            say("installing")
            rows += told(installing.measure(world, min(options.rounds, 3)))
        chosen = [name for name in ON_A_NODE if name in parts]
        if chosen:
            # Two hundred apps, ten to twelve megabytes each.
            node = world.create_node("bench", "--setup-node", "--size", "large")
            node.says("apt-get install -y -q --no-install-recommends rsync")
        for name in chosen:
            say(name)
            rows += told(ON_A_NODE[name].measure(node, options.rounds))
        if "developing" in parts:
            say("developing")
            rows += told(developing.measure(world, options.rounds))
        if "clouds" in parts:
            say("clouds")
            rows += told(clouds.measure(world, options.rounds))
    print(table(rows))
    return 0


def told(rows: list[Row]) -> list[Row]:
    """Shows what is known already: all of it takes half an hour, and something may end it."""
    print(table(rows), file=sys.stderr, flush=True)
    return rows


def say(what: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {what}", file=sys.stderr, flush=True)


sys.exit(main())
