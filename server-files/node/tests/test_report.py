"""What a report says has changed, what is kept of a failure, and which secrets are known."""

import json
import os
import tempfile
import unittest
from unittest import mock

from cloudtool_node import changes, failures, files, known_secrets, paths
from cloudtool_node.context import Context, Writer

NO_SETTINGS = {"settings": {}}


def manifest(**contents):
    return {"files": [{"path": path, "sha256": sha, "mode": "0644", "size": 1} for path, sha in contents.items()]}


class Changes(unittest.TestCase):
    def test_files_and_settings_are_named(self):
        old = {"manifest": manifest(a="1", b="1", gone="1"), "settings": {"env": {"A": "1", "B": "x"}, "threads": 8}}
        new = {"manifest": manifest(a="1", b="2", made="1"), "settings": {"env": {"A": "2", "B": "x"}, "threads": 4}}
        found = changes.difference(old, new)
        expected = {"added": ["made"], "changed": ["b"], "removed": ["gone"], "settings": ["env.A", "threads"]}
        self.assertEqual(found, expected)
        self.assertNotIn("x", json.dumps(found))

    def test_of_many_some_are_named(self):
        many = {f"f{number:03}": "1" for number in range(changes.MOST + 7)}
        added = changes.difference({}, {"manifest": manifest(**many), **NO_SETTINGS})["added"]
        self.assertEqual((len(added), added[-1]), (changes.MOST + 1, "... and 7 more"))


class Kept(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = directory.name
        for name in ("FAILURES", "STATES", "SECRETS", "ETC", "SERVICE_SETTINGS", "INSTALLED_SERVICES"):
            patch = mock.patch.object(paths, name, f"{self.root}/{name}")
            patch.start()
            self.addCleanup(patch.stop)

    def context(self, **request):
        ctx = Context({"by": "me", **request}, mock.Mock(spec=Writer))
        self.addCleanup(ctx.close)
        return ctx

    def test_a_failure_is_kept_unless_it_says_nothing(self):
        os.makedirs(paths.STATES)
        ctx = self.context(verb="config", app="shop", set={"KEY": "a secret value"})
        failures.keep(ctx, {"code": "busy", "message": "Somebody is at it."})
        self.assertIsNone(failures.load("shop"))
        failures.keep(ctx, {"code": "health-check", "message": "It does not serve."})
        kept = failures.load("shop")
        self.assertEqual((kept["verb"], kept["error"]["code"]), ("config", "health-check"))
        self.assertEqual(kept["changed"], {"from": None, "set": ["KEY"], "unset": []})
        self.assertNotIn("a secret value", json.dumps(kept))
        failures.keep(self.context(verb="deploy", app="../x"), {"code": "disk"})
        self.assertEqual(os.listdir(paths.FAILURES), ["shop.json"])

    def test_what_a_service_keeps_is_secret_but_for_where_it_is(self):
        for name, text in {
            "password": "hidden-one\n",
            "elsewhere.2.json": json.dumps(
                {"at": "node:db1", "host": "db.internal", "owner": {"password": "hidden-two"}}
            ),
        }.items():
            os.makedirs(paths.service_secrets("shop", "postgresql"), exist_ok=True)
            files.write(f"{paths.service_secrets('shop', 'postgresql')}/{name}", text)
        os.makedirs(paths.all_values("shop"))
        files.write(paths.values("shop", "v1"), json.dumps({"URL": "https://me:hidden-three@example.com/"}))
        ctx = self.context(verb="report", app="shop")
        known_secrets.tell(ctx, "shop")
        said = "at db.internal (node:db1): hidden-one hidden-two hidden-three"
        self.assertEqual(ctx.redacted(said), "at db.internal (node:db1): *** *** ***")
