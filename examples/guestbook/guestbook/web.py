"""The little of HTTP that this app needs, between WSGI's environ and the functions in app.py."""

from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

MAX_BODY = 4 * 1024 * 1024

SECURITY_HEADERS = [
    ("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
]


class HttpError(Exception):
    """Ends a request with a status and a sentence for the visitor."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


@dataclass
class Form:
    """What a visitor sent: texts, and the bytes of files that are not empty."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def text(self, name: str) -> str:
        return self.fields.get(name, "").strip()


class Request:
    def __init__(self, environ: dict):
        self.environ = environ
        self.method = {"HEAD": "GET"}.get(environ["REQUEST_METHOD"], environ["REQUEST_METHOD"])
        # Where the app hangs: "" at the root of a host, "/blog" when it was deployed to HOST/blog.
        self.mount = environ.get("SCRIPT_NAME", "").rstrip("/")
        self.path = environ.get("PATH_INFO") or "/"
        self.query = dict(parse_qsl(environ.get("QUERY_STRING", "")))

    def refuse_other_sites(self) -> None:
        """Stops forms on other sites from writing here in a visitor's name (CSRF): every browser says where a POST comes from."""
        origin = self.environ.get("HTTP_ORIGIN")
        if self.environ.get("HTTP_SEC_FETCH_SITE", "same-origin") != "same-origin":
            raise HttpError(403, "This form was sent from another site.")
        if origin and urlsplit(origin).netloc != self.environ.get("HTTP_HOST"):
            raise HttpError(403, "This form was sent from another site.")

    def form(self) -> Form:
        length = self.environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal():
            raise HttpError(400, "The length of the form is not a number.")
        if int(length) > MAX_BODY:
            raise HttpError(413, f"That is too much: a form with its picture has at most {MAX_BODY // 1024**2} MB.")
        body = self.environ["wsgi.input"].read(int(length))
        kind = Message()
        kind["Content-Type"] = self.environ.get("CONTENT_TYPE", "")
        if kind.get_content_type() == "multipart/form-data":
            return parse_multipart(body, kind.get_param("boundary"))
        return Form(dict(parse_qsl(body.decode("utf-8", "replace"))))


def parse_multipart(body: bytes, boundary: object) -> Form:
    """RFC 7578: parts between lines of `--boundary`, each with headers, an empty line and its value."""
    if not isinstance(boundary, str) or not boundary:
        raise HttpError(400, "The form does not say where its parts end.")
    form = Form()
    # A line break before the first boundary too, so that every part begins in the same way.
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        headers = BytesHeaderParser().parsebytes(head.lstrip())
        name = headers.get_param("name", header="Content-Disposition")
        if not isinstance(name, str):
            continue
        if headers.get_filename() is None:
            form.fields[name] = value.decode("utf-8", "replace")
        elif value:
            form.files[name] = value
    return form


@dataclass
class Response:
    body: str | bytes = ""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    headers: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def redirect(cls, address: str) -> "Response":
        return cls(status=303, headers=[("Location", address)])


def serve(route: Callable[[Request], Response], error_page: Callable[[str, int, str], str]) -> Callable:
    """Makes the WSGI application of a function from Request to Response."""

    def application(environ, start_response):
        request = Request(environ)
        try:
            response = route(request)
        except HttpError as error:
            response = Response(error_page(request.mount, error.status, str(error)), error.status)
        body = response.body.encode() if isinstance(response.body, str) else response.body
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(body))),
            *SECURITY_HEADERS,
            *response.headers,
        ]
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return application
