"""The smallest app: says hello, from which release, and which environment variables it was given."""

import os
from html import escape

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{greeting}</title>
<link rel="stylesheet" href="{mount}/style.css">
<main>
<h1>{greeting}</h1>
<p>This is release <b>{release}</b> of <b>{app}</b>. Change a file, say <code>cloudtool update</code> again, and reload.</p>
<h2>The environment (names only: values can be secrets)</h2>
<ul>{names}</ul>
</main>
</html>
"""


def application(environ, start_response):
    page = PAGE.format(
        greeting=escape(os.environ.get("GREETING", "Hello")),
        release=escape(os.environ.get("CLOUDTOOL_RELEASE", "none")),
        app=escape(os.environ.get("CLOUDTOOL_APP_NAME", "an app that was not deployed")),
        mount=escape(environ.get("SCRIPT_NAME", "")),
        names="".join(f"<li>{escape(name)}</li>" for name in sorted(os.environ)),
    ).encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))])
    return [page]
