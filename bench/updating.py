"""`update` of one file of 500 and of nothing, near and far; `setup-node` again."""

import clock
from apps import App
from delay import Delay
from nodes import CLOUDTOOL, Node
from table import Row, at_most, at_most_times

ONE_WAY = 0.040


def measure(node: Node, rounds: int) -> list[Row]:
    world = node.world
    app = App(world.home, "big").with_files(500, 4000)
    world.cloudtool("update", app.directory, "--node", node.name, "--host", "big.test")
    rows = near(node, app, rounds)
    with Delay((node.address, 22), ONE_WAY) as link:
        rows += far(node.behind("far", link.port), app, rounds)
    world.cloudtool("remove", app.name, "--node", node.name, "-y")
    return rows


def works(app: App, to: Node, target: list[str]) -> dict:
    """The commands that are compared. Each of those that copy finds one changed file."""
    update = [CLOUDTOOL, "update", app.directory, *target]

    def changed(command):
        def prepared():
            app.change()
            return command

        return prepared

    copy = ["rsync", "-a", "--delete", "-e", " ".join(to.ssh), f"{app.directory}/", f"{to.login}:/srv/rsync/"]
    return {
        "rsync": changed(copy),
        "update": changed(update),
        "nothing": lambda: update,
        "setup": lambda: [CLOUDTOOL, "setup-node", *setup_target(to, target)],
        "ssh true": lambda: to.command("true"),
    }


def setup_target(to: Node, target: list[str]) -> list[str]:
    """`--node NAME` as setup-node says it."""
    return [target[1], *(["--port", str(to.port), "--identity", to.world.data / "id_ed25519"] if to.port != 22 else [])]


def near(node: Node, app: App, rounds: int) -> list[Row]:
    found = clock.medians(rounds, node.world.environment, works(app, node, ["--node", node.name]))
    beside = {"rsync": found["rsync"], "ssh true": found["ssh true"]}
    true = {"ssh true": found["ssh true"]}
    return [
        at_most("update, 1 of 500 files changed, LAN", found["update"], 1.0, beside),
        at_most_times("update, nothing changed, LAN", found["nothing"], 1.2, true),
        at_most("setup-node again, LAN", found["setup"], 0.6, true),
    ]


def far(far: Node, app: App, rounds: int) -> list[Row]:
    # Known by its address from now on, with the port and the key it was set up with.
    far.world.cloudtool("setup-node", *setup_target(far, ["--node", far.address]))
    found = clock.medians(rounds, far.world.environment, works(app, far, ["--node", far.address]))
    beside = {"rsync": found["rsync"], "ssh true": found["ssh true"]}
    true = {"ssh true": found["ssh true"]}
    return [
        at_most("update, 1 of 500 files changed, 80 ms", found["update"], 2.0, beside),
        at_most_times("update, nothing changed, 80 ms", found["nothing"], 1.2, true),
        at_most_times("setup-node again, 80 ms", found["setup"], 1.5, true),
    ]
