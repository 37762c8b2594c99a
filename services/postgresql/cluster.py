"""What the scripts of this folder share that change the server itself, as its superuser: for apps of other nodes."""

import pathlib
import re
import subprocess

import lender
import postgres

DIRECTORY = "/etc/postgresql/cloudtool"
BEGIN, END = "# cloudtool: apps of other nodes, see services/postgresql/lend", "# cloudtool: end"

SETTINGS = f"""# Written by cloudtool (services/postgresql/lend): apps of other nodes use this server. The firewall, and pg_hba.conf,
# let in nobody else.
listen_addresses = '*'
ssl = on
ssl_cert_file = '{DIRECTORY}/server.pem'
ssl_key_file = '{DIRECTORY}/server.key'
"""


def configuration():
    """The directory of the cluster that `install` has looked after."""
    return f"/etc/postgresql/{postgres.version()}/main"


def superuser(script, database="postgres", **variables):
    """Runs a script of psql's; what it prints. Variables are in the script, for arguments can be seen by everybody."""
    values = "".join(f"\\set {name} {quoted(value)}\n" for name, value in variables.items())
    return "\n".join(postgres.superuser(values + script, database))


def quoted(text):
    """A string as psql's own commands read it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def template(name, extension, template=True):
    """An empty database that is closed to everybody but who is let in. A kill leaves one that the next time makes whole."""
    superuser(
        r"""
SET client_min_messages = warning;
SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') AS missing
\gset
\if :missing
    CREATE DATABASE :"name" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8' CONNECTION LIMIT 0;
\endif
SELECT datconnlimit = 0 AS unfinished FROM pg_database WHERE datname = :'name'
\gset
\if :unfinished
    REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
    \connect :"name"
    -- PostgreSQL 14 lets every role create tables in "public"; from 15 on it is like this by itself.
    ALTER SCHEMA public OWNER TO pg_database_owner;
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    \if :has_extension
        CREATE EXTENSION IF NOT EXISTS :"extension" SCHEMA public;
    \endif
    \connect postgres
    ALTER DATABASE :"name" IS_TEMPLATE :template ALLOW_CONNECTIONS :open CONNECTION LIMIT -1;
\endif
""",
        name=name,
        extension=extension or "",
        has_extension="true" if extension else "false",
        template="true" if template else "false",
        open="false" if template else "true",
    )


def let_in(found):
    """The lines of pg_hba.conf for apps of other nodes, before all others: each from its node, by TLS, and from nowhere else."""
    path = f"{configuration()}/pg_hba.conf"
    text = pathlib.Path(path).read_text()
    rest = re.sub(rf"{re.escape(BEGIN)}\n.*?{re.escape(END)}\n", "", text, flags=re.DOTALL)
    lines = []
    for app, record in found.items():
        own = [f"{address}/{128 if ':' in address else 32}" for address in lender.addresses(record)]
        lines += [
            f"# {app} of {record['node']}",
            *(f'hostssl "cloudtool.lobby" "{app}.owner" {address} scram-sha-256' for address in own),
            f'host all "{app}.owner" all reject',
            # It gets into the database that is its own alone.
            *(f'hostssl all "{app}.loader" {address} scram-sha-256' for address in own),
            f'host all "{app}.loader" all reject',
            # Its logins and its reader are members of its role.
            *(f"hostssl all +{app} {address} scram-sha-256" for address in own),
            f"host all +{app} all reject",
        ]
    block = "\n".join([BEGIN, *lines, END, ""]) if lines else ""
    lender.replace(path, block + rest)
    reload()


def end_sessions(mine):
    """Those from where the app may not come from now."""
    cluster_wide = """
SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity
 WHERE (usename = :'app' OR usename ~ ('^' || :'app' || '[.](owner|reader|loader|r[0-9]+)$')) AND client_addr <> ALL (string_to_array(:'own', ' ')::inet[])
\\gset
"""
    superuser(cluster_wide, app=mine["app"], own=" ".join(lender.addresses(mine)))


def reload():
    superuser("SELECT pg_reload_conf() AS done \\gset\n")


def listen():
    """Answers beyond loopback. That takes a restart, of about a second, the first time an app of another node asks."""
    lender.replace(f"{configuration()}/conf.d/cloudtool_lent.conf", SETTINGS)
    if superuser("SHOW listen_addresses;") != "*":
        unit = f"postgresql@{postgres.version()}-main.service"
        done = subprocess.run(["systemctl", "restart", unit], check=False)
        if done.returncode:
            postgres.fail(f"the server did not start again; see: journalctl -u {unit}")
    else:
        reload()
