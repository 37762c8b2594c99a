"""Where an app's shares are: kept with each share, and never changed by a word in app.ini."""

import json
import os
import tempfile
import unittest
from unittest import mock

from cloudtool_node import paths, places
from cloudtool_node.context import Failure

DB1 = {"at": "node:db1", "host": "10.0.0.2", "port": "5432", "borrower": "0123456789abcdef", "certificate": "PEM"}


class Places(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        for name in ("SECRETS", "ETC"):
            patch = mock.patch.object(paths, name, f"{place.name}/{name}")
            patch.start()
            self.addCleanup(patch.stop)
        os.makedirs(paths.service_secrets("shop", "postgresql"))
        os.makedirs(paths.config("shop"))
        gid = mock.patch("cloudtool_node.users.gid", return_value=os.getgid())
        gid.start()
        self.addCleanup(gid.stop)

    def settle(self, found: dict, share: int = 1, live=()):
        places.settle("shop", {"postgresql": share}, set(live), found)

    def test_a_share_elsewhere_is_known_with_its_certificate(self):
        self.settle({"postgresql": DB1})
        known = places.all_of("shop", "postgresql")
        self.assertEqual({**known[1], "certificate": "PEM"}, DB1)
        with open(known[1]["certificate"], encoding="ascii") as file:
            self.assertEqual(file.read(), "PEM")
        told = [{"service": "postgresql", "at": "node:db1", "borrower": DB1["borrower"]}]
        self.assertEqual(places.lenders("shop", ["files", "postgresql"]), told)

    def test_a_new_share_is_where_the_one_before_it_is(self):
        self.settle({"postgresql": DB1}, share=3)
        places.inherit("shop", {"postgresql": 3}, {"postgresql": 4, "files": 4})
        known = places.all_of("shop", "postgresql")
        self.assertEqual(known[3], known[4])
        self.assertEqual(places.all_of("shop", "files"), {})

    def test_what_is_forgotten_is_nobody_s_to_destroy(self):
        self.settle({"postgresql": DB1})
        os.makedirs(paths.service_secrets("shop", "redis"))
        places.forget("shop", ["files", "postgresql", "redis"])
        self.assertEqual(places.lenders("shop", ["postgresql"]), [])
        self.assertFalse(os.path.exists(paths.service_secrets("shop", "postgresql")))
        self.assertTrue(os.path.exists(paths.service_secrets("shop", "redis")), "that is here")

    def test_what_did_not_work_can_be_asked_for_elsewhere(self):
        self.settle({"postgresql": DB1})
        self.settle({})
        self.assertEqual(places.all_of("shop", "postgresql"), {})

    def test_data_are_not_left_behind(self):
        self.settle({"postgresql": DB1})
        places.begun("shop", ["postgresql"], {"postgresql": DB1})
        self.settle({"postgresql": {**DB1, "host": "10.0.0.3"}})
        for found in ({}, {"postgresql": {**DB1, "at": "node:db2"}}):
            with self.assertRaises(Failure) as refused:
                self.settle(found)
            self.assertIn("are on db1, and app.ini says on", refused.exception.message)
        self.assertEqual(places.all_of("shop", "postgresql")[1]["host"], "10.0.0.3")

    def test_data_of_an_app_that_was_always_here_are_here(self):
        with self.assertRaises(Failure) as refused:
            self.settle({"postgresql": DB1}, live=["postgresql"])
        self.assertIn("are on this node, and app.ini says on db1", refused.exception.message)

    def test_an_address_is_a_place_whatever_its_password(self):
        found = places.checked({"x": {"at": "url", "url": "postgresql://me:first@db.test/shop?sslmode=require"}})
        self.assertEqual(found["x"]["at"], "postgresql://db.test:/shop")
        self.assertEqual(places.address("postgresql://me:second@DB.test/shop"), found["x"]["at"])
        self.settle({"postgresql": found["x"]})
        self.assertEqual(places.all_of("shop", "postgresql")[1], found["x"])
        self.assertEqual(places.lenders("shop", ["postgresql"]), [], "nobody has to be told")
        for wrong in (
            "postgresql:///secret",
            "secret",
            "x://a:secret@b:port/c",
        ):
            with self.assertRaises(Failure) as refused:
                places.address(wrong)
            self.assertNotIn("secret", refused.exception.message)

    def test_places_are_told_from_other_values(self):
        for said in ("node:db1", "env:X", "file:~/x", "command:pass x", "postgresql://a@b/c"):
            self.assertTrue(places.is_said(said), said)
        for other in ("", "node:", "node:/exports", "host:/path"):
            self.assertFalse(places.is_said(other), other)

    def test_what_is_no_place_is_refused_and_not_quoted(self):
        for wrong in ([], {"../x": DB1}, {"x": {}}, {"x": {"at": "here"}}, {"x": {**DB1, "port": 5}}, {"x": "secret"}):
            with self.assertRaises(Failure) as refused:
                places.checked(json.loads(json.dumps(wrong)))
            self.assertEqual(refused.exception.message, "elsewhere is not an object of places.")
        self.assertEqual(places.checked({"x": DB1}), {"x": DB1})


if __name__ == "__main__":
    unittest.main()
