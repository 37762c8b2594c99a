"""Apps that sleep: what they use, how fast they wake, and what it costs an app to be one that may sleep."""

import re
import statistics
import time
from http.client import HTTPConnection

import serving
from apps import App
from nodes import Node
from table import Row

ASLEEP = 200
MEMORY_MB = 50
WAKE_SECONDS = 0.25
SHARE = 0.95


def measure(node: Node, rounds: int) -> list[Row]:
    world = node.world
    node.says("apt-get install -y -q --no-install-recommends wrk")
    apps = [App(world.home, "restless"), App(world.home, "sleepy")]
    (apps[1].directory / "app.ini").write_text((apps[1].directory / "app.ini").read_text() + "idle_stop = 1h\n")
    for app in apps:
        world.cloudtool("update", app.directory, "--node", node.name, "--host", f"{app.name}.test")
    rows = [awake(node, rounds), waking(node, apps[1], rounds)]
    for app in apps:
        world.cloudtool("remove", app.name, "--node", node.name, "-y")
    return [*rows, memory(node)]


def awake(node: Node, rounds: int) -> Row:
    """The two take turns."""
    seen: dict[str, list[float]] = {"sleepy": [], "restless": []}
    for _ in range(rounds):
        for name, found in seen.items():
            found.append(serving.requests(node, f"-H 'Host: {name}.test' http://127.0.0.1:80/", serving.SECONDS))
    may, may_not = (statistics.median(found) for found in seen.values())
    beside = f"of one that may not {may_not:.0f}"
    goal = f">= {SHARE} x"
    what = "requests a second of an app that may sleep"
    return Row(what, f"{may:.0f}", beside, f"{may / may_not:.2f}", goal, may >= SHARE * may_not)


def waking(node: Node, app: App, rounds: int) -> Row:
    """Beside the app's own start: from `systemctl start` to the first answer of its slot."""
    woken, started = [], []
    for _ in range(rounds):
        node.world.cloudtool("sleep", app.name, "--node", node.name)
        # The waker has ended, too.
        time.sleep(6)
        begin = time.monotonic()
        connection = HTTPConnection(node.address)
        connection.request("GET", "/", headers={"Host": f"{app.name}.test"})
        assert connection.getresponse().status == 200
        woken.append(time.monotonic() - begin)
        started.append(float(node.says(START.format(app=app.name)).split()[-1]))
    wake, start = statistics.median(woken), statistics.median(started)
    beside = f"its own start {start:.3f} s"
    goal = f"<= {WAKE_SECONDS} s more"
    return Row("the first request of a sleeping app", f"{wake:.3f} s", beside, "", goal, wake - start <= WAKE_SECONDS)


START = """python3 - <<'END'
import subprocess, time, urllib.request
unit = "cloudtool-app-blue@{app}.service"
environment = open("/etc/cloudtool/apps/{app}/blue.env").read()
port = environment.partition('CLOUDTOOL_PORT="')[2].partition('"')[0]
subprocess.run(["systemctl", "stop", unit], check=True)
begin = time.monotonic()
subprocess.run(["systemctl", "start", unit], check=True)
while True:
    try:
        urllib.request.urlopen("http://127.0.0.1:" + port + "/").read()
        break
    except OSError:
        time.sleep(0.002)
print(time.monotonic() - begin)
END
"""


def memory(node: Node) -> Row:
    """The PSS of all processes of the node, with and without the sleepers."""
    world = node.world
    before = node_memory_mb(node)
    apps = [App(world.home, f"asleep{number}") for number in range(ASLEEP)]
    for app in apps:
        world.cloudtool("update", app.directory, "--node", node.name, "--host", f"{app.name}.test")
        world.cloudtool("sleep", app.name, "--node", node.name)
    # The timer that looks for idle apps has stopped, too.
    time.sleep(30)
    used = node_memory_mb(node) - before
    for app in apps:
        world.cloudtool("remove", app.name, "--node", node.name, "-y")
    what = f"memory of {ASLEEP} sleeping apps, together"
    return Row(
        what, f"{used:.1f} MB", f"the node without them {before:.0f} MB", "", f"<= {MEMORY_MB} MB", used <= MEMORY_MB
    )


def node_memory_mb(node: Node) -> float:
    said = node.says("cat /proc/[0-9]*/smaps_rollup 2>/dev/null || true")
    return sum(map(int, re.findall(r"^Pss: +(\d+) kB", said, re.MULTILINE))) / 1024
