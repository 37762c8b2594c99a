import unittest
from unittest import mock

from cloudtool_node import crons, inside, processes
from cloudtool_node.slots import Launch
from cloudtool_node.state import State

PROCESS = {"words": ["rq", "worker"], "count": 2, "memory": 1 << 26, "stop_timeout": 20}
CRON = {"calendar": ["Mon *-*-* 03:15:00"], "timezone": "UTC", "job": {"run": ["x"]}, "concurrency": "forbid"}


def launch(**more) -> Launch:
    runner = {"kind": "wsgi", "file": "app.py", "object": "application"}
    settings = {"runner": runner, "services": [], "env": {}, "drain_timeout": 30, "processes": 2, "threads": 8}
    return Launch("v3", {**settings, **more}, "", {}, [], None)


def app(**more) -> State:
    fields = {"app": "shop", "index": 0, "live": "blue", "slots": {"blue": "v3", "green": None}, "locations": []}
    return State({**fields, **more})


@mock.patch.object(inside, "sandbox", lambda app, slot: [f"User=ct-{app}"])
class Desired(unittest.TestCase):
    def units(self, state, launch):
        return list(processes.Desired(state, launch).drop_ins)

    def test_as_many_as_the_release_or_scale_says(self):
        two = ["cloudtool-process@shop.w.1.service", "cloudtool-process@shop.w.2.service"]
        self.assertEqual(self.units(app(), launch(workers={"w": PROCESS})), two)
        self.assertEqual(self.units(app(scale={"w": 1}), launch(workers={"w": PROCESS})), two[:1])
        self.assertEqual(self.units(app(scale={"w": 0}), launch(workers={"w": PROCESS})), [])
        self.assertEqual(self.units(app(), launch()), [])
        self.assertEqual(self.units(app(), None), [])

    def test_what_they_read(self):
        desired = processes.Desired(app(), launch(workers={"w": PROCESS}))
        self.assertEqual(
            sorted(desired.shared), ["/etc/cloudtool/apps/shop/process.env", "/etc/cloudtool/apps/shop/w.process"]
        )
        self.assertIn('CLOUDTOOL_RELEASE="v3"', desired.shared["/etc/cloudtool/apps/shop/process.env"])
        self.assertNotIn("CLOUDTOOL_SLOT", desired.shared["/etc/cloudtool/apps/shop/process.env"])
        text = desired.drop_ins["cloudtool-process@shop.w.2.service"]
        for line in (
            "Environment=CLOUDTOOL_PROCESS=w.2",
            "MemoryMax=67108864",
            "TimeoutStopSec=20",
            "User=ct-shop",
            "EnvironmentFile=/etc/cloudtool/apps/shop/process.env",
        ):
            self.assertIn(line + "\n", text)

    def test_nothing_works_where_the_app_is_not_or_not_yet(self):
        self.assertTrue(app().at_work)
        for fields in ({"moved_to": "10.0.0.2"}, {"arriving": True}, {"live": None}):
            self.assertFalse(app(**fields).at_work, fields)

    def test_timers(self):
        desired = crons.Desired("shop", launch(crons={"n": CRON}))
        self.assertEqual(desired.timers, {"cloudtool-cron@shop.n.timer": ["OnCalendar=Mon *-*-* 03:15:00 UTC"]})
        told = desired.files["/etc/cloudtool/apps/shop/n.cron"]
        self.assertEqual(told["log"], "/var/log/cloudtool/shop/cron-n.log")
        self.assertTrue(told["once"])
