#!/usr/bin/env python3
"""Brings the database up to date: runs the files of migrations/ that it has not seen, in the order of their names.

All of it is one transaction, so a migration that fails leaves nothing behind, and update stops. The release before keeps
serving meanwhile: write migrations that it can live with (add columns, do not rename them).
"""

import os
from contextlib import closing
from pathlib import Path

import psycopg2

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"

# Any number, the same for everybody who migrates this database: two of them wait for each other.
LOCK = 20100120


def main() -> None:
    with closing(psycopg2.connect(os.environ["DATABASE_URL"])) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute("CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, ran timestamptz DEFAULT now())")
        cursor.execute("SELECT name FROM migrations")
        seen = {name for (name,) in cursor}
        for file in sorted(MIGRATIONS.glob("*.sql")):
            if file.name not in seen:
                print(f"migrating: {file.name}", flush=True)
                cursor.execute(file.read_text(encoding="utf-8"))
                cursor.execute("INSERT INTO migrations (name) VALUES (%s)", [file.name])


if __name__ == "__main__":
    main()
