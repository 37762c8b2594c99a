"""A page that waits 20 ms for its database, through front and slot, beside nginx and gunicorn on the same node and database."""

import statistics

import serving
from apps import App
from nodes import Node
from table import Row

SHARE = 0.95
# A connection a thread, kept: what each of the servers gives an app to do it with.
PAGE = """\
import os
import threading

import psycopg2

kept = threading.local()


def application(environ, start_response):
    if not hasattr(kept, "database"):
        kept.database = psycopg2.connect(os.environ["DATABASE_URL"])
        kept.database.autocommit = True
    with kept.database.cursor() as cursor:
        cursor.execute("SELECT n, md5(n::text) FROM generate_series(1, 20) n, pg_sleep(0.02)")
        lines = [f"{number} {text}" for number, text in cursor]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\\n".join(lines).encode()]
"""
# As gunicorn's documentation says for 2 cores, and as it says for apps that wait: with threads, as many as an app of ours has.
WORKERS = {"gunicorn": "--workers 5", "threads": "--workers 5 --threads 4"}
PORTS = {"gunicorn": 8003, "threads": 8004}


def measure(node: Node, rounds: int) -> list[Row]:
    world = node.world
    app = App(world.home, "page")
    app.write("app.ini", "[production]\napp_name = page\nrunner = app.py\nservice.postgresql =\n")
    app.write("app.py", PAGE)
    world.cloudtool("update", app.directory, "--node", node.name, "--host", "page.test")
    node.says(serving.PREPARE)
    serving.put(node, "/srv/peers/page.py", PAGE)
    serving.put(node, "/srv/peers/nginx.conf", serving.nginx(PORTS))
    for name, workers in WORKERS.items():
        # The database, its role and its password are the app's.
        as_app = "--property=EnvironmentFile=/etc/cloudtool/apps/page/blue.env"
        bind = f"/usr/bin/gunicorn --chdir /srv/peers --bind unix:/run/peers/{name}.sock --umask 0"
        serving.start(node, f"peer-{name}", f"{as_app} {bind} {workers} page:application")
    serving.start(node, "peer-nginx", serving.UNITS["peer-nginx"])
    rows = load(node, rounds)
    node.says("systemctl stop peer-nginx " + " ".join(f"peer-{name}" for name in WORKERS))
    world.cloudtool("remove", app.name, "--node", node.name, "--with-data", "-y")
    return rows


def load(node: Node, rounds: int) -> list[Row]:
    """They take turns, after a round that does not count."""
    targets = {"cloudtool": "-H 'Host: page.test' http://127.0.0.1:80/"}
    targets |= {name: f"http://127.0.0.1:{port}/" for name, port in PORTS.items()}
    seen: dict[str, list[float]] = {name: [] for name in targets}
    for name, target in targets.items():
        serving.requests(node, target, 2)
    for _ in range(rounds):
        for name, target in targets.items():
            seen[name].append(serving.requests(node, target, serving.SECONDS))
    ours, workers, threads = (statistics.median(found) for found in seen.values())
    peers = {"nginx + gunicorn, 5 workers": workers, "nginx + gunicorn, 5 x 4 threads": threads}
    return [
        Row(
            "requests a second, a page that waits 20 ms" if peer is workers else "",
            f"{ours:.0f}",
            f"{name} {peer:.0f}",
            f"{ours / peer:.2f}",
            f">= {SHARE} x",
            ours >= SHARE * peer,
        )
        for name, peer in peers.items()
    ]
