"""The entries, in a PostGIS database."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg2
import psycopg2.extras

MAX_NAME, MAX_MESSAGE = 60, 500


@dataclass(frozen=True)
class Place:
    """A point of the Earth in degrees: latitude to the north, longitude to the east."""

    lat: float
    lon: float

    @classmethod
    def parse(cls, lat: str | None, lon: str | None) -> "Place | None":
        """None for anything that is not a point of the Earth."""
        try:
            place = cls(round(float(lat or ""), 4), round(float(lon or ""), 4))
        except ValueError:
            return None
        return place if abs(place.lat) <= 90 and abs(place.lon) <= 180 else None


@dataclass(frozen=True)
class Entry:
    id: int
    name: str
    message: str
    picture: str | None
    written: datetime
    lat: float
    lon: float
    metres: float | None


def problem_with(name: str, message: str, place: Place | None) -> str | None:
    """The first thing that is wrong with an entry, as a sentence for its writer."""
    if not name or not message:
        return "Please tell us your name and leave a message."
    if len(name) > MAX_NAME or len(message) > MAX_MESSAGE:
        return f"A name has at most {MAX_NAME} characters, a message {MAX_MESSAGE}."
    if "\0" in name + message:
        return "There is a character in it that no text has."
    if place is None:
        return "Please click on the map: where are you?"
    return None


@contextmanager
def database() -> Iterator[psycopg2.extras.NamedTupleCursor]:
    """A cursor in a transaction of its own. The database is on the same machine: a connection costs some milliseconds."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=5)
    with closing(connection), connection, connection.cursor(cursor_factory=psycopg2.extras.NamedTupleCursor) as cursor:
        yield cursor


def entries(near: Place | None, limit: int = 30) -> list[Entry]:
    """The nearest entries to a place with their distance, which the index of `place` finds without measuring all; or the newest."""
    columns = "id, name, message, picture, written, ST_Y(place::geometry) AS lat, ST_X(place::geometry) AS lon"
    with database() as cursor:
        if near is None:
            cursor.execute(f"SELECT {columns}, NULL AS metres FROM entries ORDER BY id DESC LIMIT %s", [limit])
        else:
            cursor.execute(
                f"""
                WITH here AS (SELECT ST_MakePoint(%s, %s)::geography AS point)
                SELECT {columns}, ST_Distance(place, point) AS metres
                FROM entries, here
                ORDER BY place <-> point, id DESC
                LIMIT %s
                """,
                [near.lon, near.lat, limit],
            )
        return [Entry(**row._asdict()) for row in cursor]


def places(limit: int = 1000) -> list[tuple[int, Place]]:
    """Number and place of the newest entries, for the map."""
    with database() as cursor:
        cursor.execute(
            "SELECT id, ST_Y(place::geometry), ST_X(place::geometry) FROM entries ORDER BY id DESC LIMIT %s", [limit]
        )
        return [(number, Place(lat, lon)) for number, lat, lon in cursor]


def add(name: str, message: str, place: Place, picture: str | None) -> int:
    """Stores an entry and answers its number."""
    with database() as cursor:
        cursor.execute(
            "INSERT INTO entries (name, message, picture, place) VALUES (%s, %s, %s, ST_MakePoint(%s, %s)) RETURNING id",
            [name, message, picture, place.lon, place.lat],
        )
        return cursor.fetchone().id


def postgis_version() -> str:
    with database() as cursor:
        cursor.execute("SELECT PostGIS_Version()")
        return cursor.fetchone()[0]
