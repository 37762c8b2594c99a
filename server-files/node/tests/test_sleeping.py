import unittest

from cloudtool_node import front, sleeping

TABLE = """# table: visits, type: string, size:102400, used:2
0x55: key=shop use=0 exp=89940000
0x56: key=news use=2 exp=90000000 shard=0
"""


class Idle(unittest.TestCase):
    def test_the_table_of_the_front_tells_when_somebody_asked_and_whether_a_request_runs(self):
        self.assertEqual(front.visits_in(TABLE), {"shop": (60.0, False), "news": (0.0, True)})

    def test_the_last_visit_counts(self):
        self.assertTrue(sleeping.is_idle(60, (60.0, False), up=9e9, runs=9e9))
        self.assertFalse(sleeping.is_idle(60, (59.9, False), up=9e9, runs=9e9))

    def test_a_request_that_runs_keeps_it_awake(self):
        self.assertFalse(sleeping.is_idle(60, (3600.0, True), up=9e9, runs=9e9))

    def test_one_that_was_just_started_is_not_idle(self):
        self.assertFalse(sleeping.is_idle(60, (3600.0, False), up=9e9, runs=5))

    def test_a_front_that_knows_of_no_visit_may_have_forgotten_one(self):
        self.assertFalse(sleeping.is_idle(60, None, up=5, runs=9e9))
        self.assertTrue(sleeping.is_idle(60, None, up=61, runs=61))
