"""A share in a server that is not on this node: how it is reached, and how databases are made and dropped there.

In the server of another node that is done as a role that owns the app's databases and may log in to nothing but an empty one,
`cloudtool.lobby`; in the share itself everything is done as the app. In a server whose address app.ini says, all is done as
the account of the address: its database is the first share, and others are made beside it, if that account may.
"""

import json
import os
import pathlib
import subprocess
import sys
import urllib.parse


def place():
    """What services/postgresql/lend has told, or what the address says; None when the share is here."""
    path = os.environ.get("CLOUDTOOL_SERVICE_ELSEWHERE")
    if not path:
        return None
    there = json.loads(pathlib.Path(path).read_text())
    return addressed(there) if "url" in there else {**there, "sslmode": "verify-ca"}


def addressed(there):
    """The parts of an address. Without a word about it, the connection must be TLS; with a certificate, to the server named."""
    parts = urllib.parse.urlsplit(there["url"])
    if parts.scheme not in ("postgresql", "postgres"):
        sys.exit(f"the address of a PostgreSQL database begins with postgresql://, not {parts.scheme}://")
    query = dict(urllib.parse.parse_qsl(parts.query))
    certificate = there.get("certificate")
    if query.pop("sslrootcert", None) == "system":
        certificate = "/etc/ssl/certs/ca-certificates.crt"
    mode = query.pop("sslmode", "verify-full" if certificate else "require")
    account = urllib.parse.unquote(parts.username)
    database = urllib.parse.unquote(parts.path.strip("/"))
    return {
        **there,
        "host": parts.hostname,
        "port": str(parts.port or 5432),
        "sslmode": mode,
        "certificate": certificate,
        "user": account,
        "owner": account,
        "password": urllib.parse.unquote(parts.password or ""),
        "database": database,
        "lobby": database,
        "query": query,
    }


def login(there):
    """The role of the app."""
    return there.get("user", os.environ["CLOUDTOOL_APP"])


def password(there):
    return there.get("password") or secret("password")


def database(there):
    """What the share is called there: the database of the address, or one beside it with the number of the share."""
    share = os.environ.get("CLOUDTOOL_SHARE", "")
    if "database" not in there:
        return share
    return there["database"] + share[len(os.environ["CLOUDTOOL_APP"]) :]


def secret(name):
    return pathlib.Path(os.environ["CLOUDTOOL_SERVICE_SECRETS"], name).read_text().strip()


def lobby(there, script, **variables):
    """Runs a script of psql's as the owner of the app's databases; what it prints."""
    certificate = os.memfd_create("certificate")
    if there["certificate"]:
        os.write(certificate, pathlib.Path(there["certificate"]).read_bytes())
    values = {"app": login(there), "share": database(there), "mark": mark(), **variables}
    plain = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password", "--set=ON_ERROR_STOP=1"]
    done = subprocess.run(
        [program("psql"), *plain, *(f"--set={name}={value}" for name, value in values.items())],
        input=script,
        text=True,
        stdout=subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": "/",
            **reached(there, there["certificate"] and f"/dev/fd/{certificate}"),
            "PGUSER": there["owner"],
            "PGPASSWORD": there["password"] if "password" in there else secret("owner"),
            "PGDATABASE": there["lobby"],
        },
        # Neither root nor the app's user, who could read the environment.
        user="nobody",
        group="nogroup",
        extra_groups=[],
        pass_fds=[certificate],
        cwd="/",
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)  # it has said why
    return done.stdout.strip()


def reached(there, certificate):
    """How libpq gets to the server."""
    return {
        "PGHOST": there["host"],
        "PGPORT": there["port"],
        "PGSSLMODE": there["sslmode"],
        **({"PGSSLROOTCERT": certificate} if certificate else {}),
        "PGCONNECT_TIMEOUT": "10",
    }


def mark():
    """The comment of the databases that were made beside that of an address: no other is ever dropped."""
    return f"cloudtool app {os.environ['CLOUDTOOL_APP']}"


def version():
    """The major version of the newest client programs."""
    return max(int(path.parts[4]) for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/psql"))


def program(name):
    """Not the one in /usr/bin, which is a wrapper that looks for clusters of this node."""
    return f"/usr/lib/postgresql/{version()}/bin/{name}"


# A kill at any moment leaves a database that is whole or closed, and the next time goes on.
PROVISION = r"""
SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = :'share') AS no_database,
       EXISTS (SELECT FROM pg_database WHERE datname = :'share' AND pg_get_userbyid(datdba) <> :'app') AS foreign_database
\gset
\if :foreign_database
    \echo 'The database' :share 'exists on the other node already and belongs to another role. Choose another app_name.'
    \quit
\endif
\if :no_database
    CREATE DATABASE :"share" OWNER :"app" TEMPLATE :"template" CONNECTION LIMIT 0;
\endif
SELECT datconnlimit = 0 AS closed FROM pg_database WHERE datname = :'share'
\gset
\if :closed
    REVOKE ALL ON DATABASE :"share" FROM PUBLIC;
    ALTER DATABASE :"share" CONNECTION LIMIT -1;
\endif
"""


# The same beside the database of an address. What has no comment yet, because of a kill, is closed.
BESIDE = r"""
SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = :'share') AS no_database,
       EXISTS (SELECT FROM pg_database WHERE datname = :'share' AND datconnlimit <> 0
                  AND shobj_description(oid, 'pg_database') IS DISTINCT FROM :'mark') AS foreign_database,
       NOT (rolcreatedb OR rolsuper) AS may_not FROM pg_roles WHERE rolname = current_user
\gset
SELECT datcollate, datctype, pg_encoding_to_char(encoding) AS encoding FROM pg_database WHERE datname = current_database()
\gset
\if :foreign_database
    \echo 'The database' :share 'exists already and was not made by cloudtool. Rename it.'
    \quit
\endif
\if :no_database
    \if :may_not
        \echo 'The account' :app 'may make no databases, and new data need one beside' :DBNAME '- have an administrator say: ALTER ROLE' :"app" 'CREATEDB'
        \quit
    \endif
    CREATE DATABASE :"share" TEMPLATE template0 ENCODING :'encoding' LC_COLLATE :'datcollate' LC_CTYPE :'datctype' CONNECTION LIMIT 0;
\endif
SELECT datconnlimit = 0 AS closed FROM pg_database WHERE datname = :'share'
\gset
\if :closed
    COMMENT ON DATABASE :"share" IS :'mark';
    REVOKE ALL ON DATABASE :"share" FROM PUBLIC;
    ALTER DATABASE :"share" CONNECTION LIMIT -1;
\endif
"""


def provision(there):
    if "url" not in there:
        objection = lobby(there, PROVISION, template=there["template"])
    elif database(there) != there["database"]:
        objection = lobby(there, BESIDE)
    else:
        objection = ""
    if objection:
        sys.exit(objection)
    app, share, word = login(there), database(there), password(there)
    host = f"[{there['host']}]" if ":" in there["host"] else there["host"]
    how = {**there.get("query", {}), "sslmode": there["sslmode"]}
    if there["certificate"]:
        how["sslrootcert"] = there["certificate"]
    user, hidden, name = (urllib.parse.quote(part, safe="") for part in (app, word, share))
    query = urllib.parse.urlencode(how, safe="/")
    url = f"postgresql://{user}:{hidden}@{host}:{there['port']}/{name}?{query}"
    for name, value in {
        "CONFIG_PG_DBNAME": share,
        "CONFIG_PG_USER": app,
        "CONFIG_PG_PASSWORD": word,
        "CONFIG_PG_HOST": there["host"],
        "CONFIG_PG_PORT": there["port"],
        "CONFIG_PG_SQLALCHEMY": url,
        "DATABASE_URL": url,
        # For whoever puts a connection together from the parts: libpq takes these from the environment.
        "PGSSLMODE": there["sslmode"],
        **({"PGSSLROOTCERT": there["certificate"]} if there["certificate"] else {}),
    }.items():
        print(f"{name}={value}")


def drop(there, shares):
    """Drops databases of the app, whoever is connected: `shares` is a condition on pg_database.

    Not WITH (FORCE): who is no superuser may not end the server's own housekeeping, for which a plain DROP waits.
    """
    found = lobby(
        there,
        f"SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = :'app' AND ({shares});",
    )
    for share in found.splitlines():
        lobby(
            there,
            r"""
ALTER DATABASE :"share" CONNECTION LIMIT 0;
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = :'share' AND usename IN (:'app', :'app' || '.reader')
\gset ended_
DROP DATABASE :"share";
""",
            share=share,
        )


def main():
    there = place()
    if sys.argv[1:] == ["provision"]:
        provision(there)
        return
    one = sys.argv[1:] == ["drop"]
    if "url" not in there:
        drop(there, "datname = :'share'" if one else r"datname = :'app' OR datname ~ ('^' || :'app' || '\.[0-9]+$')")
        return
    drop(there, "shobj_description(oid, 'pg_database') = :'mark'" + (" AND datname = :'share'" if one else ""))
    if not one or database(there) == there["database"]:
        print(f"the database {there['database']} was there before, and stays as it is", file=sys.stderr)


if __name__ == "__main__":
    main()
