"""What `doctor` makes of what it sees."""

import unittest
from unittest import mock

from cloudtool_node import app_checks, doctor, node_checks, status
from cloudtool_node.context import Failure

NOW = 1767261600  # 2026-01-01T10:00:00Z


class Checks(unittest.TestCase):
    def test_one_that_cannot_be_made_is_a_finding_and_keeps_no_other(self):
        look = status.Look(None, [])

        def breaks(look, _found):
            look.warn("seen before it broke", "forgotten")
            raise Failure("front", "The front does not answer.", "cloudtool setup-node x")

        def works(look, found):
            look.warn(f"{found} is ill.", "rest")
            return {"text": "looked at"}

        with mock.patch.multiple(app_checks, breaks=breaks, works=works, create=True):
            checks = {"first": ("app_checks", "breaks"), "second": ("app_checks", "works")}
            first, second = doctor.examined(look, checks, "shop")
        broke = {"message": "This could not be looked at: The front does not answer.", "hint": "cloudtool setup-node x"}
        self.assertEqual(first, {"check": "first", "text": None, "findings": [broke]})
        self.assertEqual(
            second,
            {"check": "second", "text": "looked at", "findings": [{"message": "shop is ill.", "hint": "rest"}]},
        )

    def test_every_check_is_there(self):
        for place in [*doctor.NODE_CHECKS.values(), *doctor.APP_CHECKS.values()]:
            self.assertTrue(callable(status.function_of(place)))

    def test_units_of_apps_are_told_with_the_apps(self):
        listed = "nginx.service loaded failed failed web\ncloudtool-boot.service loaded failed failed x\n"
        for of_app in ("app-blue@shop", "command-green@shop", "process@shop.worker.1", "job-shop.nightly.3"):
            listed += f"cloudtool-{of_app}.service loaded failed failed of an app\n"
        self.assertEqual(node_checks.failed_units(listed), ["nginx.service", "cloudtool-boot.service"])

    def test_backups_are_late_after_two_of_their_times(self):
        def late(taken, **plan):
            return app_checks.lateness({"every": None, "at": None, **plan}, taken, NOW)

        self.assertIsNone(late("2026-01-01T08:30:00Z", every=60))
        self.assertEqual(late("2026-01-01T07:00:00Z", every=60), 3)
        self.assertIsNone(late("2025-12-30T11:00:00Z", at="03:00"))
        self.assertEqual(late("2025-12-30T08:00:00Z", at="03:00"), 50)
