"""`serve` on this machine: how soon a hello-world app answers, and how soon a changed one does. Its own import takes next to nothing."""

import json
import statistics
import subprocess
import time
import urllib.request

from apps import HELLO, App
from nodes import CLOUDTOOL, World
from table import Row, at_most

UP_SECONDS = 0.5
AGAIN_SECONDS = 0.3


def measure(world: World, rounds: int) -> list[Row]:
    app = App(world.home, "developed")
    # What is unpacked and compiled once is there.
    up(world, app)[0].end()
    ups, agains = [], []
    for number in range(rounds):
        served, seconds = up(world, app)
        ups.append(seconds)
        agains.append(again(served, app, f"hello {number}"))
        served.end()
    return [
        at_most("serve is up", statistics.median(ups), UP_SECONDS, {}),
        at_most("serve answers anew after a change", statistics.median(agains), AGAIN_SECONDS, {}),
    ]


class Served:
    def __init__(self, world: World, app: App):
        argv = [CLOUDTOOL, "serve", app.directory, "--port", "0", "--json"]
        self.process = subprocess.Popen(
            argv, env=world.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.url = json.loads(self.process.stdout.readline())["url"]

    def answer(self) -> str:
        with urllib.request.urlopen(self.url) as answer:
            return answer.read().decode()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def up(world: World, app: App) -> tuple[Served, float]:
    """From the command to the first answer."""
    began = time.monotonic()
    served = Served(world, app)
    served.answer()
    return served, time.monotonic() - began


def again(served: Served, app: App, text: str) -> float:
    """From the change to the answer that has it; who asks keeps asking."""
    app.write("app.py", HELLO.replace("hello world", text))
    began = time.monotonic()
    while served.answer() != text:
        pass
    return time.monotonic() - began
