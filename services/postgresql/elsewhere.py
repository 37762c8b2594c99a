"""A share in a server that is not on this node: how it is reached, and how databases are made and dropped there.

In the server of another node that is done as a role that owns the app's databases and may log in to nothing but an empty one,
`cloudtool.lobby`; in the share itself everything is done as the app. In a server whose address app.ini says, all is done as
the account of the address: its database is the first share, and others are made beside it, if that account may.
"""

import contextlib
import os
import pathlib
import secrets
import sys

import remote
import scram


def place():
    """None when the share is here."""
    there = remote.place()
    if there is None:
        return None
    return addressed(there) if "url" in there else {**there, "sslmode": "verify-ca"}


def addressed(there):
    """The parts of an address. Without a word about it, the connection must be TLS; with a certificate, to the server named."""
    parts = remote.addressed(there, "a PostgreSQL database", ("postgresql", "postgres"), 5432)
    if not parts["user"] or not parts["database"]:
        sys.exit(
            "the address of a PostgreSQL database has an account and a database in it: postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    query = parts["query"]
    if query.pop("sslrootcert", None) == "system":
        parts["certificate"] = "/etc/ssl/certs/ca-certificates.crt"
    mode = query.pop("sslmode", "verify-full" if parts["certificate"] else "require")
    return {**parts, "sslmode": mode, "owner": parts["user"], "lobby": parts["database"]}


def role(there):
    """The role whose the app's databases are."""
    return there.get("user", os.environ["CLOUDTOOL_APP"])


def login(there):
    """Who the app logs in as."""
    return there.get("user", os.environ["CLOUDTOOL_LOGIN"])


def tell_login(there):
    """The server knows the app's login, and its reader, by the password of now."""
    verifier = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_SECRETS"], f"verifier.{os.environ['CLOUDTOOL_LOGIN']}")
    password = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_PASSWORD"])
    if not verifier.exists() or verifier.stat().st_mtime <= password.stat().st_mtime:
        new = verifier.with_name(f"{verifier.name}.new")
        new.touch(0o600)
        new.write_text(scram.verifier(password.read_text().strip()))
        new.replace(verifier)
    change_login(there, login(there), verifier.read_text())


def end_login(there):
    """The password of the app's login is refused from now on, and who is logged in with it is thrown out."""
    change_login(there, login(there), "")
    pathlib.Path(os.environ["CLOUDTOOL_SERVICE_SECRETS"], f"verifier.{os.environ['CLOUDTOOL_LOGIN']}").unlink(
        missing_ok=True
    )


def change_login(there, name, verifier):
    change = "SELECT public.:\"logins\"(:'login', nullif(:'verifier', '')) AS done\n\\gset\n"
    lobby(there, f"\\set verifier '{verifier}'\n{change}", login=name, logins=there["logins"])


@contextlib.contextmanager
def loader(there):
    """The name and the password of the role that fills the share, whose owner it is as long as it does. Then the database is the
    app's again, which has yet to take what is in it: only then the role goes (`end_loader`)."""
    name, password = f"{role(there)}.loader", secrets.token_hex(24)
    try:
        change_login(there, name, scram.verifier(password))
        lobby(there, 'ALTER DATABASE :"share" OWNER TO :"loader";\n', loader=name)
        yield name, password
    finally:
        change_login(there, name, "")
        lobby(there, 'ALTER DATABASE :"share" OWNER TO :"app";\n')


def end_loader(there):
    change_login(there, f"{role(there)}.loader", "")


def lobby(there, script, **variables):
    """Runs a script of psql's as the owner of the app's databases; what it prints."""
    values = {"app": role(there), "share": remote.database(there), "mark": mark(), **variables}
    words = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password", "--set=ON_ERROR_STOP=1"]
    words += [f"--set={name}={value}" for name, value in values.items()]

    def command(certificate):
        word = there["password"] if "password" in there else remote.secret("owner")
        who = {"PGUSER": there["owner"], "PGPASSWORD": word, "PGDATABASE": there["lobby"]}
        return [program("psql"), *words], {**reached(there, certificate), **who}

    done = remote.ask(there, command, script)
    sys.stderr.write(done.stderr)
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
       EXISTS (SELECT FROM pg_database WHERE datname = :'share'
                  AND pg_get_userbyid(datdba) NOT IN (:'app', :'app' || '.loader')) AS foreign_database
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
        tell_login(there)
        objection = lobby(there, PROVISION, template=there["template"])
    elif remote.database(there) != there["database"]:
        objection = lobby(there, BESIDE)
    else:
        objection = ""
    if objection:
        sys.exit(objection)
    app, share, word = login(there), remote.database(there), remote.password(there)
    how = {**there.get("query", {}), "sslmode": there["sslmode"]}
    if there["certificate"]:
        how["sslrootcert"] = there["certificate"]
    url = remote.url("postgresql", there, app, word, share, how)
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


def databases(there, which):
    """The names of the app's databases that meet a condition on pg_database."""
    return lobby(
        there,
        f"SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) IN (:'app', :'app' || '.loader') AND ({which});",
    ).splitlines()


def drop(there, shares):
    """Drops databases of the app, whoever is connected: `shares` is a condition on pg_database.

    Not WITH (FORCE): who is no superuser may not end the server's own housekeeping, for which a plain DROP waits.
    """
    for share in databases(there, shares):
        lobby(
            there,
            r"""
ALTER DATABASE :"share" CONNECTION LIMIT 0;
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = :'share' AND (usename IN (:'app', :'app' || '.loader') OR left(usename, length(:'app') + 2) = :'app' || '.r')
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
    if sys.argv[1:] == ["retire"]:
        end_login(there)
        return
    own = r"datname = :'app' OR datname ~ ('^' || :'app' || '\.[0-9]+$')"
    if sys.argv[1:] == ["shares"]:
        for share in databases(there, own):
            print(share[len(role(there)) + 1 :] or "1")
        return
    one = sys.argv[1:] == ["drop"]
    if "url" not in there:
        drop(there, "datname = :'share'" if one else own)
        # The one of a load that failed.
        end_loader(there)
        return
    drop(there, "shobj_description(oid, 'pg_database') = :'mark'" + (" AND datname = :'share'" if one else ""))
    if not one or remote.database(there) == there["database"]:
        print(f"the database {there['database']} was there before, and stays as it is", file=sys.stderr)


if __name__ == "__main__":
    main()
