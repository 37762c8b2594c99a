"""Pictures that visitors upload: kept in CONFIG_FILES under names of our own, and only if they are what they must be."""

import os
import re
import secrets
from pathlib import Path

MAX_BYTES = 3 * 1024 * 1024

CONTENT_TYPES = {"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp"}

# How a file of each kind begins. What a browser says of a file's name and kind is not asked: anybody can say anything.
BEGINNINGS = {
    "jpg": re.compile(rb"\xff\xd8\xff"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "gif": re.compile(rb"GIF8[79]a"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}

NAME = re.compile(r"[0-9a-f]{32}\.(jpg|png|gif|webp)")


class NotAPicture(Exception):
    """What was uploaded is not kept; the text says why."""


def directory() -> Path:
    return Path(os.environ["CONFIG_FILES"]) / "pictures"


def keep(data: bytes) -> str:
    """Writes a picture and answers its name."""
    if len(data) > MAX_BYTES:
        raise NotAPicture(f"A picture has at most {MAX_BYTES // 1024**2} MB.")
    kind = next((kind for kind, beginning in BEGINNINGS.items() if beginning.match(data)), None)
    if kind is None:
        raise NotAPicture("A picture is a JPEG, PNG, GIF or WebP file.")
    name = f"{secrets.token_hex(16)}.{kind}"
    directory().mkdir(exist_ok=True)
    (directory() / name).write_bytes(data)
    return name


def load(name: str) -> bytes | None:
    """The picture's bytes, or None. Only names that `keep` makes are looked for, so no name leads out of the directory."""
    if not NAME.fullmatch(name):
        return None
    try:
        return (directory() / name).read_bytes()
    except FileNotFoundError:
        return None


def content_type(name: str) -> str:
    return CONTENT_TYPES[name.rpartition(".")[2]]
