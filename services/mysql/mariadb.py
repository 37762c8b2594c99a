"""What the scripts of this folder that move data share: how the app's own user reaches its share, and what is asked there.
As a program it ends the connections of a login that has ended.

Nothing that is in a share or a dump is run as the server's root: it can do no more than the app can.
"""

import json
import os
import pathlib
import pwd
import subprocess
import sys
from subprocess import PIPE

import elsewhere
import remote
import sessions

HOST, PORT = "127.0.0.1", "3306"
THERE = elsewhere.place()
SHARE = remote.database(THERE or {})

# The first and the last line of a dump. Between them is what mariadb-dump prints.
BEGIN = b"-- cloudtool: a dump of MariaDB "
END = b"-- Dump completed\n"

# These engines have no rows of their own, and mariadb-dump leaves them out (see its --no-data-med).
BORROWED = "'MRG_MyISAM', 'MRG_ISAM', 'CONNECT', 'OQGRAPH', 'SPIDER', 'VP', 'FEDERATED'"


def fail(message):
    """Ends the script with one sentence for the person who asked."""
    sys.exit(message)


class Account:
    """Who logs in to the server: the app, or in its place who fills a share."""

    def __init__(self, name, password):
        self.name = name
        self.password = password

    def start(self, program, *arguments, **more):
        """A client program, logged in to the server; it runs as the app's system user, never as root."""
        account = pwd.getpwnam(os.environ["CLOUDTOOL_APP_USER"])
        common = ["--no-defaults", "--protocol=tcp", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"]
        return subprocess.Popen(
            [program, *common, *reached(), f"--user={self.name}", *arguments],
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/", "MYSQL_PWD": self.password},
            cwd="/",
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            **more,
        )

    def say(self, sql, *arguments, database=SHARE):
        """What a session in a database answers to these statements: its lines."""
        words = ["--batch", "--skip-column-names", "--binary-mode", *arguments, *([database] if database else [])]
        client = self.start("mariadb", *words, stdin=PIPE, stdout=PIPE)
        answer, _ = client.communicate(sql.encode())
        if client.returncode:
            sys.exit(client.returncode)  # it has said why
        return answer.decode().splitlines()

    def ask(self, sql):
        """The same where each line has JSON in it."""
        return [json.loads(line) for line in self.say(sql, "--raw")]


def reached():
    """How a client gets to the server."""
    if THERE:
        return elsewhere.reached(THERE, THERE["certificate"])
    # TLS protects nothing on loopback.
    return [f"--host={HOST}", f"--port={PORT}", "--skip-ssl"]


def app():
    """The app's own account."""
    if THERE:
        return Account(elsewhere.login(THERE), remote.password(THERE))
    password = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_PASSWORD"]).read_text().strip()
    return Account(os.environ["CLOUDTOOL_APP"], password)


def root(sql):
    """Has the server's root run a script of ours."""
    words = ["--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=root", "--batch", "--skip-column-names"]
    done = subprocess.run(["mariadb", *words], input=sql, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)  # it has said why


def ended_login():
    """A script that ends the app's connections which are not of what runs with its login of now. MariaDB does not say with
    which of an account's passwords a connection was opened."""
    name = elsewhere.text(elsewhere.login(THERE or {}))
    kept = ", ".join(map(str, sessions.kept_ports() | {0}))
    return elsewhere.END_CONNECTIONS.format(which=f"USER = {name} AND SUBSTRING_INDEX(HOST, ':', -1) NOT IN ({kept})")


def tables():
    """The names of the tables that have rows."""
    return app().ask(
        "SELECT JSON_QUOTE(TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
        f" AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND ENGINE NOT IN ({BORROWED}) ORDER BY TABLE_NAME;"
    )


def about():
    """The server's version, and what the share takes for tables that do not say it: (version, character set, collation)."""
    ((version, character_set, collation),) = app().ask(
        "SELECT JSON_ARRAY(VERSION(), DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME)"
        " FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE();"
    )
    return version.partition("-")[0], character_set, collation


if __name__ == "__main__":
    root(ended_login())
