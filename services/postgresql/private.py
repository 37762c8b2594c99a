"""A cluster of PostgreSQL in a directory of the app's, on a developer's machine: made when it is missing, and spoken to as
its superuser."""

import glob
import os
import pathlib
import re
import subprocess

import development

ADMINISTRATOR = "postgres"
PACKAGE = "postgresql"

ROLE_AND_DATABASE = r"""
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'app') AS no_role,
       NOT EXISTS (SELECT FROM pg_database WHERE datname = :'app') AS no_database
\gset
\if :no_role
    CREATE ROLE :"app" LOGIN;
\endif
ALTER ROLE :"app" PASSWORD :'password';
\if :no_database
    CREATE DATABASE :"app" OWNER :"app";
\endif
"""


class Cluster:
    def __init__(self, data=development.DATA):
        self.data = pathlib.Path(data)
        self.files = self.data / "cluster"
        made = self.files / "PG_VERSION"
        self.version = made.read_text().strip() if made.exists() else None

    def program(self, name):
        """Of the version that has made the cluster, else of the newest."""
        places = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=version_of, reverse=True)
        if self.version:
            places = [place for place in places if place.split("/")[4] == self.version]
        return development.program(name, f"{PACKAGE}-{self.version}" if self.version else PACKAGE, *places)

    def start(self):
        user = development.as_somebody(ADMINISTRATOR)
        if not self.version:
            self.make(user)
        port = development.port()
        words = [self.program("postgres"), "-D", str(self.files), "-p", str(port), "-h", development.HOST, "-k", ""]
        # What a power cut takes of a developer's data is less than what waiting for the disk takes of their time.
        words += ["-c", "synchronous_commit=off", "-c", "logging_collector=off"]
        self.program("psql")
        return development.Server(words, lambda: self.asked("SELECT 1") == "1", **user)

    def make(self, user):
        secret = development.DATA / "administrator"
        development.kept("administrator", lambda: development.secrets.token_hex(24))
        if user:
            os.chown(secret, user["user"], user["group"])
        words = [self.program("initdb"), "-D", str(self.files), "-U", ADMINISTRATOR, f"--pwfile={secret}"]
        words += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        done = subprocess.run(words, check=False, capture_output=True, text=True, cwd="/", **user)
        if done.returncode:
            development.fail(f"initdb failed: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")

    def psql(self, database, *words, input=None):
        environment = {
            "PATH": os.environ["PATH"],
            "PGPASSWORD": (self.data / "administrator").read_text(),
            "PGHOST": development.HOST,
            "PGPORT": (self.data / "port").read_text(),
            "PGUSER": ADMINISTRATOR,
            "PGDATABASE": database,
            "PGCONNECT_TIMEOUT": "5",
        }
        words = [self.program("psql"), "--no-psqlrc", "-qAt", "--set=ON_ERROR_STOP=1", *words]
        return subprocess.run(words, env=environment, input=input, capture_output=True, text=True, check=False)

    def asked(self, sql):
        """The answer; nothing while there is none."""
        return self.psql("postgres", f"--command={sql}").stdout.strip()

    def told(self, database, sql):
        done = self.psql(database, input=sql)
        if done.returncode:
            development.fail(f"PostgreSQL refused: {(done.stderr.strip().splitlines() or ['it said nothing'])[0]}")

    def share(self):
        """The app's role and database."""
        app, password = development.APP, development.password()
        self.told("postgres", f"\\set app '{app}'\n\\set password '{password}'\n{ROLE_AND_DATABASE}")
        port = (self.data / "port").read_text()
        return {
            "CONFIG_PG_HOST": development.HOST,
            "CONFIG_PG_PORT": port,
            "CONFIG_PG_USER": app,
            "CONFIG_PG_PASSWORD": password,
            "CONFIG_PG_DBNAME": app,
        }


def version_of(place):
    return int(re.sub(r"\D", "", place.split("/")[4]) or 0)
