import os
import tempfile
import unittest
from unittest import mock

from cloudtool_node import front, paths, prune, slots
from cloudtool_node.state import State, load_all


def state(app="shop", index=0, live="blue", blue="v2", green="v1", locations=("shop.com",), claimed=1, releases=None):
    entries = releases or [
        {"release": release, "result": "kept", "timeout": 60, "digest": release} for release in ("v1", "v2")
    ]
    return State(
        {
            "app": app,
            "index": index,
            "next": 3,
            "live": live,
            "slots": {"blue": blue, "green": green},
            "since": None,
            "by": None,
            "locations": list(locations),
            "claimed": claimed,
            "releases": entries,
        }
    )


class WithSecrets(unittest.TestCase):
    """Tests that keep the secrets of apps in a directory of their own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        patch = mock.patch.object(paths, "SECRETS", directory.name)
        patch.start()
        self.addCleanup(patch.stop)


class Routes(unittest.TestCase):
    def routes(self, *states):
        return front.desired(states)[paths.ROUTES_MAP]

    def test_a_host_brings_www_and_prev(self):
        self.assertEqual(
            self.routes(state()),
            {
                "shop.com/": "20000|0||60000|shop",
                "www.shop.com/": ">shop.com",
                "prev.shop.com/": "20003|0||60000|shop",
            },
        )

    def test_a_mount_brings_no_www(self):
        self.assertEqual(
            self.routes(state(index=1, live="green", locations=["shop.com/a/b"])),
            {"shop.com/a/b/": "20005|2|/a/b|60000|shop", "prev.shop.com/a/b/": "20006|2|/a/b|60000|shop"},
        )

    def test_what_was_asked_for_wins_over_what_follows(self):
        found = self.routes(state(), state("other", 1, locations=["www.shop.com", "prev.shop.com"]))
        self.assertEqual(found["www.shop.com/"], "20004|0||60000|other")
        self.assertEqual(found["prev.shop.com/"], "20004|0||60000|other")

    def test_the_newer_claim_wins_whatever_the_order(self):
        old, new = state(claimed=1), state("other", 1, claimed=2)
        for both in ((old, new), (new, old)):
            self.assertEqual(self.routes(*both)["shop.com/"], "20004|0||60000|other")

    def test_an_app_that_moves_is_held_back_and_then_sent_on_with_its_whole_path(self):
        moving = state(locations=["shop.com/a"])
        moving.held = True
        self.assertEqual(self.routes(moving)["shop.com/a/"], "!|1|/a|60000|shop")
        moved = state(locations=["shop.com/a"])
        moved.fields["moved_to"] = "192.0.2.1"
        self.assertEqual(self.routes(moved)["shop.com/a/"], "@192.0.2.1|0||60000|shop")

    def test_a_disabled_app_has_a_mark_and_those_who_may_pass(self):
        closed = state()
        closed.fields["disabled"] = {"at": "", "by": "", "allow": ["192.0.2.1", "2001:db8::1"]}
        maps = front.desired([closed, state("other", 1, locations=["other.com"])])
        self.assertEqual(maps[paths.ROUTES_MAP]["shop.com/"], "-20000|0||60000|shop")
        self.assertEqual(maps[paths.ROUTES_MAP]["prev.shop.com/"], "-20003|0||60000|shop")
        self.assertEqual(maps[paths.ROUTES_MAP]["other.com/"], "20004|0||60000|other")
        self.assertEqual(maps[paths.ALLOWED_MAP], {"shop/192.0.2.1": "1", "shop/2001:db8::1": "1"})

    def test_an_app_that_sleeps_has_a_mark_and_its_previous_release_has_none(self):
        sleeper = state()
        sleeper.entry("v2").update(idle_stop=60, idle_ignore=["/health", "/a/b/"])
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(paths, "ASLEEP", directory):
            awake = self.routes(sleeper)
            open(f"{directory}/shop", "w").close()
            maps = front.desired([sleeper])
            asleep = maps[paths.ROUTES_MAP]
            sleeper.awake = True
            self.assertEqual(self.routes(sleeper), awake)
        self.assertEqual(awake["shop.com/"], "20000|0||60000|shop|s")
        self.assertEqual(asleep["shop.com/"], "~20000|0||60000|shop|s")
        self.assertEqual(asleep["prev.shop.com/"], "20003|0||60000|shop")
        self.assertEqual(maps[paths.QUIET_MAP], {"shop/health/": "1", "shop/a/b/": "1"})

    def test_a_disabled_app_that_sleeps_has_both_marks(self):
        sleeper = state()
        sleeper.fields["disabled"] = {"at": "", "by": "", "allow": []}
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(paths, "ASLEEP", directory):
            open(f"{directory}/shop", "w").close()
            self.assertEqual(self.routes(sleeper)["shop.com/"], "-~20000|0||60000|shop|s")

    def test_hosts_that_have_a_certificate_are_sent_to_https(self):
        app = state(locations=["shop.com", "shop.net/a"])
        app.entry("v2").update(tls={"kind": "auto", "hsts": 86400})
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(paths, "CERTIFICATES", directory):
            self.assertEqual(self.routes(app)["shop.com/"], "20000|0||60000|shop")
            with open(f"{directory}/shop.json", "w") as file:
                file.write('{"hosts": ["shop.com"]}')
            routes = self.routes(app)
        self.assertEqual(routes["shop.com/"], "20000|0||60000|shop|th|86400")
        self.assertEqual(routes["shop.net/a/"], "20000|1|/a|60000|shop")

    def test_wildcards_have_their_own_map(self):
        maps = front.desired([state(locations=["*.shop.com/x"])])
        self.assertEqual(maps[paths.ROUTES_MAP], {})
        self.assertEqual(maps[paths.WILDCARDS_MAP], {".shop.com/x/": "20000|1|/x|60000|shop"})

    def test_an_app_that_serves_nothing_has_no_route(self):
        self.assertEqual(self.routes(state(live=None, blue=None, green=None)), {})

    def test_without_a_previous_release_there_is_no_prev(self):
        self.assertNotIn("prev.shop.com/", self.routes(state(green=None)))


class Deltas(unittest.TestCase):
    def test_nothing_is_taken_away_before_its_successor_is_there(self):
        found = front.deltas("m", {"a/": "1", "b/": "2", "c/": "3"}, {"a/": "1", "b/": "9", "d/": "4"})
        self.assertEqual(found, ["set map m b/ 9", "add map m d/ 4", "del map m c/"])


class Releases(unittest.TestCase):
    def test_numbers_are_never_used_again(self):
        found = state()
        found.record({"release": "v3", "result": "failed"})
        self.assertEqual(found.next_release(), "v4")

    def test_the_history_forgets_what_is_gone_but_never_what_is_here(self):
        found = state()
        for number in range(3, 200):
            found.record({"release": f"v{number}", "result": "failed"})
        self.assertEqual(len(found.releases), 50)
        self.assertEqual(found.kept, ["v1", "v2"])

    def test_pruning_spares_the_live_the_previous_and_the_newest(self):
        entries = [{"release": f"v{number}", "result": "kept", "timeout": 60} for number in range(1, 9)]
        found = state(blue="v8", green="v2", releases=entries)
        self.assertEqual(prune.beyond(found, 5), ["v1", "v3", "v4"])
        self.assertEqual(prune.beyond(found, 2), ["v1", "v3", "v4", "v5", "v6", "v7"])

    def test_results(self):
        found = state()
        found.record({"release": "v3", "result": "failed"})
        self.assertEqual([found.result(entry) for entry in found.releases], ["previous", "live", "failed"])


class EnvironmentFile(unittest.TestCase):
    def test_what_systemd_would_interpret_is_escaped(self):
        self.assertEqual(slots.environment_file({"A": "a\"b\\c$d`e'f%g\nh"}), 'A="a\\"b\\\\c\\$d\\`e\'f%g\nh"\n')


class AllStates(unittest.TestCase):
    def test_only_what_changed_is_read_again(self):
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(paths, "STATES", directory):
            state("a", 0).save()
            changing = state("b", 1)
            changing.save()
            first, second = load_all()
            changing.set_locations(["b.com"])
            changing.save()
            again, changed = load_all()
            self.assertIs(again, first)
            self.assertEqual((second.locations, changed.locations), (["shop.com"], ["b.com"]))
            os.unlink(paths.state("a"))
            self.assertEqual([found.app for found in load_all()], ["b"])
