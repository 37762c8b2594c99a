import json
import os
import unittest
from unittest import mock
from urllib.parse import quote

from cloudtool_node import paths, values, written
from cloudtool_node.context import Context, Failure, Writer

from .test_state import WithSecrets, state


def entry(release, version, result="kept"):
    return {"release": release, "result": result, "values": version}


class Versions(WithSecrets):
    def made(self, *entries, **more):
        app = state(releases=list(entries), **more)
        for found in entries:
            if found["values"] and found["result"] != "failed":
                os.makedirs(paths.secrets("shop"), exist_ok=True)
                values.save("shop", found["values"], {"A": found["values"]})
        return app

    def test_the_next_release_has_those_of_the_one_that_serves(self):
        app = self.made(entry("v1", None), entry("v2", "v2"), blue="v1", green="v2")
        self.assertIsNone(values.current(app))
        app.fields["live"] = "green"
        self.assertEqual(values.load("shop", values.current(app)), {"A": "v2"})

    def test_history_has_the_changes_that_served(self):
        app = self.made(
            entry("v1", None), entry("v2", "v2"), entry("v3", "v2"), entry("v4", "v4", "failed"), entry("v5", None)
        )
        found = [(it["release"], before) for it, before in values.versions(app)]
        self.assertEqual(found, [("v5", "v2"), ("v2", None)])

    def test_what_nothing_can_go_back_to_is_forgotten(self):
        app = self.made(entry("v1", "v1"), entry("v2", "v2"))
        values.save("shop", "v9", {"left": "by a kill"})
        values.forget(app)
        self.assertEqual(values.load("shop", "v9"), {})
        self.assertEqual(values.load("shop", "v1"), {"A": "v1"})

    def test_an_app_that_comes_back_finds_them(self):
        app = self.made(entry("v1", "v1"), entry("v2", "v2"))
        values.keep_for_later(app)
        values.forget(state(live=None, releases=[entry("v1", None, "failed")]))
        self.assertEqual(values.load("shop", values.current(state(live=None, releases=[]))), {"A": "v2"})

    def test_what_is_required_may_have_a_default(self):
        settings = {"config": {"required": ["A", "B", "C"], "default": {"B": "b"}}}
        self.assertEqual(values.missing(settings, {"A": ""}), ["C"])
        self.assertEqual(values.missing({}, {}), [])
        with self.assertRaisesRegex(Failure, "shop needs C to be set"):
            values.require("shop", settings, {"A": ""})


class Checks(unittest.TestCase):
    def refused(self, given):
        with self.assertRaises(Failure) as caught:
            values.check(given)
        return caught.exception.message

    def test_what_a_variable_can_hold(self):
        fine = {"A": "two\nlines\t$(x) `y` \"'\\ é", "_b": "", "C": "x" * values.LARGEST}
        self.assertEqual(values.check(fine), fine)
        self.assertEqual(values.check(None), {})

    def test_what_is_refused_is_not_repeated(self):
        for name, value in [
            ("A", "secret\0"),
            ("A", "secret\r\n"),
            ("A", "secret\udcff"),
            ("A", "secret" * 200_000),
            ("A-B", "secret"),
            ("1", "secret"),
            ("PATH", "secret"),
            ("CONFIG_PG_PASSWORD", "secret"),
            ("CLOUDTOOL_X", "secret"),
            ("A", 5),
        ]:
            self.assertNotIn("secret", self.refused({name: value}))
        with self.assertRaisesRegex(Failure, "All values together have"):
            values.check_together({f"A{n}": "x" * values.LARGEST for n in range(9)})


class Redaction(unittest.TestCase):
    def test_what_is_set_is_not_told_but_results_say_what_they_say(self):
        said = []
        out = mock.Mock(spec=Writer)
        out.write = lambda event: said.append(event)
        ctx = Context({"verb": "config", "by": "me"}, out)
        self.addCleanup(ctx.close)
        ctx.setting("shop.example")
        ctx.setting("shop.example.com")
        ctx.log("hook", "at shop.example.com")
        ctx.event("result", locations=["shop.example.com"])
        self.assertEqual([it.get("line") or it["locations"] for it in said], ["at ***", ["shop.example.com"]])
        self.assertEqual(ctx.redacted({"details": "shop.example"}), {"details": "***"})

    def test_a_value_is_found_however_programs_write_it(self):
        ctx = Context({"verb": "config", "by": "me"}, mock.Mock(spec=Writer))
        self.addCleanup(ctx.close)
        value = 'p4ss/w"rd ü\\\nand a second line'
        ctx.setting(value)
        printed = [value, repr(value), json.dumps(value), f"https://a:{quote(value, safe='')}@b/"]
        for text in [*printed, "its line: and a second line"]:
            self.assertNotRegex(ctx.redacted(text), "p4ss|second", text)
            # Apache doubles backslashes, and escapes what is not ASCII.
            logged = text.replace("\\", "\\\\").replace("\n", "\\n").replace("ü", "\\xc3\\xbc")
            self.assertNotRegex(ctx.redacted(logged), "p4ss|second", logged)
        self.assertEqual(written.forms("0123abcdef"), {"0123abcdef"})


if __name__ == "__main__":
    unittest.main()
