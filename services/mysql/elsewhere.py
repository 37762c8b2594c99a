"""A share in a server that is not on this node: how it is reached, and how databases are made and dropped there.

In the server of another node that is done as an account that has all rights in databases of the app's name, `APP.owner`, and
gives the app's account its share; in the share itself everything is done as the app. In a server whose address app.ini says,
all is done as the account of the address: its database is the first share, and others are made beside it, if that account may.
"""

import os
import pathlib
import sys

import hashes
import remote

LOBBY = "cloudtool.lobby"


def place():
    """None when the share is here."""
    there = remote.place()
    return addressed(there) if there and "url" in there else there


def addressed(there):
    """The parts of an address. Without a word about it, the connection must be TLS, to who shows a certificate that the system
    or the one named by it (`ssl_ca`) speaks for."""
    parts = remote.addressed(there, "a MySQL database", ("mysql", "mariadb"), 3306)
    plain = parts["query"].get("ssl-mode", "").lower() == "disabled"
    return {**parts, "certificate": None if plain else parts["certificate"] or "/etc/ssl/certs/ca-certificates.crt"}


def login(there):
    """The user of the app."""
    return there.get("user", os.environ["CLOUDTOOL_APP"])


def reached(there, certificate):
    """How a client gets to the server."""
    how = ["--ssl", f"--ssl-ca={certificate}"] if certificate else ["--skip-ssl"]
    return [f"--host={there['host']}", f"--port={there['port']}", *how]


def owner(there, script, database=None):
    """Runs a script as who may make and drop the app's databases; the lines that it prints."""
    user, word = (
        (there["user"], there["password"]) if "url" in there else (f"{login(there)}.owner", remote.secret("owner"))
    )

    def command(certificate):
        words = [
            "mariadb",
            "--no-defaults",
            "--protocol=tcp",
            "--default-character-set=utf8mb4",
            "--connect-timeout=10",
        ]
        words += [*reached(there, certificate), "--batch", "--skip-column-names", f"--user={user}"]
        return [*words, *([database] if database else [])], {"MYSQL_PWD": word}

    done = remote.ask(there, command, script)
    if done.returncode:
        # It also repeats the statement.
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR ")]
        sys.exit(f"MariaDB at {there['host']}:{there['port']}: {said[0] if said else done.stderr.strip()}")
    return done.stdout.splitlines()


def account(there, name):
    """An account of the app's there, as SQL names it."""
    return f"{text(name)}@{text(there['from'])}"


def text(value):
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def named(database):
    return "`" + database.replace("`", "``") + "`"


def pattern(database):
    """In the name that a right is for, `_` and `%` stand for others."""
    return named(database.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))


# It may have gone by itself.
END_CONNECTIONS = """DELIMITER //
BEGIN NOT ATOMIC
    FOR connection IN (SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND {which}) DO
        BEGIN
            DECLARE CONTINUE HANDLER FOR 1094 BEGIN END;
            EXECUTE IMMEDIATE CONCAT('KILL ', connection.ID);
        END;
    END FOR;
END//
"""


def tell_passwords(there):
    """All that are to work; the loader's too, which a hostile dump may have changed."""
    told = ",".join(hashes.of(os.environ["CLOUDTOOL_SERVICE_PASSWORDS"].split()))
    loader = hashes.hashed(remote.secret("loader"))
    owner(there, f"CALL {named(LOBBY)}.{named(login(there))}({text(told)}, {text(loader)});\n")


def retire(there):
    import mariadb

    tell_passwords(there)
    left = pathlib.Path(os.environ["CLOUDTOOL_SERVICE_PASSWORDS"].split()[-1]).read_text().strip()
    mariadb.Account(login(there), left).say(mariadb.ended_login(), database=None)


def provision(there):
    app, share, word = login(there), remote.database(there), remote.password(there)
    if "url" in there:
        if share != there["database"]:
            make_beside(there, share)
    else:
        tell_passwords(there)
        owner(
            there,
            f"CREATE DATABASE IF NOT EXISTS {named(share)} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;\n"
            f"GRANT ALL PRIVILEGES ON {pattern(share)}.* TO {account(there, app)};\n",
        )
    ca = there["certificate"]
    variables = {
        "CONFIG_MYSQL_DBNAME": share,
        "CONFIG_MYSQL_USER": app,
        "CONFIG_MYSQL_PASSWORD": word,
        "CONFIG_MYSQL_HOST": there["host"],
        "CONFIG_MYSQL_PORT": there["port"],
        **({"CONFIG_MYSQL_SSL_CA": ca} if ca else {}),
    }

    def url(scheme, certificate):
        said = {"charset": "utf8mb4", **({certificate: ca} if ca else {})}
        return remote.url(scheme, there, app, word, share, said)

    # Each as those spell it who read such an address: SQLAlchemy, and dj-database-url.
    variables["CONFIG_MYSQL_SQLALCHEMY"] = url("mysql+mysqldb", "ssl_ca")
    if "postgresql" not in os.environ["CLOUDTOOL_SERVICES"].split():
        variables["DATABASE_URL"] = url("mysql", "ssl-ca")
    for name, value in variables.items():
        print(f"{name}={value}")


def made():
    """The file that names the databases that were made beside that of an address: no other is ever dropped."""
    return pathlib.Path(os.environ["CLOUDTOOL_SERVICE_SECRETS"], "made")


def known():
    return made().read_text().splitlines() if made().exists() else []


def remember(names):
    new = made().with_name("made.new")
    new.write_text("".join(f"{name}\n" for name in names))
    new.replace(made())


def make_beside(there, share):
    if share not in known():
        if owner(there, f"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {text(share)};"):
            sys.exit(f"the database {share} exists already and was not made by cloudtool: rename it")
        remember([*known(), share])
    owner(
        there,
        "SELECT CONCAT('CREATE DATABASE IF NOT EXISTS ', @name, ' CHARACTER SET ', DEFAULT_CHARACTER_SET_NAME, ' COLLATE ',"
        f" DEFAULT_COLLATION_NAME) INTO @make FROM (SELECT @name := {text(named(share))}) AS n, information_schema.SCHEMATA"
        f" WHERE SCHEMA_NAME = DATABASE();\nPREPARE make FROM @make;\nEXECUTE make;\n",
        there["database"],
    )


def found(there):
    """The numbers of the shares that are there."""
    app = login(there)
    for share in shares(there, one=False):
        print(share[len(app) + 1 :] or "1")


def shares(there, one):
    """The databases to drop that are there: the share, or all of the app's."""
    name = remote.database(there)
    if "url" in there:
        return [made for made in known() if made == name or not one]
    app = login(there)
    own = f"SCHEMA_NAME = {text(app)} OR SCHEMA_NAME RLIKE {text(f'^{app}[.][0-9]+$')}"
    where = f"SCHEMA_NAME = {text(name)}" if one else own
    return owner(there, f"SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE {where};")


def drop(there, one):
    import mariadb

    if "url" not in there:
        # Of an app that is removed, nobody knows any more which login was its last.
        tell_passwords(there)
    for share in shares(there, one):
        # A transaction that is open would keep the tables for as long as it is. The app's user may end its own.
        which = f"DB = {text(share)}"
        mariadb.app().say(END_CONNECTIONS.format(which=which), database=None)
        owner(there, f"SET SESSION lock_wait_timeout = 60;\nDROP DATABASE IF EXISTS {named(share)};\n")
        if "url" in there:
            remember([name for name in known() if name != share])
        else:
            owner(there, revoked(there, share, login(there)))
    if "url" in there and (not one or remote.database(there) == there["database"]):
        print(f"the database {there['database']} was there before, and stays as it is", file=sys.stderr)


def revoked(there, share, name):
    """A script that takes a right away that may be gone already."""
    return (
        "DELIMITER //\nBEGIN NOT ATOMIC\n"
        "DECLARE CONTINUE HANDLER FOR 1141 BEGIN END;\n"
        f"REVOKE ALL PRIVILEGES ON {pattern(share)}.* FROM {account(there, name)};\nEND//\n"
    )


def main():
    there = place()
    if sys.argv[1:] == ["provision"]:
        provision(there)
    elif sys.argv[1:] == ["retire"]:
        retire(there)
    elif sys.argv[1:] == ["shares"]:
        found(there)
    else:
        drop(there, one=sys.argv[1:] == ["drop"])


if __name__ == "__main__":
    main()
