import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import unittest
from unittest import mock

from cloudtool_node import paths, stage
from cloudtool_node.context import Context, Failure, Writer


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(path: str, content: bytes, mode: str = "0644") -> dict:
    return {"path": path, "mode": mode, "size": len(content), "sha256": sha(content)}


def tar(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


class Staging(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for name in ("APPS", "MANIFESTS"):
            patch = mock.patch.object(paths, name, f"{directory.name}/{name}")
            patch.start()
            self.addCleanup(patch.stop)
        for patch in (
            mock.patch("os.chown"),
            mock.patch("os.fchown"),
            mock.patch.object(stage.users, "gid", lambda _: 0),
        ):
            patch.start()
            self.addCleanup(patch.stop)
        os.makedirs(paths.releases("shop"))
        os.makedirs(paths.manifests("shop"))
        self.ctx = Context({}, Writer(os.open(os.devnull, os.O_WRONLY)))

    def stage(self, fields: dict, payload: bytes, release="v1", kept=()):
        return stage.stage(self.ctx, "shop", release, stage.Manifest(fields), io.BytesIO(payload), list(kept))

    def read(self, path: str, release="v1") -> bytes:
        with open(f"{paths.release('shop', release)}/{path}", "rb") as file:
            return file.read()

    def test_odd_names_links_and_empty_directories_arrive(self):
        fields = {
            "files": [entry("a\n'b\"/☃", b"x"), entry("run", b"x", "0755"), entry("again", b"x"), entry("empty", b"")],
            "links": [{"path": "static/x", "target": "../run"}],
            "dirs": ["static/none"],
        }
        found = self.stage(fields, gzip.compress(tar((sha(b"x"), b"x"), (sha(b""), b""))))
        self.assertEqual((found.uploaded_files, found.uploaded_bytes), (2, 1))
        self.assertEqual(self.read("a\n'b\"/☃"), b"x")
        self.assertEqual(os.readlink(f"{paths.release('shop', 'v1')}/static/x"), "../run")
        self.assertTrue(os.path.isdir(f"{paths.release('shop', 'v1')}/static/none"))
        self.assertEqual(os.stat(f"{paths.release('shop', 'v1')}/run").st_mode & 0o777, 0o750)
        self.assertEqual(os.stat(f"{paths.release('shop', 'v1')}/again").st_mode & 0o777, 0o640)

    def test_what_is_there_is_linked(self):
        self.stage({"files": [entry("a", b"1")]}, gzip.compress(tar((sha(b"1"), b"1"))))
        found = self.stage({"files": [entry("b", b"1")]}, b"", "v2", ["v1"])
        self.assertEqual((found.linked, found.uploaded_files), (1, 0))
        self.assertEqual(os.stat(f"{paths.release('shop', 'v2')}/b").st_nlink, 2)

    def test_what_is_there_and_comes_all_the_same_is_passed_over(self):
        payload = gzip.compress(tar((sha(b"1"), b"1"), (sha(b"2"), b"2")))
        self.stage({"files": [entry("a", b"1")]}, gzip.compress(tar((sha(b"1"), b"1"))))
        found = self.stage({"files": [entry("a", b"1"), entry("b", b"2")]}, payload, "v2", ["v1"])
        self.assertEqual((found.linked, found.uploaded_files), (1, 1))

    def test_what_follows_the_compressed_part_is_taken_as_it_is(self):
        data = tar((sha(b"1"), b"1"), (sha(b"2" * 99999), b"2" * 99999))
        for border in (0, 700, 1024):
            payload = gzip.compress(data[:border]) + data[border:]
            self.stage({"files": [entry("a", b"1"), entry("b", b"2" * 99999)]}, payload, f"v{border}")
            self.assertEqual(self.read("b", f"v{border}"), b"2" * 99999)

    def refused(self, fields: dict, payload: bytes = b"", code: str = "stage"):
        with self.assertRaises(Failure) as caught:
            self.stage(fields, payload)
        self.assertEqual(caught.exception.code, code)
        self.assertEqual(os.listdir(paths.releases("shop")), [])
        return caught.exception.message

    def test_damaged_uploads_are_refused_and_leave_nothing(self):
        one = {"files": [entry("a", b"1")]}
        good = gzip.compress(tar((sha(b"1"), b"1")))
        self.refused(one, b"")
        self.refused(one, good[:-12])
        self.refused(one, b"not gzip at all")
        self.assertIn("another content", self.refused(one, gzip.compress(tar((sha(b"1"), b"2")))))
        self.assertIn("announced", self.refused(one, gzip.compress(tar((sha(b"1"), b"12")))))
        self.assertIn("nobody asked", self.refused(one, gzip.compress(tar((sha(b"3"), b"3")))))
        self.assertIn("lacks 1", self.refused(one, gzip.compress(tar())))

    def test_only_plain_files_named_by_their_content_are_taken(self):
        one = {"files": [entry("a", b"")]}
        self.refused(one, gzip.compress(tar((sha(b""), b""), kind=tarfile.CHRTYPE)))
        self.refused(one, gzip.compress(tar((sha(b""), b""), kind=tarfile.SYMTYPE)))
        self.refused(one, gzip.compress(tar(("../../etc/passwd", b"x"))))

    def test_manifests_that_leave_the_directory_are_refused(self):
        self.refused({"files": [entry("../a", b"1")]}, code="bad-request")
        self.refused({"files": [entry("a", b"1"), entry("a", b"2")]}, code="bad-request")
        self.refused({"files": [{**entry("a", b"1"), "mode": "4755"}]}, code="bad-request")
        self.refused({"links": [{"path": "a", "target": "/etc"}]}, code="bad-request")
        self.refused({"links": [{"path": "a", "target": "b"}, {"path": "a/c", "target": "b"}]})

    def test_links_of_links_cannot_lead_out(self):
        links = [{"path": "a/b/up", "target": "../.."}, {"path": "out", "target": "a/b/up/.."}]
        self.refused({"links": links}, code="bad-request")
