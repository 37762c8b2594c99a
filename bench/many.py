"""The 200th app on a node: its update beside the first's, when it was alone."""

import statistics

import clock
from apps import App
from nodes import CLOUDTOOL, Node
from table import Row, at_most_times

APPS = 200


def measure(node: Node, rounds: int) -> list[Row]:
    world = node.world
    apps = []
    first = None
    for number in range(1, APPS + 1):
        app = App(world.home, f"app{number}")
        world.cloudtool("update", app.directory, "--node", node.name, "--host", f"app{number}.test")
        apps.append(app)
        if first is None:
            first = update(node, app, rounds)
    last = update(node, apps[-1], rounds)
    again = update(node, apps[0], rounds)
    row = at_most_times(f"update of the {APPS}th app", last, 1.3, {"the first": first, "the first now": again})
    return [row]


def update(node: Node, app: App, rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        app.change()
        argv = [CLOUDTOOL, "update", app.directory, "--node", node.name]
        seconds.append(clock.Run(argv, node.world.environment).seconds)
    return statistics.median(seconds)
