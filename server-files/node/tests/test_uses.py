import json
import unittest

from cloudtool_node.slots import Launch
from cloudtool_node.state import Uses

from .test_state import state


def launch(**more):
    settings = {"services": [{"name": "postgresql", "value": ""}]}
    return Launch("v1", settings, "", {}, [], None, **more)


class WhatAnAppUses(unittest.TestCase):
    def test_what_is_new_is_doomed_until_it_is_used(self):
        app = state()
        new = app.doom_next(["postgresql", "files"], ["postgresql"])
        self.assertEqual(new, Uses({"postgresql": 2, "files": 2}, {"postgresql": 2}))
        self.assertEqual(app.doomed, [("postgresql", 2), ("files", 2)])
        self.assertEqual(app.doomed_logins, [("postgresql", 2)])
        self.assertEqual((app.uses.share("postgresql"), app.uses.login("postgresql")), (1, 1))

    def test_what_was_used_is_doomed_from_then_on(self):
        app = state()
        app.adopt(app.doom_next([], ["postgresql"]))
        self.assertEqual((app.uses.share("postgresql"), app.uses.login("postgresql")), (1, 2))
        self.assertEqual((app.doomed, app.doomed_logins), ([], [("postgresql", 1)]))
        app.adopt(app.doom_next([], ["postgresql"]))
        self.assertEqual(app.doomed_logins, [("postgresql", 1), ("postgresql", 2)])
        app.forget_doomed_login("postgresql", 1)
        self.assertEqual(json.loads(json.dumps(app.fields))["doomed_logins"], [["postgresql", 2]])

    def test_a_number_is_never_used_again(self):
        app = state()
        first = app.doom_next(["files"], ["redis"])
        app.forget_doomed("files", 2)
        self.assertNotEqual(app.doom_next(["files"], ["redis"]), first)

    def test_what_was_there_before_is_used_and_never_made_again(self):
        app = state()
        app.take_up("mysql", 4)
        self.assertEqual((app.uses.share("mysql"), app.doomed), (4, []))
        self.assertEqual(app.doom_next(["mysql"], []).shares, {"mysql": 5})
        app.take_up("redis", 1)
        self.assertEqual(app.doom_next(["redis"], []).shares, {"redis": 6})

    def test_a_copy_of_the_state_changes_by_itself(self):
        app = state()
        planned = app.copy()
        planned.adopt(planned.doom_next(["files"], ["redis"]))
        self.assertEqual((app.uses, app.doomed, app.doomed_logins), (Uses(), [], []))

    def test_a_release_fits_when_its_shares_and_logins_are_those_in_use(self):
        app = state()
        of_an_earlier_version = launch()
        self.assertTrue(of_an_earlier_version.fits(app))
        app.adopt(app.doom_next([], ["postgresql"]))
        self.assertFalse(of_an_earlier_version.fits(app))
        self.assertTrue(launch(shares={"postgresql": 1}, logins={"postgresql": 2}).fits(app))
        app.adopt(app.doom_next(["postgresql"], []))
        self.assertFalse(launch(shares={"postgresql": 1}, logins={"postgresql": 2}).fits(app))
        self.assertTrue(launch(shares={"postgresql": 2}, logins={"postgresql": 2, "redis": 1}).fits(app))


if __name__ == "__main__":
    unittest.main()
