import os

from cloudtool_node import basis, paths, values
from cloudtool_node.context import Failure

from .test_state import WithSecrets, state


class Basis(WithSecrets):
    def refused(self, app, expect) -> str:
        with self.assertRaises(Failure) as caught:
            basis.require(app, expect)
        self.assertEqual(caught.exception.code, "changed")
        return caught.exception.message

    def test_what_was_seen_and_is_still_so_is_fine(self):
        app = state()
        for expect in (None, {}, {"live": "v2"}, basis.of("shop", app), basis.of("shop", app) | {"new": "field"}):
            basis.require(app, expect)

    def test_everything_that_a_release_builds_on_counts(self):
        app = state()
        seen = basis.of("shop", app)
        app.fields["locations"].append("other.com")
        self.assertIn("other locations", self.refused(app, seen))
        app = state()
        app.fields["shares"] = {"postgresql": 2}
        self.assertIn("other data", self.refused(app, seen))
        app = state()
        app.entry("v2")["values"] = "v2"
        self.assertIn("set for it", self.refused(app, seen))
        app.fields["live"] = "green"
        self.assertIn("shop serves v1 now, not v2", self.refused(app, seen))

    def test_which_slot_serves_does_not_count(self):
        app = state()
        seen = basis.of("shop", app)
        app.fields |= {"live": "green", "slots": {"blue": "v1", "green": "v2"}}
        basis.require(app, seen)

    def test_an_app_that_is_not_there_can_have_values(self):
        nowhere = basis.of("shop", None)
        os.makedirs(paths.secrets("shop"))
        values.save("shop", "v0", {"KEY": "hunter22"})
        first = basis.of("shop", None)
        self.assertNotIn("hunter22", str(first))
        os.utime(paths.values("shop", "v0"), ns=(1, 1))
        self.assertEqual(len({str(nowhere), str(first), str(basis.of("shop", None))}), 3)
        # It gets a state before its first release is made, which changes nothing.
        app = state(live=None, blue=None, green=None, locations=(), releases=[{"release": "v1", "result": "failed"}])
        basis.require(app, basis.of("shop", None))
