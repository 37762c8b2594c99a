"""Notes in CouchDB. Two people who change the same note at once are told so: nobody's words are lost unseen."""

import re
import uuid
from datetime import datetime, timezone
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

import pages
from couch import Conflict, Database, NotFound

MAX_BODY = 64 * 1024
REVISION = re.compile(r"[0-9]+-[0-9a-f]+")
NOTE = re.compile(r"/notes/([0-9a-f]{32})(/delete)?")

SECURITY_HEADERS = [
    ("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
    ("X-Content-Type-Options", "nosniff"),
]


class Refused(Exception):
    """Ends a request with a status and a sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


def application(environ, start_response):
    mount = environ.get("SCRIPT_NAME", "").rstrip("/")
    headers = [("Content-Type", "text/html; charset=utf-8"), *SECURITY_HEADERS]
    try:
        status, page = answer(environ, mount)
    except NotFound:
        status, page = 404, pages.error(mount, 404, "There is no such note (any more).")
    except Refused as refused:
        status, page = refused.status, pages.error(mount, refused.status, str(refused))
    if status == 303:
        headers.append(("Location", f"{mount}/"))
    body = page.encode()
    headers.append(("Content-Length", str(len(body))))
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def answer(environ, mount: str) -> tuple[int, str]:
    """The status and the page for a request. 303 leads back to the list."""
    notes = Database.from_environment()
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO") or "/"
    reads = method in ("GET", "HEAD")
    note = NOTE.fullmatch(path)
    if path == "/" and reads:
        newest_first = sorted(notes.all(), key=lambda note: note.get("changed", ""), reverse=True)
        return 200, pages.notes(mount, newest_first)
    if path == "/health" and reads:
        return 200, f"{notes.info()['doc_count']} documents"
    if path == "/" and method == "POST":
        notes.put(uuid.uuid4().hex, note_from(form(environ)))
        return 303, ""
    if note and not note[2] and reads:
        return 200, pages.edit(mount, notes.get(note[1]))
    if note and not note[2] and method == "POST":
        return save(notes, mount, note[1], form(environ))
    if note and note[2] and method == "POST":
        return delete(notes, mount, note[1], form(environ))
    raise Refused(404, "There is nothing here.")


def save(notes: Database, mount: str, key: str, fields: dict[str, str]) -> tuple[int, str]:
    mine = note_from(fields) | {"_id": key, "_rev": revision_from(fields)}
    try:
        notes.put(key, mine)
    except Conflict:
        return 409, pages.conflict(mount, mine, notes.get(key))
    return 303, ""


def delete(notes: Database, mount: str, key: str, fields: dict[str, str]) -> tuple[int, str]:
    try:
        notes.delete(key, revision_from(fields))
    except Conflict:
        return 409, pages.edit(mount, notes.get(key), "It was changed meanwhile, and was not deleted. This is it now:")
    return 303, ""


def note_from(fields: dict[str, str]) -> dict:
    title, text = fields.get("title", "").strip(), fields.get("text", "").strip()
    if not title:
        raise Refused(422, "A note has a title.")
    if len(title) > pages.MAX_TITLE or len(text) > pages.MAX_TEXT:
        raise Refused(422, f"A title has at most {pages.MAX_TITLE} characters, a text {pages.MAX_TEXT:,}.")
    return {"title": title, "text": text, "changed": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}


def revision_from(fields: dict[str, str]) -> str:
    revision = fields.get("rev", "")
    if not REVISION.fullmatch(revision):
        raise Refused(422, "The form does not say which revision it was made from.")
    return revision


def form(environ) -> dict[str, str]:
    """The fields that were sent, if this site's own form sent them (that is the protection against CSRF)."""
    origin = environ.get("HTTP_ORIGIN")
    if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") != "same-origin" or (
        origin and urlsplit(origin).netloc != environ.get("HTTP_HOST")
    ):
        raise Refused(403, "This form was sent from another site.")
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > MAX_BODY:
        raise Refused(413, "That is too much.")
    return dict(parse_qsl(environ["wsgi.input"].read(int(length)).decode("utf-8", "replace")))
