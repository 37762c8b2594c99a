import copy
import unittest

from cloudtool_node.context import Failure
from cloudtool_node.deploy import Order

ORDER = {
    "verb": "deploy",
    "by": "eve@laptop",
    "program": "0" * 16,
    "app": "shop",
    "digest": "0" * 64,
    "note": "a note",
    "expect": {"live": "v3"},
    "force": False,
    "locations": ["shop.example.com/x"],
    "settings": {
        "platform": "python",
        "runner": {"kind": "wsgi", "file": "app.py", "object": "application"},
        "php_root": None,
        "packages": ["hello"],
        "requirements": "requirements.txt",
        "services": [{"name": "files", "value": "x"}],
        "update_fetch": [{"fetch": "/sync"}, {"script": ["bin/x", "y"]}],
        "health_check": "/",
        "health_timeout": 30,
        "processes": 2,
        "threads": 8,
        "memory": 1 << 28,
        "request_timeout": 60,
        "drain_timeout": 30,
        "env": {"A": "b"},
        "workers": {"worker": {"words": ["rq", "x"], "count": 2, "memory": None, "stop_timeout": 30}},
        "crons": {
            "a": {
                "calendar": ["Mon *-*-* *:00,30:00"],
                "timezone": "UTC",
                "job": {"run": ["x"]},
                "concurrency": "allow",
            },
            "b": {"calendar": ["*-*-* 00/6:00:00"], "timezone": None, "job": {"fetch": "/"}, "concurrency": "forbid"},
        },
    },
    "slot_conf": "ServerName localhost",
    "manifest": {
        "files": [{"path": "a", "mode": "0644", "size": 1, "sha256": "0" * 64}],
        "links": [{"path": "l", "target": "a"}],
        "dirs": ["d"],
    },
    "service_settings": {"couchdb": {"url": "http://x"}},
    "own_services": {"queue": {"provision": "IyEvYmluL3NoCg=="}},
    "keep": 5,
}
ODD = [
    None,
    True,
    -1,
    1e300,
    1 << 70,
    "",
    "../../x",
    "nul\0",
    "\ud800",
    "\n;$(id)`id`%n",
    [],
    {},
    [[1]],
    [None],
    {"a": []},
]


class Orders(unittest.TestCase):
    def test_a_good_one_is_taken(self):
        self.assertEqual(Order(copy.deepcopy(ORDER)).app, "shop")

    def test_no_odd_value_anywhere_is_more_than_refused(self):
        """Taken, or refused as a bad request: never an exception that nobody thought of."""
        refused = 0
        command = copy.deepcopy(ORDER)
        command["settings"] |= {"platform": "command", "runner": {"kind": "command", "words": ["node", "$PORT"]}}
        for good, path in [(good, path) for good in (ORDER, command) for path in paths(good)]:
            for value in ODD:
                with self.subTest(path=path, value=value):
                    order = copy.deepcopy(good)
                    place = order
                    for key in path[:-1]:
                        place = place[key]
                    place[path[-1]] = value
                    try:
                        Order(order)
                    except Failure as failure:
                        self.assertEqual(failure.code, "bad-request")
                        refused += 1
        self.assertGreater(refused, 400)


def paths(value, above=()):
    """Every place in a JSON document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*above, key)
        yield from paths(child, (*above, key))
