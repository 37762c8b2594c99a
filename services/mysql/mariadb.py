"""What the scripts of this folder that move data share: how the app's own user reaches its share, and what is asked there.

Nothing here is done as the server's root: what a dump has the server run can do no more than the app can.
"""

import json
import os
import pathlib
import pwd
import subprocess
import sys
from subprocess import PIPE

# The first and the last line of a dump. Between them is what mariadb-dump prints.
BEGIN = b"-- cloudtool: a dump of MariaDB "
END = b"-- Dump completed\n"

# These engines have no rows of their own, and mariadb-dump leaves them out (see its --no-data-med).
BORROWED = "'MRG_MyISAM', 'MRG_ISAM', 'CONNECT', 'OQGRAPH', 'SPIDER', 'VP', 'FEDERATED'"


def fail(message):
    """Ends the script with one sentence for the person who asked."""
    sys.exit(message)


def start(program, *arguments, **more):
    """A client program, logged in to the server as the app; it runs as the app's system user, never as root."""
    account = pwd.getpwnam(os.environ["CLOUDTOOL_APP_USER"])
    password = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_PASSWORD"]).read_text().strip()
    common = ["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--port=3306", "--default-character-set=utf8mb4"]
    return subprocess.Popen(
        # TLS protects nothing on loopback.
        [
            program,
            *common,
            "--skip-ssl",
            "--max-allowed-packet=1G",
            f"--user={os.environ['CLOUDTOOL_APP']}",
            *arguments,
        ],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/", "MYSQL_PWD": password},
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        **more,
    )


def ask(sql):
    """What a session answers to these statements: the lines, which each have JSON in them."""
    share = os.environ["CLOUDTOOL_SHARE"]
    client = start(
        "mariadb", "--batch", "--raw", "--skip-column-names", "--binary-mode", share, stdin=PIPE, stdout=PIPE
    )
    answer, _ = client.communicate(sql.encode())
    if client.returncode:
        sys.exit(client.returncode)  # it has said why
    return [json.loads(line) for line in answer.splitlines()]


def tables():
    """The names of the tables that have rows."""
    return ask(
        "SELECT JSON_QUOTE(TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
        f" AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND ENGINE NOT IN ({BORROWED}) ORDER BY TABLE_NAME;"
    )


def about():
    """The server's version, and what the share takes for tables that do not say it: (version, character set, collation)."""
    ((version, character_set, collation),) = ask(
        "SELECT JSON_ARRAY(VERSION(), DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME)"
        " FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE();"
    )
    return version.partition("-")[0], character_set, collation
