"""A command inside an app, beside one on the node over the system's ssh; how soon a line of a log is seen."""

import statistics
import subprocess
import time

import clock
from apps import App
from nodes import CLOUDTOOL, Node
from table import Row, at_most, at_most_times

TIMES = 1.3
SEEN_SECONDS = 0.3
LINE = "[$(date -u '+%F %T.%6N')] [v1] [wsgi:error] [pid 1] [client 192.0.2.1:0] $(date +%s.%N)"


def measure(node: Node, rounds: int) -> list[Row]:
    world = node.world
    app = App(world.home, "inner")
    world.cloudtool("update", app.directory, "--node", node.name, "--host", "inner.test")
    works = {
        "run": lambda: [CLOUDTOOL, "run", "inner.test", "true"],
        "ssh": lambda: node.command("true"),
    }
    # A moment each: more of them, so that what else the machine does counts less.
    seconds = clock.medians(3 * rounds, world.environment, works)
    seen = followed(node, app, 3 * rounds)
    world.cloudtool("remove", app.name, "--node", node.name, "-y")
    return [
        at_most_times("run LOCATION true", seconds["run"], TIMES, {"ssh host true": seconds["ssh"]}),
        at_most("logs -f shows a line", seen, SEEN_SECONDS, {}),
    ]


def followed(node: Node, app: App, rounds: int) -> float:
    """The median from when the node writes a line, which says so itself, to when it is printed here. The node is a container: its
    clock is ours."""
    argv = [CLOUDTOOL, "logs", app.name, "-f", "-n", "1", "--stream", "app"]
    process = subprocess.Popen(
        argv, env=node.world.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    write = f'echo "{LINE}" >>/var/log/cloudtool/{app.name}/error.log'
    seconds = []
    try:
        for _ in range(rounds + 1):
            node.says(write)
            written = float(process.stdout.readline().split()[-1])
            seconds.append(time.time() - written)
    finally:
        process.kill()
        process.wait()
    # The first may have been there when it began.
    return statistics.median(seconds[1:])
