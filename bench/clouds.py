"""Lists of clouds: beside Apache Libcloud, beside the API's own answers, and of nine clouds at once.

The servers are on this machine, and clouds are not: a relay puts the way to a cloud between, the same for all that ask.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import clock
from delay import Delay
from nodes import CLOUDTOOL, REPOSITORY, World
from table import Row, at_most, at_most_times

INSTALLED = Path("/var/cache/cloudtool-tests/clouds")
SERVERS = REPOSITORY / "tests" / "clouds" / "servers"
# A round trip to a cloud on the same continent, and the handshakes of TLS, which are left out here.
ROUND_TRIP = 0.150
# Where the relays are.
FAR = "127.0.0.2"
# What all of a list takes at most, as a multiple of the API's own time.
BEYOND_THE_API = 1.2
CACHED_SECONDS = 0.05
# The clouds of the list of all of them: as many sections of each server.
SECTIONS = 3


class Cloud:
    """A section of the configuration, and how libcloud is told the same."""

    def __init__(self, name: str, settings: dict[str, str], driver: str, positional: list, named: dict):
        self.name = name
        self.settings = "".join(f"{key} = {value}\n" for key, value in settings.items())
        self.libcloud = [driver, json.dumps({"positional": positional, "named": named})]

    def section(self, name: str) -> str:
        return f"[provider:{name}]\n{self.settings}"


def measure(world: World, rounds: int) -> list[Row]:
    subprocess.run([REPOSITORY / "scripts" / "install-cloud-servers"], check=True, stdout=sys.stderr)
    with contextlib.ExitStack() as servers:
        clouds = [openstack(world, servers), rackspace(servers), ec2(servers)]
        configuration = world.home / "clouds.ini"
        configuration.write_text("\n".join(cloud.section(cloud.name) for cloud in clouds))
        configuration.chmod(0o600)
        environment = {**world.environment, "CLOUDTOOL_CONFIG": str(configuration)}
        rows = [row for cloud in clouds for row in lists(world, environment, rounds, cloud)]
        return rows + all_at_once(world, rounds, clouds)


def lists(world: World, environment: dict[str, str], rounds: int, cloud: Cloud) -> list[Row]:
    rows = []
    for what in ("sizes", "images", "nodes"):
        trace = world.home / "trace"
        ours = [CLOUDTOOL, f"list-{what}", "--provider", cloud.name, "--json", "--trace-http", trace]
        lines = {"ours": ours, "libcloud": libcloud(cloud, what)}
        if cloud.name == "ec2" and what == "sizes":
            # Its list of sizes comes along with it, and it asks nobody; so it is also measured asking what we ask.
            lines = {"ours": ours, "libcloud asking": libcloud(cloud, "types")}
            lines["libcloud's shipped list, not asking"] = libcloud(cloud, "sizes")
        clock.Run(ours, environment)
        trace.unlink()
        works = {name: lambda line=line: line for name, line in lines.items()}
        seconds = clock.medians(rounds, environment, works)
        exchanges = [json.loads(line)["milliseconds"] for line in trace.read_text().splitlines()]
        trace.unlink()
        mine, api = seconds.pop("ours"), sum(exchanges) / rounds / 1000
        work = f"{cloud.name}, {1000 * ROUND_TRIP:.0f} ms away: list-{what}"
        count = len(exchanges) // rounds
        requests = f"its {count} request{'s' * (count > 1)}"
        rows.append(at_most_times(work, mine, 1, seconds))
        rows.append(at_most_times(f"{work}, a token kept", mine, BEYOND_THE_API, {requests: api}))
    return rows


def libcloud(cloud: Cloud, what: str) -> list:
    return [INSTALLED / "mimic/bin/python", REPOSITORY / "bench" / "libcloud_list.py", *cloud.libcloud, what]


def all_at_once(world: World, rounds: int, clouds: list[Cloud]) -> list[Row]:
    """list-nodes over many clouds, beside the slowest alone; and what is known, without asking."""
    many = world.home / "many.ini"
    names = {cloud.name: [f"{cloud.name}-{number}" for number in range(SECTIONS)] for cloud in clouds}
    many.write_text("\n".join(cloud.section(name) for cloud in clouds for name in names[cloud.name]))
    many.chmod(0o600)
    environment = {**world.environment, "CLOUDTOOL_CONFIG": str(many)}
    words = {
        "all": ["list-nodes", "--json"],
        "cached": ["list-nodes", "--cached", "--json"],
        **{cloud: ["list-nodes", "--json", "--provider", of_it[0]] for cloud, of_it in names.items()},
    }
    works = {name: lambda line=line: [CLOUDTOOL, *line] for name, line in words.items()}
    for work in works.values():
        clock.Run(work(), environment)
    seconds = clock.medians(rounds, environment, works)
    slowest = max(names, key=lambda cloud: seconds[cloud])
    count = len(clouds) * SECTIONS
    work = f"list-nodes of {count} clouds, {1000 * ROUND_TRIP:.0f} ms away"
    return [
        at_most_times(work, seconds["all"], 1.5, {f"the slowest ({slowest})": seconds[slowest]}),
        at_most("list-nodes --cached", seconds["cached"], CACHED_SECONDS, {}),
    ]


def away(servers: contextlib.ExitStack, port: int) -> str:
    """The server on this port, as if it were far away. The port stays: servers name it in their catalogues."""
    servers.enter_context(Delay(("127.0.0.1", port), ROUND_TRIP / 2, (FAR, port)))
    return f"http://{FAR}:{port}"


def openstack(world: World, servers: contextlib.ExitStack) -> Cloud:
    directory, port = world.home / "openstack", free_port()
    python = INSTALLED / "openstack/bin/python"
    lab = [python, SERVERS / "openstack" / "lab.py", "run", INSTALLED / "openstack-template", directory, port]
    start(servers, lab, port)
    accounts = json.loads((directory / "accounts.json").read_text())
    origin = move_away(servers, accounts)
    settings = {
        "provider": "openstack",
        "endpoint": origin,
        "username": "demo",
        "secret": accounts["password"],
        "project": "demo",
    }
    named = {
        "api_version": "2.2",
        "ex_force_auth_url": origin,
        "ex_force_auth_version": "3.x_password",
        "ex_tenant_name": "demo",
        "ex_force_service_region": "RegionOne",
    }
    return Cloud("openstack", settings, "openstack", ["demo", accounts["password"]], named)


def move_away(servers: contextlib.ExitStack, accounts: dict) -> str:
    """Lets OpenStack's catalogue name relays, and gives Keystone's own."""
    keystone = accounts["origin"]
    domain = {"id": "default"}
    user = {"name": "admin", "domain": domain, "password": accounts["admin_password"]}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": "admin", "domain": domain}}
    login = call("POST", f"{keystone}/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
    token = {"X-Auth-Token": login.headers["X-Subject-Token"]}
    far = set()
    for endpoint in json.load(call("GET", f"{keystone}/v3/endpoints", None, token))["endpoints"]:
        url = urllib.parse.urlsplit(endpoint["url"])
        if url.port not in far:
            far.add(url.port)
            away(servers, url.port)
        change = {"endpoint": {"url": url._replace(netloc=f"{FAR}:{url.port}").geturl()}}
        call("PATCH", f"{keystone}/v3/endpoints/{endpoint['id']}", change, token)
    return keystone.replace("127.0.0.1", FAR)


def call(method: str, url: str, body: dict | None, headers: dict | None = None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **(headers or {})}
    return urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method))


def rackspace(servers: contextlib.ExitStack) -> Cloud:
    port = free_port()
    mimic = [INSTALLED / "mimic/bin/twistd", "--nodaemon", "--pidfile=", "mimic", "--realtime", "--listen"]
    start(servers, [*mimic, f"tcp:{port}:interface=127.0.0.1"], port)
    # Its catalogue names the host that it was asked at.
    origin = away(servers, port)
    settings = {
        "provider": "rackspace",
        "endpoint": f"{origin}/identity/v2.0",
        "username": "bench",
        "secret": "a-key",
        "region": "IAD",
    }
    named = {"region": "iad", "ex_force_auth_url": f"{origin}/identity"}
    return Cloud("rackspace", settings, "rackspace", ["bench", "a-key"], named)


def ec2(servers: contextlib.ExitStack) -> Cloud:
    port = free_port()
    start(servers, [INSTALLED / "moto/bin/moto_server", "-H", "127.0.0.1", "-p", port], port)
    settings = {
        "provider": "ec2",
        "endpoint": away(servers, port),
        "username": "AKID",
        "secret": "a-key",
        "region": "us-east-1",
    }
    named = {"secure": False, "host": FAR, "port": port, "signature_version": "4"}
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
