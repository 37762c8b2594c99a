"""300 MB of new files: throughput beside rsync's, and the client's memory."""

import os
import statistics

import clock
from apps import App
from nodes import CLOUDTOOL, Node
from table import Row

FILES, SIZE = 60, 5 << 20
MEMORY_MB = 64


def measure(node: Node, rounds: int) -> list[Row]:
    world = node.world
    app = App(world.home, "large")
    seconds: dict[str, list[float]] = {"rsync": [], "update": []}
    memory = 0.0
    for _ in range(rounds):
        # Pictures, archives: what does not compress. All of it is new in every round, to both.
        for number in range(FILES):
            app.write(f"media/{number}.bin", os.urandom(SIZE))
        node.says("rm -rf /srv/rsync-large")
        # An update waits for its files to be on the disk, a copy does not: neither shall wait for what was written before.
        os.sync()
        copy = ["rsync", "-a", "-e", " ".join(node.ssh), f"{app.directory}/", f"{node.login}:/srv/rsync-large/"]
        seconds["rsync"].append(clock.Run(copy, world.environment).seconds)
        os.sync()
        update = [CLOUDTOOL, "update", app.directory, "--node", node.name, "--host", "large.test"]
        run = clock.Run(update, world.environment)
        seconds["update"].append(run.seconds)
        memory = max(memory, run.max_rss_mb)
    world.cloudtool("remove", app.name, "--node", node.name, "-y")
    node.says("rm -rf /srv/rsync-large")
    ours, peer = (FILES * SIZE / 1e6 / statistics.median(seconds[name]) for name in ("update", "rsync"))
    return [
        Row(
            "300 MB of new files",
            f"{ours:.0f} MB/s",
            f"rsync {peer:.0f} MB/s",
            f"{ours / peer:.2f}",
            ">= 0.8 x rsync",
            ours >= 0.8 * peer,
        ),
        Row("the client's memory for that", f"{memory:.0f} MB", "", "", f"< {MEMORY_MB} MB", memory < MEMORY_MB),
    ]
