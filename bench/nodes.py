"""Local nodes of the benchmark's own, and the two ways to them: cloudtool and the system's ssh."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target")
CLOUDTOOL = TARGET / "release" / "cloudtool"
# Where the end-to-end tests have their nodes too: an image is made once.
LOCAL = TARGET / "tmp" / "local"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class World:
    """A person's home with a configuration and an inventory; its nodes are destroyed at the end."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="cloudtool-bench-")
        self.home = Path(self.directory.name)
        self.data = self.home / "data"
        self.nodes: list[Node] = []
        (self.home / "cloudtool.ini").touch()
        self.environment = {
            "PATH": PATH,
            "HOME": str(self.home),
            "USER": "bench",
            "CLOUDTOOL_DATA_DIR": str(self.data),
            "CLOUDTOOL_CONFIG": str(self.home / "cloudtool.ini"),
            "CLOUDTOOL_LOCAL_DIR": str(LOCAL),
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in list(self.nodes):
            node.destroy()
        self.directory.cleanup()

    def cloudtool(self, *words) -> str:
        """Runs the command to its end; its standard output."""
        return self.run([CLOUDTOOL, *words])

    def run(self, argv) -> str:
        argv = [str(word) for word in argv]
        result = subprocess.run(
            argv, check=False, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if result.returncode:
            raise SystemExit(f"{' '.join(argv)[:200]} failed:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
        return result.stdout

    def create_node(self, name: str, *options: str) -> "Node":
        said = self.cloudtool("create-node", name, "--json", *options)
        events = map(json.loads, said.splitlines())
        address = next(event["private_ips"][0] for event in events if event["event"] == "node")
        node = Node(self, name, address)
        self.nodes.append(node)
        return node


class Node:
    def __init__(self, world: World, name: str, address: str, port: int = 22):
        self.world = world
        self.name = name
        self.address = address
        self.port = port

    @property
    def ssh(self) -> list[str]:
        """The system's ssh with the node's key, without the destination: what rsync takes as its -e."""
        data = self.world.data
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={data / 'known_hosts'}"]
        words = ["ssh", "-F/dev/null", "-p", str(self.port), "-i", str(data / "id_ed25519")]
        return words + [word for option in options for word in ("-o", option)]

    @property
    def login(self) -> str:
        return f"root@{self.address}"

    def command(self, *words: str) -> list[str]:
        """The command line that runs words on the node, as root, in its shell."""
        return [*self.ssh, self.login, *words]

    def says(self, *words: str) -> str:
        return self.world.run(self.command(*words))

    def behind(self, name: str, port: int) -> "Node":
        """The same node, reached through a port of the loopback (a proxy), with its host key known there too."""
        known_hosts = self.world.data / "known_hosts"
        lines = [line.split(" ", 1) for line in known_hosts.read_text().splitlines()]
        keys = [key for host, key in lines if host == self.address]
        with known_hosts.open("a") as file:
            file.writelines(f"[127.0.0.1]:{port} {key}\n" for key in keys)
        return Node(self.world, name, "127.0.0.1", port)

    def destroy(self) -> None:
        self.world.cloudtool("destroy-node", self.name, "--if-exists", "-y")
        self.world.nodes.remove(self)
