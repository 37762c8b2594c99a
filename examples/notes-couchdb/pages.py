"""The HTML. Every value from outside goes through `escape`."""

from html import escape

MAX_TITLE, MAX_TEXT = 100, 10_000

LAYOUT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Notes</title>
<link rel="stylesheet" href="{mount}/style.css">
<header><a href="{mount}/">Notes</a></header>
<main>{body}</main>
</html>
"""

FIELDS = """<label>Title <input name="title" maxlength="{max_title}" required value="{title}"></label>
<label>Text <textarea name="text" rows="7" maxlength="{max_text}">{text}</textarea></label>
<input type="hidden" name="rev" value="{rev}">
<button>{button}</button>"""


def page(mount: str, body: str) -> str:
    return LAYOUT.format(mount=escape(mount), body=body)


def fields(note: dict, button: str, rev: str = "") -> str:
    return FIELDS.format(
        max_title=MAX_TITLE,
        max_text=MAX_TEXT,
        title=escape(note.get("title", "")),
        text=escape(note.get("text", "")),
        rev=escape(rev),
        button=button,
    )


def notes(mount: str, documents: list[dict]) -> str:
    cards = "".join(
        f"""<a class="note" href="{escape(mount)}/notes/{escape(note["_id"])}">
<h2>{escape(note.get("title", ""))}</h2><p>{escape(note.get("text", ""))}</p>
<time>{escape(note.get("changed", "").replace("T", " ").rstrip("Z"))}</time></a>"""
        for note in documents
    )
    return page(
        mount,
        f"""<form class="card" method="post" action="{escape(mount)}/">{fields({}, "Add a note")}</form>
<section class="notes">{cards or "<p>No notes yet.</p>"}</section>""",
    )


def edit(mount: str, note: dict, hint: str = "") -> str:
    address, rev = f"{escape(mount)}/notes/{escape(note['_id'])}", note["_rev"]
    return page(
        mount,
        f"""{f'<p class="hint" role="alert">{hint}</p>' if hint else ""}
<form class="card" method="post" action="{address}">{fields(note, "Save", rev)}</form>
<form class="delete" method="post" action="{address}/delete">
<input type="hidden" name="rev" value="{escape(rev)}"><button>Delete this note</button></form>""",
    )


def conflict(mount: str, mine: dict, theirs: dict) -> str:
    """Both versions; what is saved from here is based on theirs, so it replaces it knowingly."""
    return page(
        mount,
        f"""<p class="hint" role="alert">Somebody else changed this note while you were writing. Nothing is lost:
take over what you need from their version, and save yours again.</p>
<div class="sides">
<section class="card"><h3>Theirs</h3><h2>{escape(theirs.get("title", ""))}</h2><pre>{escape(theirs.get("text", ""))}</pre></section>
<form class="card" method="post" action="{escape(mount)}/notes/{escape(mine["_id"])}"><h3>Yours</h3>
{fields(mine, "Save mine over theirs", theirs["_rev"])}</form>
</div>""",
    )


def error(mount: str, status: int, sentence: str) -> str:
    return page(mount, f'<section class="card"><h2>{status}</h2><p>{escape(sentence)}</p></section>')
