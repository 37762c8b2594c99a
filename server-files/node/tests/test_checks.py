import unittest
from types import MappingProxyType

from cloudtool_node import checks
from cloudtool_node.context import Failure


class Locations(unittest.TestCase):
    def test_are_compared_in_lower_case_without_empty_segments(self):
        self.assertEqual(checks.location("MyApp.COM"), "myapp.com")
        self.assertEqual(checks.location("myapp.com/Blog//x/"), "myapp.com/Blog/x")
        self.assertEqual(checks.location("*.myapp.com"), "*.myapp.com")

    def test_what_could_leave_the_map_is_refused(self):
        for value in (
            "a b.com",
            "a.com/b c",
            "a.com/..",
            "a.com;x",
            "a.com/x\ny",
            "*.*.com",
            "",
            "a..com",
            "a.com:80",
            None,
        ):
            with self.subTest(value), self.assertRaises(Failure):
                checks.location(value)

    def test_mounts_have_a_depth_the_front_knows(self):
        checks.location("a.com/1/2/3/4/5/6")
        with self.assertRaises(Failure):
            checks.location("a.com/1/2/3/4/5/6/7")


class Paths(unittest.TestCase):
    def test_odd_names_are_just_names(self):
        for value in ("a b", "a\nb", 'it\'s "quoted"', "naïve/☃", "-rf", "a\\b", "..."):
            self.assertEqual(checks.relative_path(value), value)

    def test_what_leaves_the_directory_is_refused(self):
        for value in ("/etc/passwd", "..", "a/../b", "a//b", "./a", "a/", "", "a\0b", "x" * 300, "\udcff", 7):
            with self.subTest(value), self.assertRaises(Failure):
                checks.relative_path(value)

    def test_links_stay_inside(self):
        checks.link_target("static/x", "../y")
        checks.link_target("a/b/c", "../../d")
        for path, target in (("x", "../y"), ("a/x", "../../y"), ("x", "/etc"), ("x", "a/../../y"), ("x", "")):
            with self.subTest(target), self.assertRaises(Failure):
                checks.link_target(path, target)


class Names(unittest.TestCase):
    def test_apps(self):
        for value in ("guest-book2", "my_app", "a-"):
            checks.app_name(value)
        for value in ("", "-a", "_a", "A", "1a", "a" * 29, "a/b", "../a", None, "a\n"):
            with self.subTest(value), self.assertRaises(Failure):
                checks.app_name(value)

    def test_releases(self):
        checks.release_id("v12")
        for value in ("v0", "12", "v1/..", "v", None, "v1\n"):
            with self.subTest(value), self.assertRaises(Failure):
                checks.release_id(value)


class Settings(unittest.TestCase):
    GOOD = MappingProxyType(
        {"platform": "python", "runner": {"kind": "wsgi", "file": "app.py", "object": "application"}}
    )

    def test_defaults_are_filled_in(self):
        found = checks.settings(dict(self.GOOD))
        self.assertEqual((found["processes"], found["threads"], found["memory"]), (2, 8, None))

    def test_wrong_values_are_refused(self):
        wrong = [
            {"platform": "cobol"},
            {"runner": None},
            {"runner": {"kind": "wsgi", "file": "../app.py"}},
            {"php_root": "/etc"},
            {"packages": ["-o=x"]},
            {"health_check": "http://x"},
            {"health_check": "/a b"},
            {"processes": 0},
            {"drain_timeout": 0},
            {"memory": 5},
            {"env": {"A-B": "x"}},
            {"env": {"A": "x\0"}},
            {"env": {"A": "x\ry"}},
            {"update_fetch": [{"script": ["../x"]}]},
            {"update_fetch": [{"fetch": "x"}]},
            {"update_fetch": ["x"]},
        ]
        for change in wrong:
            with self.subTest(change), self.assertRaises(Failure):
                checks.settings({**self.GOOD, **change})
