"""Lists of clouds: beside Apache Libcloud, beside the API's own answer, and of nine clouds at once."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import clock
from nodes import CLOUDTOOL, REPOSITORY, World
from table import Row, at_most, at_most_times

INSTALLED = Path("/var/cache/cloudtool-tests/clouds")
SERVERS = REPOSITORY / "tests" / "clouds" / "servers"
# What one login and all of a list take at most, as a multiple of the API's own time.
BEYOND_THE_API = 1.2
CACHED_SECONDS = 0.05
# The clouds of the list of all of them: as many sections of one server.
CLOUDS = 9


class Cloud:
    """A section of the configuration, and how libcloud is told the same."""

    def __init__(self, name: str, settings: dict[str, str], driver: str, positional: list, named: dict):
        self.name = name
        self.section = f"[provider:{name}]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())
        self.libcloud = [driver, json.dumps({"positional": positional, "named": named})]


def measure(world: World, rounds: int) -> list[Row]:
    subprocess.run([REPOSITORY / "scripts" / "install-cloud-servers"], check=True, stdout=sys.stderr)
    with contextlib.ExitStack() as servers:
        clouds = [openstack(world, servers), rackspace(servers), ec2(servers)]
        configuration = world.home / "clouds.ini"
        configuration.write_text("\n".join(cloud.section for cloud in clouds))
        configuration.chmod(0o600)
        environment = {**world.environment, "CLOUDTOOL_CONFIG": str(configuration)}
        rows = [row for cloud in clouds for row in lists(world, environment, rounds, cloud)]
        return rows + all_at_once(world, rounds, clouds[1])


def lists(world: World, environment: dict[str, str], rounds: int, cloud: Cloud) -> list[Row]:
    trace = world.home / "trace"
    rows = []
    for what in ("sizes", "images", "nodes"):
        ours = [CLOUDTOOL, f"list-{what}", "--provider", cloud.name, "--json", "--trace-http", trace]
        peer = [INSTALLED / "mimic/bin/python", REPOSITORY / "bench" / "libcloud_list.py", *cloud.libcloud, what]
        clock.Run(ours, environment)
        trace.unlink()
        seconds = clock.medians(rounds, environment, {"ours": lambda: ours, "libcloud": lambda: peer})
        exchanges = [json.loads(line)["milliseconds"] for line in trace.read_text().splitlines()]
        trace.unlink()
        api = sum(exchanges) / rounds / 1000
        work = f"{cloud.name}: list-{what}"
        rows.append(at_most_times(work, seconds["ours"], 1, {"libcloud": seconds["libcloud"]}))
        rows.append(at_most_times(f"{work}, a token kept", seconds["ours"], BEYOND_THE_API, {"the API alone": api}))
    return rows


def all_at_once(world: World, rounds: int, cloud: Cloud) -> list[Row]:
    """list-nodes over many clouds, beside the slowest alone; and what is known, without asking."""
    many = world.home / "many.ini"
    one = cloud.section.removeprefix(f"[provider:{cloud.name}]\n")
    many.write_text("\n".join(f"[provider:c{number}]\n{one}" for number in range(CLOUDS)))
    many.chmod(0o600)
    environment = {**world.environment, "CLOUDTOOL_CONFIG": str(many)}
    words = {
        "all": ["list-nodes", "--json"],
        "one": ["list-nodes", "--json", "--provider", "c0"],
        "cached": ["list-nodes", "--cached", "--json"],
    }
    works = {name: lambda line=line: [CLOUDTOOL, *line] for name, line in words.items()}
    for work in works.values():
        clock.Run(work(), environment)
    seconds = clock.medians(rounds, environment, works)
    return [
        at_most_times(f"list-nodes of {CLOUDS} clouds", seconds["all"], 1.5, {"one of them": seconds["one"]}),
        at_most("list-nodes --cached", seconds["cached"], CACHED_SECONDS, {}),
    ]


def openstack(world: World, servers: contextlib.ExitStack) -> Cloud:
    directory, port = world.home / "openstack", free_port()
    python = INSTALLED / "openstack/bin/python"
    lab = [python, SERVERS / "openstack" / "lab.py", "run", INSTALLED / "openstack-template", directory, port]
    start(servers, lab, port)
    accounts = json.loads((directory / "accounts.json").read_text())
    settings = {
        "provider": "openstack",
        "endpoint": accounts["origin"],
        "username": "demo",
        "secret": accounts["password"],
        "project": "demo",
    }
    named = {
        "api_version": "2.2",
        "ex_force_auth_url": accounts["origin"],
        "ex_force_auth_version": "3.x_password",
        "ex_tenant_name": "demo",
        "ex_force_service_region": "RegionOne",
    }
    return Cloud("openstack", settings, "openstack", ["demo", accounts["password"]], named)


def rackspace(servers: contextlib.ExitStack) -> Cloud:
    port = free_port()
    mimic = [INSTALLED / "mimic/bin/twistd", "--nodaemon", "--pidfile=", "mimic", "--realtime", "--listen"]
    start(servers, [*mimic, f"tcp:{port}:interface=127.0.0.1"], port)
    identity = f"http://127.0.0.1:{port}/identity/v2.0"
    settings = {
        "provider": "rackspace",
        "endpoint": identity,
        "username": "bench",
        "secret": "a-key",
        "region": "IAD",
    }
    named = {"region": "iad", "ex_force_auth_url": f"http://127.0.0.1:{port}/identity"}
    return Cloud("rackspace", settings, "rackspace", ["bench", "a-key"], named)


def ec2(servers: contextlib.ExitStack) -> Cloud:
    port = free_port()
    start(servers, [INSTALLED / "moto/bin/moto_server", "-H", "127.0.0.1", "-p", port], port)
    settings = {
        "provider": "ec2",
        "endpoint": f"http://127.0.0.1:{port}",
        "username": "AKID",
        "secret": "a-key",
        "region": "us-east-1",
    }
    named = {"secure": False, "host": "127.0.0.1", "port": port, "signature_version": "4"}
    return Cloud("ec2", settings, "ec2", ["AKID", "a-key"], named)


def start(servers: contextlib.ExitStack, argv: list, port: int) -> None:
    """A server that lives until the stack ends, and that answers on its port."""
    words = [str(word) for word in argv]
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    servers.callback(process.wait)
    servers.callback(os.killpg, process.pid, 9)
    for _ in range(2400):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"no server on port {port}: {' '.join(words)[:200]}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
