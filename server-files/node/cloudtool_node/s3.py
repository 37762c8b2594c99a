"""A bucket of an S3-compatible service as a store: a small client of the five calls that backups need.

Of our own, because the tools at hand do not fit: `rclone rcat` takes what it was given for the whole when we are killed, and
lists it (measured with 1.60), needs 72 MB with its smallest buffers, and has no such command that is told where the end is;
boto3 begins with 50 MB. An object here is there when, and only when, we have said that it is complete.
"""

import calendar
import contextlib
import hashlib
import hmac
import http.client
import re
import ssl
import time
import urllib.parse
import xml.etree.ElementTree

from . import checks, packages
from .context import Failure
from .store import OBJECT, Store

# All parts of an object have one size, as some services want, and there are at most 10,000: an object has at most 105 GB.
PART = 10 << 20
PARTS = 10_000
PIECE = 1 << 16
TIMEOUT = 60
PAUSES = (0.5, 2, 5, 10)
AGAIN = (429, 500, 502, 503, 504)
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile(r"([A-Za-z0-9!_.*'()-]+/)*")
REGION = re.compile(r"[a-z0-9-]{1,64}")
HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]")
HINTS = {
    "AccessDenied": "The key may not do this with the bucket: it needs to list, get, put and delete objects.",
    "AuthorizationHeaderMalformed": "Look at `region` of the destination.",
    "InvalidAccessKeyId": "Look at `access_key` of the destination.",
    "NoSuchBucket": "Make the bucket first, or look at `url`, `endpoint` and `region` of the destination.",
    "PermanentRedirect": "The bucket is elsewhere: look at `region` and `endpoint` of the destination.",
    "RequestTimeTooSkewed": "The node's clock is wrong: timedatectl shows it.",
    "SignatureDoesNotMatch": "Look at `secret_key` of the destination.",
}


class S3Store(Store):
    def __init__(self, ctx, about: dict, app: str):
        self.ctx = ctx
        self.app = app
        self.bucket = _matching(BUCKET, about.get("bucket"), "bucket")
        self.prefix = _matching(PREFIX, about.get("prefix") or "", "prefix")
        self.region = _matching(REGION, about.get("region"), "region")
        self.access_key = checks.text(about.get("access_key"), "access_key") or ""
        self.secret_key = checks.text(about.get("secret_key"), "secret_key") or ""
        ctx.secret(self.secret_key)
        address = urllib.parse.urlsplit(checks.text(about.get("endpoint"), "endpoint") or "")
        if address.scheme not in ("http", "https") or not HOST.fullmatch(
            address.netloc.rpartition(":")[0] or address.netloc
        ):
            raise checks.bad("The endpoint of the store is no address like https://s3.example.com.")
        self.address = address
        self.name = f"s3://{self.bucket}/{self.prefix} at {address.netloc}"
        if address.scheme == "https":
            packages.ensure(ctx, ["ca-certificates"])
        self.connection = None
        self.answer: http.client.HTTPResponse | None = None
        ctx.at_end.callback(self.disconnect)

    def apps(self) -> list[str]:
        """Whose backups there may be."""
        pages = self._pages({"prefix": self.prefix, "delimiter": "/"})
        folders = (item.findtext("Prefix") or "" for page in pages for item in page.iter("CommonPrefixes"))
        names = (folder.removeprefix(self.prefix).rstrip("/") for folder in folders)
        return sorted(name for name in names if checks.APP.fullmatch(name))

    def list(self) -> dict[str, int]:
        folder = f"{self.prefix}{self.app}/"
        found = {}
        for page in self._pages({"prefix": folder}):
            for item in page.iter("Contents"):
                name = (item.findtext("Key") or "").removeprefix(folder)
                if OBJECT.fullmatch(name):
                    found[name] = int(item.findtext("Size") or 0)
        return found

    def read(self, name: str, size: int):
        """The bytes of an object, in pieces; where the connection breaks, what is left is asked for again."""
        offset, broken = 0, 0
        while offset < size:
            headers = {"range": f"bytes={offset}-"} if offset else {}
            answer = self._call("GET", name, headers=headers, stream=True)
            begun = offset
            try:
                while offset < size and (data := answer.read(min(PIECE, size - offset))):
                    self.ctx.check_aborted()
                    offset += len(data)
                    yield data
            except (OSError, http.client.HTTPException) as error:
                broken = 0 if offset > begun else broken + 1
                self._broke_off(error, broken)
                continue
            return

    @contextlib.contextmanager
    def writer(self, name: str):
        writer = S3Writer(self, name)
        try:
            yield writer
        finally:
            writer.give_up()

    def delete(self, name: str) -> None:
        self._call("DELETE", name)

    def sweep(self, before: float) -> None:
        """Ends uploads that were begun before that time, and cost money for as long as they are neither completed nor ended."""
        folder = f"{self.prefix}{self.app}/"
        page = _parse(self._call("GET", None, query={"uploads": "", "prefix": folder}))
        for upload in page.iter("Upload"):
            name = (upload.findtext("Key") or "").removeprefix(folder)
            if OBJECT.fullmatch(name) and _seconds(upload.findtext("Initiated")) < before:
                self._call("DELETE", name, query={"uploadId": upload.findtext("UploadId") or ""})

    def disconnect(self) -> None:
        if self.connection:
            self.connection.close()
            self.connection = None

    def _pages(self, query: dict):
        token = {}
        while True:
            page = _parse(self._call("GET", None, query={"list-type": "2", **query, **token}))
            yield page
            following = page.findtext("NextContinuationToken")
            if page.findtext("IsTruncated") != "true" or not following:
                return
            token = {"continuation-token": following}

    def _call(self, method: str, name: str | None, *, query=None, body=b"", headers=None, stream=False):
        """A call that may be repeated without harm. Gives the answer's bytes, with `stream` the answer, for its headers too."""
        path = f"/{self.bucket}" + (f"/{self.prefix}{self.app}/{name}" if name else "")
        path = self.address.path.rstrip("/") + urllib.parse.quote(path, safe="/-_.~")
        asked = "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in sorted((query or {}).items()))
        digest = hashlib.sha256(body).hexdigest()
        failed = 0
        while True:
            self.ctx.check_aborted()
            signed = self._signed(method, path, asked, digest, headers or {})
            try:
                answer = self._send(method, f"{path}?{asked}" if asked else path, body, signed)
                if answer.status < 300:
                    return answer if stream else answer.read()
                told = answer.read(1 << 16)
            except (OSError, http.client.HTTPException) as error:
                failed += 1
                self._broke_off(error, failed)
                continue
            if method == "DELETE" and answer.status == 404 and b"NoSuchBucket" not in told:
                return b""
            if answer.status not in AGAIN or failed == len(PAUSES):
                raise self._refused(answer.status, told, name)
            self.ctx.wait(PAUSES[failed])
            failed += 1

    def _send(self, method, target, body, headers) -> http.client.HTTPResponse:
        if self.answer and not self.answer.isclosed():
            # Nobody wanted the rest of it.
            self.disconnect()
        if self.connection is None:
            host, port = self.address.hostname, self.address.port
            if self.address.scheme == "https":
                trusted = ssl.create_default_context()
                self.connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=trusted)
            else:
                self.connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        self.connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for key, value in {**headers, "content-length": str(len(body))}.items():
            self.connection.putheader(key, value)
        self.connection.endheaders()
        # Whoever refuses a part may say so, and hang up, before it has read all of it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError), memoryview(body) as view:
            for begin in range(0, len(view), PIECE):
                self.ctx.check_aborted()
                self.connection.send(view[begin : begin + PIECE])
        self.answer = self.connection.getresponse()
        return self.answer

    def _broke_off(self, error: Exception, times: int) -> None:
        self.disconnect()
        if times > len(PAUSES) or isinstance(error, ssl.SSLCertVerificationError):
            raise Failure("store", f"{self.name}: {error or type(error).__name__}.") from error
        self.ctx.wait(PAUSES[times - 1] if times else 0)

    def _signed(self, method: str, path: str, query: str, digest: str, headers: dict) -> dict:
        """The headers, and the signature of all of it: AWS Signature Version 4."""
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        own = {"host": self.address.netloc, "x-amz-content-sha256": digest, "x-amz-date": at}
        return sign(
            method, path, query, {**headers, **own}, digest, self.access_key, self.secret_key, self.region, "s3"
        )

    def _refused(self, status: int, told: bytes, name: str | None) -> Failure:
        code = message = None
        with contextlib.suppress(xml.etree.ElementTree.ParseError):
            answer = _tree(told)
            code, message = answer.findtext("Code"), answer.findtext("Message")
        what = f" ({name})" if name else ""
        code = code or http.client.responses.get(status, "an error")
        said = f"{code}: {message.rstrip('.')}" if message else code
        return Failure("store", f"{self.name}{what} answers {status} {said}.", HINTS.get(code))


class S3Writer:
    """An object on its way: in one call when it is small, else in parts, which are nothing before they are completed."""

    def __init__(self, store: S3Store, name: str):
        self.store = store
        self.name = name
        self.size = 0
        self.buffer = bytearray()
        self.upload: str | None = None
        self.tags: list[str] = []
        self.committed = False

    def write(self, data: bytes) -> None:
        self.size += len(data)
        view = memoryview(data)
        while view:
            room = PART - len(self.buffer)
            self.buffer += view[:room]
            view = view[room:]
            if len(self.buffer) == PART:
                self._send_part()

    def commit(self) -> None:
        if self.upload is None:
            self.store._call("PUT", self.name, body=self.buffer)
        else:
            if self.buffer:
                self._send_part()
            parts = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
                for number, tag in enumerate(self.tags, 1)
            )
            self._complete(f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode())
        self.committed = True

    def _complete(self, body: bytes) -> None:
        try:
            told = self.store._call("POST", self.name, query={"uploadId": self.upload}, body=body)
            # This one call answers 200 before it knows.
            if b"<Error>" in told:
                raise self.store._refused(200, told, self.name)
        except Failure:
            # When the first answer was lost, the second is that there is no such upload.
            if self.store.list().get(self.name) != self.size:
                raise

    def give_up(self) -> None:
        """What is not committed is taken back; where that fails too, a rule of the bucket for unfinished uploads does it."""
        if self.upload and not self.committed:
            with self.store.ctx.shielded(), contextlib.suppress(Failure):
                self.store.disconnect()
                self.store._call("DELETE", self.name, query={"uploadId": self.upload})

    def _send_part(self) -> None:
        if self.upload is None:
            self.upload = _parse(self.store._call("POST", self.name, query={"uploads": ""})).findtext("UploadId")
        if len(self.tags) == PARTS:
            raise Failure(
                "store", f"{self.name} has more than {PARTS * PART / 1e9:.0f} GB, which a bucket does not take."
            )
        query = {"partNumber": str(len(self.tags) + 1), "uploadId": self.upload}
        answer = self.store._call("PUT", self.name, query=query, body=self.buffer, stream=True)
        answer.read()
        self.tags.append(answer.headers["ETag"])
        self.buffer.clear()


def sign(method, path, query, headers: dict, digest, access_key, secret_key, region, service) -> dict:
    """The headers with `authorization`. `headers` are lower case and have `x-amz-date`; `path` and `query` are as they are sent."""
    at = headers["x-amz-date"]
    names = ";".join(sorted(headers))
    lines = "".join(f"{key}:{headers[key].strip()}\n" for key in sorted(headers))
    canonical = "\n".join([method, path, query, lines, names, digest])
    scope = f"{at[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + secret_key.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    told = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": told}


def _parse(told: bytes) -> xml.etree.ElementTree.Element:
    try:
        return _tree(told)
    except xml.etree.ElementTree.ParseError:
        raise Failure("store", "The store's answer is no XML.", "Look at `endpoint` of the destination.") from None


def _tree(told: bytes) -> xml.etree.ElementTree.Element:
    """An answer without its namespace, which not all services say."""
    root = xml.etree.ElementTree.fromstring(told)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _seconds(text: str | None) -> float:
    """Since 1970, of `2026-01-01T10:15:00.000Z`; what is no time was just now."""
    try:
        return calendar.timegm(time.strptime((text or "")[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return time.time()


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def _matching(pattern: re.Pattern, value, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise checks.bad(f"{value!r} is no {what} of a store.")
    return value
