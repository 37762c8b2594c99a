"""`setup-node` of bare servers, beside the bare `apt-get install` of the same packages on a server as bare."""

import ast
import statistics

import clock
from nodes import CLOUDTOOL, REPOSITORY, World
from table import Row, at_most_times

INSTALL = "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"


def packages() -> list[str]:
    """What setup-node installs, from its own source."""
    source = (REPOSITORY / "server-files/node/cloudtool_node/setup.py").read_text()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "PACKAGES":
            return list(ast.literal_eval(statement.value))
    raise SystemExit("setup.py has no PACKAGES")


def measure(world: World, rounds: int) -> list[Row]:
    seconds: dict[str, list[float]] = {"setup-node": [], "apt-get": []}
    for number in range(rounds):
        # Turn about, so that neither is always the one that finds a proxy's cache filled.
        for name in sorted(seconds, reverse=number % 2 == 0):
            node = world.create_node("bench-bare", "--wait")
            if name == "setup-node":
                argv = [CLOUDTOOL, "setup-node", node.name]
            else:
                argv = node.command(f"{INSTALL} {' '.join(packages())}")
            seconds[name].append(clock.Run(argv, world.environment).seconds)
            node.destroy()
    ours, peer = (statistics.median(seconds[name]) for name in ("setup-node", "apt-get"))
    return [at_most_times("setup-node, bare Debian", ours, 1.15, {"apt-get install": peer})]
