"""What the scripts of several services share: addresses of servers, and how MariaDB's definitions are made again."""

import os
import sys
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path += [f"{ROOT}/server-files/common", f"{ROOT}/services/mysql"]

import definitions  # noqa: E402
import remote  # noqa: E402
import sessions  # noqa: E402


class Addresses(unittest.TestCase):
    def test_an_address_is_taken_apart_and_put_together(self):
        there = {"at": "url", "url": "mysql://the%20shop:a%27b%23%3A@[2001:db8::1]/old.shop?ssl-mode=disabled"}
        found = remote.addressed(there, "a database", ("mysql",), 3306)
        self.assertEqual((found["host"], found["port"], found["user"]), ("2001:db8::1", "3306", "the shop"))
        self.assertEqual((found["password"], found["query"]), ("a'b#:", {"ssl-mode": "disabled"}))
        url = remote.url("mysql", found, found["user"], found["password"], found["database"], {"ca": "/etc/x.pem"})
        self.assertEqual(url, "mysql://the%20shop:a%27b%23%3A@[2001:db8::1]:3306/old.shop?ca=/etc/x.pem")
        with self.assertRaises(SystemExit) as refused:
            remote.addressed({"url": "redis://a:secret@b"}, "a MySQL database", ("mysql",), 3306)
        self.assertNotIn("secret", str(refused.exception))

    def test_a_share_beside_that_of_an_address_has_its_number(self):
        with mock.patch.dict(os.environ, CLOUDTOOL_APP="shop", CLOUDTOOL_SHARE="shop.3"):
            self.assertEqual(remote.database({}), "shop.3")
            self.assertEqual(remote.database({"database": "old.shop"}), "old.shop.3")


class Definitions(unittest.TestCase):
    def test_only_the_definer_changes(self):
        body = "CREATE DEFINER=`a``b`@`127.0.0.1` PROCEDURE `p`()\\nSELECT 'DEFINER=`x`@`y` \\\\'"
        *_, made = definitions.again("PROCEDURE", ["p", "ANSI", body, "utf8mb4", "utf8mb4_bin"], 2)
        said = bytes.fromhex(made.split("X'")[1].partition("'")[0]).decode()
        self.assertEqual(said, "CREATE OR REPLACE PROCEDURE `p`()\nSELECT 'DEFINER=`x`@`y` \\'")
        view = "CREATE ALGORITHM=MERGE DEFINER=`a`@`%` SQL SECURITY DEFINER VIEW `v` AS select 1"
        *_, made = definitions.again("VIEW", ["v", view, "utf8mb4", "utf8mb4_bin"], 1)
        said = bytes.fromhex(made.split("X'")[1].partition("'")[0]).decode()
        self.assertEqual(said, "CREATE OR REPLACE ALGORITHM=MERGE SQL SECURITY DEFINER VIEW `v` AS select 1")

    def test_what_has_no_definer_is_refused(self):
        with self.assertRaises(SystemExit):
            list(definitions.again("VIEW", ["v", "DROP TABLE t", "utf8mb4", "utf8mb4_bin"], 1))


class Sessions(unittest.TestCase):
    def test_this_process_is_one_of_its_user_and_was_not_started_tomorrow(self):
        found = [process.name for process in sessions.processes(os.getuid(), 0)]
        self.assertIn(str(os.getpid()), found)
        self.assertEqual(list(sessions.processes(os.getuid(), 1 << 40)), [])


if __name__ == "__main__":
    unittest.main()
