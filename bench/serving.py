"""An idle hello-world app's memory, and requests a second through front and slot, beside the usual ways to serve the same."""

import re
import statistics
import subprocess

from apps import HELLO, App
from nodes import Node
from table import Row

MEMORY_MB = 12
APPS = 10
CONNECTIONS = 16
SECONDS = 4

PEERS = "nginx gunicorn wrk"
# Installing must not start the distribution's nginx on port 80.
PREPARE = f"""
ln -sfn /dev/null /etc/systemd/system/nginx.service
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends {PEERS}
mkdir -p /srv/peers /run/peers
"""
# As their documentations say for 2 cores: 2n+1 workers, connections to them kept.
NGINX = """
worker_processes auto;
pid /run/peers/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log /var/log/nginx/access.log;
    keepalive_requests 1000000;
{servers}}}
"""
NGINX_SERVER = """\
    upstream {name} {{ server unix:/run/peers/{name}.sock; keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://{name}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
"""
# A classic host's Apache: the event MPM as Debian ships it, the app in daemon processes.
APACHE = """
ServerName localhost
PidFile /run/peers/apache.pid
DefaultRuntimeDir /run/peers
Listen 127.0.0.1:8002
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
Include /etc/apache2/mods-available/wsgi.load
Include /etc/apache2/mods-available/mpm_event.conf
MaxKeepAliveRequests 0
ErrorLog /var/log/apache2/peer.log
LogFormat "%h %l %u %t \\"%r\\" %>s %O" common
CustomLog /var/log/apache2/peer-access.log common
WSGISocketPrefix /run/peers/wsgi
WSGIDaemonProcess app processes=2 threads=8
WSGIScriptAlias / /srv/peers/app.py process-group=app application-group=%{GLOBAL}
<Directory /srv/peers>
    Require all granted
</Directory>
"""
UNITS = {
    "peer-gunicorn": "/usr/bin/gunicorn --chdir /srv/peers --bind unix:/run/peers/gunicorn.sock --umask 0"
    " --workers 5 app:application",
    "peer-nginx": "/usr/sbin/nginx -c /srv/peers/nginx.conf -g 'daemon off;'",
    "peer-apache": "/usr/sbin/apache2 -f /srv/peers/apache.conf -DFOREGROUND",
}


def measure(node: Node, rounds: int) -> list[Row]:
    world = node.world
    apps = [App(world.home, "hello"), *(App(world.home, f"idle{number}") for number in range(2, APPS + 1))]
    alone = 0.0
    for app in apps:
        host = f"{app.name}.test"
        world.cloudtool("update", app.directory, "--node", node.name, "--host", host)
        alone = alone or memory_mb(node, app)
    rows = [idle(node, apps[0], alone)]
    for app in apps[1:]:
        world.cloudtool("remove", app.name, "--node", node.name, "-y")
    prepare(node)
    rows += load(node, rounds)
    node.says("systemctl stop " + " ".join(UNITS))
    world.cloudtool("remove", apps[0].name, "--node", node.name, "-y")
    return rows


def idle(node: Node, app: App, alone: float) -> Row:
    """What one app of several costs: programs and libraries are in memory once, whatever the number of apps."""
    memory = memory_mb(node, app)
    beside = f"the only app {alone:.1f} MB"
    return Row(
        f"an idle hello-world app, one of {APPS}",
        f"{memory:.1f} MB",
        beside,
        "",
        f"<= {MEMORY_MB} MB",
        memory <= MEMORY_MB,
    )


def memory_mb(node: Node, app: App) -> float:
    """The PSS of all processes of the app's slot."""
    script = (
        f"main=$(systemctl show -P MainPID cloudtool-app-blue@{app.name});"
        " for process in $main $(cat /proc/$main/task/*/children); do cat /proc/$process/smaps_rollup; done"
    )
    return sum(map(int, re.findall(r"^Pss: +(\d+) kB", node.says(script), re.MULTILINE))) / 1024


def prepare(node: Node) -> None:
    node.says(PREPARE)
    for path, content in {"app.py": HELLO, "nginx.conf": nginx({"gunicorn": 8001}), "apache.conf": APACHE}.items():
        put(node, f"/srv/peers/{path}", content)
    for unit, command in UNITS.items():
        start(node, unit, command)


def nginx(ports: dict[str, int]) -> str:
    """Its configuration with a server before each socket."""
    return NGINX.format(servers="".join(NGINX_SERVER.format(name=name, port=port) for name, port in ports.items()))


def start(node: Node, unit: str, command: str) -> None:
    node.says(f"systemd-run --quiet --collect --unit={unit} --property=LimitNOFILE=65536 {command}")


def put(node: Node, path: str, content: str) -> None:
    subprocess.run(node.command(f"cat > {path}"), input=content, text=True, env=node.world.environment, check=True)


def load(node: Node, rounds: int) -> list[Row]:
    """wrk runs on the node, so that all are reached the same way; they take turns."""
    targets = {
        "cloudtool": "-H 'Host: hello.test' http://127.0.0.1:80/",
        "nginx + gunicorn": "http://127.0.0.1:8001/",
        "Apache + mod_wsgi daemons": "http://127.0.0.1:8002/",
    }
    seen: dict[str, list[float]] = {name: [] for name in targets}
    for name, target in targets.items():
        requests(node, target, 2)
    for _ in range(rounds):
        for name, target in targets.items():
            seen[name].append(requests(node, target, SECONDS))
    ours, gunicorn, apache = (statistics.median(values) for values in seen.values())
    return [
        Row(
            "requests a second, hello-world",
            f"{ours:.0f}",
            f"nginx + gunicorn {gunicorn:.0f}",
            f"{ours / gunicorn:.2f}",
            ">= 0.8 x",
            ours >= 0.8 * gunicorn,
        ),
        Row(
            "",
            f"{ours:.0f}",
            f"one Apache, mod_wsgi daemons {apache:.0f}",
            f"{ours / apache:.2f}",
            "> 1 x",
            ours > apache,
        ),
    ]


def requests(node: Node, target: str, seconds: int) -> float:
    said = node.says(f"wrk -t2 -c{CONNECTIONS} -d{seconds}s {target}")
    if re.search(r"Non-2xx|Socket errors", said):
        raise SystemExit(f"requests failed:\n{said}")
    return float(re.search(r"Requests/sec: +([\d.]+)", said)[1])
