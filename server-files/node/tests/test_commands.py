import glob
import os
import unittest

from cloudtool_node import firewall, inside

SYSTEMD = os.path.join(os.path.dirname(__file__), "../../systemd")


class Sandboxes(unittest.TestCase):
    def test_all_that_runs_as_an_app_is_in_the_same_one(self):
        texts = {}
        for path in glob.glob(f"{SYSTEMD}/cloudtool-app-*") + glob.glob(f"{SYSTEMD}/cloudtool-command-*"):
            with open(path) as file:
                texts[path] = file.read().partition(inside.SANDBOX)[2]
        self.assertEqual(len(texts), 4)
        self.assertEqual(len(set(texts.values())), 1)
        self.assertIn("User=ct-%i", next(iter(texts.values())))


class OwnPorts(unittest.TestCase):
    def test_of_every_app_and_of_nobody_else(self):
        pairs = firewall.own_ports().split(", ")
        self.assertEqual((pairs[0], pairs[1], pairs[2]), ("61000 . 14000", "61000 . 14001", "61001 . 14002"))
        self.assertEqual(pairs[-1], "63999 . 19999")
        self.assertEqual(len(set(pairs)), 6000)
