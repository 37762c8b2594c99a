"""A WSGI app that says hello. Replace it with Django, Flask or whatever speaks WSGI."""

import html
import os


def application(environ, start_response):
    name = html.escape(os.environ.get("CLOUDTOOL_APP_NAME", "app"))
    release = html.escape(os.environ.get("CLOUDTOOL_RELEASE", "a release that is not deployed"))
    body = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{name}</title>
<link rel="stylesheet" href="{html.escape(environ.get("SCRIPT_NAME", ""))}/hello.css">
<h1>Hello from {name}</h1>
<p>This is {release}. Edit <code>app.py</code>, then run <code>cloudtool update</code>.</p>
</html>
""".encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


if __name__ == "__main__":
    from wsgiref.simple_server import make_server

    with make_server("127.0.0.1", 8000, application) as server:
        print("http://127.0.0.1:8000/")
        server.serve_forever()
