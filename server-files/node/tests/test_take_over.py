"""What a second load takes over from the first one: files that are still the same, and nothing else."""

import hashlib
import json
import os
import tempfile
import unittest

from cloudtool_node import trees
from cloudtool_node.context import Context, Writer


class Lines:
    def __init__(self, entries):
        self.entries = entries

    def lines(self):
        return [json.dumps(entry).encode() for entry in self.entries]


class Pack:
    def __init__(self, *contents: bytes):
        self.data = b"".join(len(each).to_bytes(4, "big") + each + bytes(4) for each in contents)

    def read(self, size: int) -> bytes:
        taken, self.data = self.data[:size], self.data[size:]
        return taken


def entry(path: str, content: bytes) -> dict:
    sha256 = hashlib.sha256(content).hexdigest()
    return {"path": path, "mode": 0o640, "mtime": 10**18, "size": len(content), "sha256": sha256}


class TakeOver(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.ctx = Context({}, Writer(os.open(os.devnull, os.O_WRONLY)))
        directory = {"path": "dir", "mode": 0o750, "mtime": 10**18, "directory": True}
        self.entries = [directory, entry("dir/kept", b"kept"), entry("dir/changed", b"old"), entry("gone", b"gone")]

    def load(self, root: str, entries: list, earlier=None) -> trees.Loader:
        os.mkdir(root)
        loader = trees.Loader(self.ctx, root, os.getuid(), os.getgid(), earlier)
        loader.read_tree(Lines(entries))
        return loader

    def first(self) -> list:
        root = f"{self.place.name}/first"
        loader = self.load(root, self.entries)
        loader.read_pack(Pack(b"kept", b"old", b"gone"))
        loader.finish()
        return [root, json.loads(json.dumps(trees.placed(root, loader.entries)))]

    def wanted(self, loader: trees.Loader) -> list:
        return sorted(each["path"] for entries in loader.wanted.values() for each in entries)

    def test_what_is_the_same_is_linked(self):
        earlier = self.first()
        second = self.load(f"{self.place.name}/second", self.entries, earlier)
        self.assertEqual(self.wanted(second), [])
        self.assertEqual(second.finish()["files"], 3)
        with open(f"{self.place.name}/second/dir/kept", "rb") as file:
            self.assertEqual(file.read(), b"kept")

    def test_what_was_changed_here_or_there_is_not(self):
        earlier = self.first()
        with open(f"{earlier[0]}/dir/kept", "r+b") as file:
            file.write(b"KEPT")
        os.utime(f"{earlier[0]}/dir/kept", ns=(10**18, 10**18))
        entries = [*self.entries[:2], entry("dir/changed", b"new"), self.entries[3]]
        second = self.load(f"{self.place.name}/second", entries, earlier)
        self.assertEqual(self.wanted(second), ["dir/changed", "dir/kept"])

    def test_a_link_that_leads_elsewhere_is_not_followed(self):
        earlier = self.first()
        os.rename(f"{earlier[0]}/dir", f"{earlier[0]}/moved")
        os.mkdir(f"{self.place.name}/secrets")
        with open(f"{self.place.name}/secrets/kept", "wb") as file:
            file.write(b"kept")
        os.utime(f"{self.place.name}/secrets/kept", ns=(10**18, 10**18))
        os.symlink(f"{self.place.name}/secrets", f"{earlier[0]}/dir")
        second = self.load(f"{self.place.name}/second", self.entries, earlier)
        self.assertEqual(self.wanted(second), ["dir/changed", "dir/kept"])
