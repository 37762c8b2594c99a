"""Backup and restore of a gigabyte of rows, of each database server, and a gigabyte of files, beside the tools everybody would use by hand over the
same ssh; what is unchanged the second time; the memory of our part on both sides.
"""

import os
import shlex
import shutil
import threading
import time
from pathlib import Path

import clock
from apps import App
from nodes import CLOUDTOOL, Node
from table import Row, at_most_times

MB = 1024
MEMORY_MB = 64
# About 1 KB a row; as compressible as words are.
ROWS = """
CREATE TABLE notes (id bigserial PRIMARY KEY, title text NOT NULL, body text NOT NULL, at timestamptz NOT NULL);
INSERT INTO notes (title, body, at)
SELECT md5(n::text), (SELECT string_agg(md5((n * 31 + m)::text) || ' some words of a note, ', '') FROM generate_series(1, 17) m),
       now() - n * interval '1 minute'
  FROM generate_series(1, {rows}) n;
CREATE INDEX ON notes (title);
"""
# The same for MariaDB.
TABLES = """
CREATE TABLE notes (id bigint AUTO_INCREMENT PRIMARY KEY, title varchar(32) NOT NULL, body text NOT NULL, at datetime NOT NULL);
INSERT INTO notes (title, body, at)
SELECT md5(n.seq), (SELECT group_concat(md5(n.seq * 31 + m.seq), ' some words of a note, ' SEPARATOR '') FROM seq_1_to_17 m),
       now() - INTERVAL n.seq MINUTE
  FROM seq_1_to_{rows} n;
CREATE INDEX titles ON notes (title);
"""


def measure(node: Node, rounds: int) -> list[Row]:
    rounds = min(rounds, 3)
    return rows(node, rounds) + tables(node, rounds) + files(node, rounds)


def rows(node: Node, rounds: int) -> list[Row]:
    app, peer = deployed(node, "rows", "service.postgresql =\n"), node.world.home / "rows.sql.gz"
    sql = ROWS.format(rows=MB * 1000)
    node.says(f"setpriv --reuid=postgres --regid=postgres --init-groups psql -q rows <<'END'\nSET ROLE rows;{sql}\nEND")
    postgres = "setpriv --reuid=postgres --regid=postgres --init-groups"
    dump = shell(node, f"{postgres} pg_dump rows | gzip", f"> {peer}")
    load = f"{postgres} sh -c 'dropdb --if-exists peer && createdb peer && gunzip | psql -q -o /dev/null peer'"
    found = both_ways(node, app, rounds, "1 GB of rows", "pg_dump | gzip", dump, shell(node, load, f"< {peer}"))
    node.says(f"{postgres} dropdb peer")
    finished(node, app, peer)
    return found


def tables(node: Node, rounds: int) -> list[Row]:
    app, peer = deployed(node, "tables", "service.mysql =\n"), node.world.home / "tables.sql.gz"
    node.says(f"mariadb tables <<'END'\n{TABLES.format(rows=MB * 1000)}\nEND")
    dump = shell(node, "mariadb-dump --single-transaction tables | gzip", f"> {peer}")
    load = "mariadb -e 'DROP DATABASE IF EXISTS peer; CREATE DATABASE peer' && gunzip | mariadb peer"
    loaded = shell(node, f"sh -c {shlex.quote(load)}", f"< {peer}")
    found = both_ways(node, app, rounds, "1 GB of MariaDB's rows", "mariadb-dump | gzip", dump, loaded)
    node.says("mariadb -e 'DROP DATABASE peer'")
    finished(node, app, peer)
    return found


def files(node: Node, rounds: int) -> list[Row]:
    app, peer = deployed(node, "blobs", "service.files =\n"), node.world.home / "blobs.tar"
    # Half of it does not compress, as pictures; half does, as text.
    node.says(
        "cd /srv/cloudtool/apps/blobs/data/files && for n in $(seq 200); do mkdir -p $((n % 20)); "
        "head -c 2621440 /dev/urandom >$((n % 20))/$n; head -c 1966080 /dev/urandom | base64 -w 0 >>$((n % 20))/$n; done; "
        "chown -R ct-blobs: ."
    )
    tar = shell(node, "tar -C /srv/cloudtool/apps/blobs/data -c .", f"> {peer}")
    untar = shell(node, "rm -rf /srv/peer; mkdir /srv/peer; tar -C /srv/peer -x", f"< {peer}")
    found = both_ways(node, app, rounds, "1 GB of files", "tar", tar, untar)
    place = node.world.home / "again"
    clock.Run(backup(node, app, place), node.world.environment)
    works = {
        "again": lambda: backup(node, app, place),
        "read": lambda: node.command("cat /srv/cloudtool/apps/blobs/data/*/*/* >/dev/null"),
    }
    took = clock.medians(rounds, node.world.environment, works)
    found.append(at_most_times("the same files once more", took["again"], 1.2, {"a read of them": took["read"]}))
    node.says("rm -rf /srv/peer")
    shutil.rmtree(place)
    finished(node, app, peer)
    return found


def both_ways(node: Node, app: App, rounds: int, what: str, name: str, dump: list, load: list) -> list[Row]:
    place = node.world.home / "backups"

    def fresh():
        shutil.rmtree(place, ignore_errors=True)
        return backup(node, app, place)

    with Memory() as memory:
        out = clock.medians(rounds, node.world.environment, {"ours": fresh, name: lambda: dump})
        client = clock.Run(fresh(), node.world.environment).max_rss_mb
        restore = [CLOUDTOOL, "restore", place / app.name, app.name, "--node", node.name, "-y"]
        back = clock.medians(rounds, node.world.environment, {"ours": lambda: restore, name: lambda: load})
        client = max(client, clock.Run(restore, node.world.environment).max_rss_mb)
    shutil.rmtree(place)
    return [
        at_most_times(f"backup of {what}", out["ours"], 1.15, {name: out[name]}),
        at_most_times(f"restore of {what}", back["ours"], 1.15, {f"{name}, back": back[name]}),
        limit(f"{what}: memory on the node", memory.most_mb),
        limit(f"{what}: memory of the client", client),
    ]


class Memory:
    """The most memory that our part of the node has at once: the node program, the services' scripts and what compresses,
    without the database's own tools. Seen from this machine, on which a local node's processes run."""

    def __enter__(self):
        self.most_mb = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _watch(self):
        while not self.ended.is_set():
            self.most_mb = max(self.most_mb, sum(map(memory_mb, Path("/proc").glob("[0-9]*"))))
            time.sleep(0.1)


def memory_mb(process: Path) -> float:
    try:
        line = (process / "cmdline").read_bytes().replace(b"\0", b" ")
        ours = b"/usr/local/lib/cloudtool/" in line or line.startswith(b"zstd ")
        text = (process / "smaps_rollup").read_text() if ours else "Pss: 0"
    except OSError:
        return 0.0
    return next((int(row.split()[1]) / 1024 for row in text.splitlines() if row.startswith("Pss:")), 0.0)


def deployed(node: Node, name: str, services: str) -> App:
    app = App(node.world.home, name)
    app.write("app.ini", f"[production]\napp_name = {name}\nrunner = app.py\n{services}")
    node.world.cloudtool("update", app.directory, "--node", node.name, "--host", f"{name}.test")
    return app


def backup(node: Node, app: App, place: Path) -> list:
    return [CLOUDTOOL, "backup", app.name, place, "--node", node.name]


def shell(node: Node, on_node: str, here: str) -> list[str]:
    """A command of the node whose output goes to, or whose input comes from, a file of this machine."""
    return ["sh", "-c", f'"$@" {here}', "sh", *node.command(on_node)]


def limit(work: str, mb: float) -> Row:
    return Row(work, f"{mb:.0f} MB", "", "", f"< {MEMORY_MB} MB", mb < MEMORY_MB)


def finished(node: Node, app: App, peer: Path) -> None:
    node.world.cloudtool("remove", app.name, "--node", node.name, "--with-data", "-y")
    os.remove(peer)
