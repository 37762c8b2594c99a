"""What the scripts of this folder that move data share: the programs of the running cluster, the roles, and how to count.

Nothing here connects to a share as the superuser: whatever is in it (functions, rules, settings of the database) is the
app's, and would run with the rights of whoever looks at it.
"""

import contextlib
import glob
import json
import os
import pathlib
import pwd
import re
import secrets
import subprocess
import sys
from subprocess import PIPE

import elsewhere
import remote
import scram

HOST, PORT = "127.0.0.1", "5432"
THERE = elsewhere.place()

# What ends a dump: pg_restore does not miss what it is not to load, and pg_dump's format has no end of its own.
END = b"\ncloudtool: end of the dump\n"

# An app can set all of these for its database or its role. Here they would break a dump in the middle, hide rows from it
# or have a function of the app's answer in place of PostgreSQL's own.
SETTINGS = {
    "search_path": "pg_catalog",
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_read_only": "off",
}
OPTIONS = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())

# The tables that have rows of the app's: not those of an extension, which come with it.
COUNTS = r"""
SELECT format('SELECT json_build_array(%L, count(*)) FROM ONLY %I.%I', format('%I.%I', nspname, relname), nspname, relname)
  FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
 WHERE relkind = 'r' AND relpersistence <> 't' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend
                    WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
 ORDER BY nspname, relname
\gexec
SELECT json_build_array('large objects', count(*)) FROM pg_largeobject_metadata HAVING count(*) > 0;
SELECT json_build_array('version', current_setting('server_version'));
"""


def fail(message):
    """Ends the script with one sentence for the person who asked."""
    sys.exit(message)


def version():
    """The major version of the cluster on the port that `install` has looked after."""
    for conf in glob.glob("/etc/postgresql/*/main/postgresql.conf"):
        if re.search(rf"^port *= *{PORT}\b", pathlib.Path(conf).read_text(), re.MULTILINE):
            return conf.split("/")[3]
    return fail(f"no PostgreSQL cluster is configured on port {PORT} (see pg_lsclusters)")


def server_version():
    """The major version of the server that has the share."""
    if THERE and "version" not in THERE:
        session = Session(account())
        (number,) = session.ask("SHOW server_version_num;")
        session.close()
        return int(number) // 10000
    return int(THERE["version"] if THERE else version())


def program(name):
    """A client program of the cluster's own version: a newer pg_restore says things that an older server does not know."""
    return elsewhere.program(name) if THERE else f"/usr/lib/postgresql/{version()}/bin/{name}"


def require_programs(doing):
    """Of a server elsewhere, the programs may have another version. Some are of no use with it, and they say so late."""
    ours, theirs = elsewhere.version() if THERE else server_version(), server_version()
    if ours < theirs or (doing == "load" and ours >= 17 > theirs):
        fail(
            f"the server is PostgreSQL {theirs}, and this node has the programs of PostgreSQL {ours}, which cannot {doing} its"
            " databases: have the app on a node with the same release of the distribution as the server's"
        )


def reached():
    """How libpq gets to the server."""
    if not THERE:
        # TLS protects nothing on loopback.
        return {"PGSSLMODE": "disable", "PGHOST": HOST, "PGPORT": PORT}
    return elsewhere.reached(THERE, THERE["certificate"])


class Role:
    """How to log in to the share: as its reader or its loader. The programs run as the app's system user, never as root."""

    def __init__(self, name, password):
        self.name = name
        self.password = password
        self.share = remote.database(THERE) if THERE else os.environ["CLOUDTOOL_SHARE"]
        self.account = pwd.getpwnam(os.environ["CLOUDTOOL_APP_USER"])

    def start(self, name, *arguments, **more):
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            # libpq would look for certificates and password files in root's home.
            "HOME": "/",
            **reached(),
            "PGUSER": self.name,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.share,
            "PGOPTIONS": OPTIONS,
        }
        return subprocess.Popen(
            [program(name), *arguments],
            env=environment,
            cwd="/",
            user=self.account.pw_uid,
            group=self.account.pw_gid,
            extra_groups=[],
            **more,
        )


class Session:
    """A psql that is spoken to."""

    def __init__(self, role):
        self.psql = role.start(
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--no-password",
            "--set=ON_ERROR_STOP=1",
            stdin=PIPE,
            stdout=PIPE,
            text=True,
            # Room for the answers of some ten thousand tables, so that psql need not wait for who reads them.
            pipesize=1 << 20,
        )

    def ask(self, sql):
        """The lines that are the answer."""
        self.send(sql)
        return self.receive()

    def send(self, sql):
        try:
            self.psql.stdin.write(f"{sql}\n\\echo .\n")
            self.psql.stdin.flush()
        except BrokenPipeError:
            pass  # `receive` sees the end, and psql has said why

    def receive(self):
        lines = []
        for line in self.psql.stdout:
            if line == ".\n":
                return lines
            lines.append(line.rstrip("\n"))
        sys.exit(self.psql.wait() or 1)

    def begin_to_count(self):
        self.send(COUNTS)

    def facts(self):
        """What was counted: the facts of a share as in docs/architecture.md."""
        pairs = [json.loads(line) for line in self.receive()]
        _, server = pairs.pop()
        return {"version": f"PostgreSQL {server.split()[0]}", "counts": dict(pairs)}

    def close(self):
        self.psql.stdin.close()
        if self.psql.wait():
            sys.exit(self.psql.returncode)


def account():
    """The app's own, in a server that is elsewhere."""
    return Role(elsewhere.login(THERE), remote.password(THERE))


def verifier_file():
    """What `provision` has told the server of the login's password."""
    password = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_PASSWORD"])
    return password.with_name(password.name.replace("password", "verifier"))


def superuser(script, database="postgres"):
    """Has the cluster's superuser run a script of ours; gives back the lines that it printed."""
    words = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]
    options = f"{OPTIONS} -c client_min_messages=warning"
    done = subprocess.run(
        [program("psql"), *words, f"--port={PORT}", f"--dbname={database}"],
        input=script,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PGOPTIONS": options, "PGCLIENTENCODING": "UTF8"},
        stdout=PIPE,
        text=True,
        user="postgres",
        group="postgres",
        extra_groups=[],
        cwd="/",
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)  # psql has said why
    return done.stdout.splitlines()


def reader():
    """The role that reads all the app's rows, made when it is not there.

    Row-level security that is forced on a table holds for its owner too, so the app's own role would not see everything.
    The reader can do nothing that the app cannot: it is a member of its role, which may end the forcing at any time.
    """
    name = os.environ["CLOUDTOOL_APP"]
    if THERE:
        # An address names one account: where rows are hidden from it, the backup fails (row_security).
        if "url" in THERE:
            return account()
        elsewhere.tell_login(THERE)
        return Role(f"{name}.reader", remote.password(THERE))
    verifier = verifier_file().read_text().strip()
    superuser(f"""
\\set app '{name}'
\\set reader '{name}.reader'
\\set verifier '{verifier}'
SELECT NOT EXISTS (SELECT FROM pg_authid WHERE rolname = :'reader') AS missing,
       NOT EXISTS (SELECT FROM pg_authid WHERE rolname = :'reader' AND rolpassword = :'verifier') AS other_password
\\gset
\\if :missing
    CREATE ROLE :"reader" LOGIN BYPASSRLS PASSWORD :'verifier' IN ROLE :"app";
\\elif :other_password
    ALTER ROLE :"reader" PASSWORD :'verifier';
\\endif
""")
    return Role(f"{name}.reader", pathlib.Path(os.environ["CLOUDTOOL_SERVICE_PASSWORD"]).read_text().strip())


@contextlib.contextmanager
def loader():
    """The role that fills the share. As long as it does, the database is its own; nothing else is, and it gets into no other.

    What is in a dump runs with its rights. With the app's it could reach the share that is in use: drop it, or change the
    password of the role. In the end all that was loaded is the app's.
    """
    if THERE and "url" in THERE:
        # An address names one account, which may make no other.
        yield account()
        return
    if THERE:
        with elsewhere.loader(THERE) as (name, password):
            yield Role(name, password)
        session = Session(account())
        session.ask(f"\\set app '{elsewhere.role(THERE)}'\n\\set loader '{name}'\n{TAKE}")
        session.close()
        elsewhere.end_loader(THERE)
        return
    app, share = os.environ["CLOUDTOOL_APP"], os.environ["CLOUDTOOL_SHARE"]
    names = f"\\set app '{app}'\n\\set share '{share}'\n\\set loader '{share}.loader'\n"
    password = secrets.token_hex(24)
    superuser(f"""{names}\\set verifier '{scram.verifier(password)}'
DROP ROLE IF EXISTS :"loader";
CREATE ROLE :"loader" LOGIN PASSWORD :'verifier';
ALTER DATABASE :"share" OWNER TO :"loader";
""")
    try:
        yield Role(f"{share}.loader", password)
    finally:
        superuser(f'{names}{END_LOADER}{TAKE}DROP ROLE :"loader";\n', share)


END_LOADER = r"""
ALTER ROLE :"loader" NOLOGIN;
SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity WHERE usename = :'loader'
\gset
"""

# Every table by itself first: REASSIGN OWNED locks all that it changes together, which is more than the server has room for
# when there are thousands of them.
TAKE = r"""
SELECT format('ALTER TABLE %s OWNER TO %I', pg_class.oid::regclass, :'app')
  FROM pg_class
 WHERE pg_get_userbyid(relowner) = :'loader' AND relkind IN ('r', 'p', 'v', 'm', 'f')
\gexec
REASSIGN OWNED BY :"loader" TO :"app";
DROP OWNED BY :"loader";
"""
