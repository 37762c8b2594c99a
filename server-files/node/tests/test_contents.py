import base64
import json
import os
import tempfile
import unittest
import zlib
from unittest import mock

from cloudtool_node import contents, paths
from cloudtool_node.context import Context, Failure, Writer

from .test_state import state


class Contents(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        root = directory.name
        for name in ("APPS", "MANIFESTS", "STATES"):
            patch = mock.patch.object(paths, name, f"{root}/{name}")
            patch.start()
            self.addCleanup(patch.stop)
        self.release = paths.release("shop", "v2")
        os.makedirs(f"{self.release}/src")
        os.makedirs(os.path.dirname(paths.manifest("shop", "v2")))
        os.makedirs(paths.STATES)
        state().save()
        self.entries = []
        self.secret = f"{root}/secret"
        with open(self.secret, "w") as file:
            file.write("hunter")

    def file(self, path: str, content: bytes, size: int | None = None) -> None:
        with open(f"{self.release}/{path}", "wb") as file:
            file.write(content)
        self.listed(path, len(content) if size is None else size)

    def listed(self, path: str, size: int) -> None:
        self.entries.append({"path": path, "size": size})
        with open(paths.manifest("shop", "v2"), "w") as file:
            json.dump({"files": self.entries}, file)

    def asked(self, *wanted, release="v2") -> dict[str, bytes]:
        request = {"app": "shop", "release": release, "paths": list(wanted)}
        told = contents.contents(Context(request, Writer(os.open(os.devnull, os.O_WRONLY))), None)["files"]
        return {path: zlib.decompress(base64.b64decode(content)) for path, content in told.items()}

    def refused(self, *wanted, **more) -> str:
        with self.assertRaises(Failure) as caught:
            self.asked(*wanted, **more)
        return f"{caught.exception.code}: {caught.exception.message}"

    def test_files_come_as_they_are(self):
        self.file("src/a.py", b"a\r\n\0\xff")
        self.file("empty", b"")
        self.assertEqual(self.asked("src/a.py", "empty"), {"src/a.py": b"a\r\n\0\xff", "empty": b""})
        self.assertEqual(self.asked(), {})

    def test_only_what_the_manifest_says_is_a_file(self):
        self.file("a", b"a")
        os.symlink(self.secret, f"{self.release}/link")
        for path in ("../../secret", "/etc/passwd", "src/../a", "a\0", ""):
            self.assertIn("bad-request", self.refused(path))
        for path in ("src", "link", "b"):
            self.assertIn("not-found", self.refused("a", path))
        self.assertIn("changed: shop serves v2 now, not v1", self.refused("a", release="v1"))

    def test_a_release_that_was_tampered_with_leads_nowhere(self):
        os.symlink(self.secret, f"{self.release}/link")
        self.listed("link", 6)
        with self.assertRaises(OSError):
            self.asked("link")
        os.symlink(os.path.dirname(self.secret), f"{self.release}/there")
        self.listed("there/secret", 6)
        self.assertIn("internal", self.refused("there/secret"))
        os.mkfifo(f"{self.release}/pipe")
        self.listed("pipe", 0)
        self.assertIn("internal", self.refused("pipe"))

    def test_nobody_asks_for_much(self):
        self.file("large", b"", size=contents.LARGEST + 1)
        self.assertIn("bad-request", self.refused("large"))
        for number in range(17):
            self.listed(f"{number}", contents.LARGEST)
        self.assertIn("together", self.refused(*map(str, range(17))))
