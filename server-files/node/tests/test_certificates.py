import unittest

from cloudtool_node import certificates

DAY = 86400


class Wanted(unittest.TestCase):
    def test_every_host_once_and_the_www_of_whole_hosts(self):
        locations = ["a.com", "b.com/x", "b.com/y", "*.c.com", "www.d.com"]
        self.assertEqual(certificates.hosts(locations), ["a.com", "b.com", "www.d.com", "www.a.com"])

    def test_where_no_host_leads_here_those_are_tried_that_may(self):
        unknown, nobody, another = (
            "the name is not known",
            f"{certificates.NOBODY} (timed out)",
            "another server answers there",
        )
        wanted = ["a.com", "b.com", "c.com"]
        self.assertEqual(certificates.candidates(wanted, {"b.com": nobody}), ["a.com", "c.com"])
        self.assertEqual(
            certificates.candidates(wanted, {"a.com": unknown, "b.com": nobody, "c.com": another}), ["b.com"]
        )
        self.assertEqual(certificates.candidates(wanted, dict.fromkeys(wanted, unknown)), [])


class Refused(unittest.TestCase):
    def test_the_words_of_the_authority_are_told(self):
        log = [
            "  + ERROR: a post-request failed (Status 400)",
            "Details:",
            '{"type": "x", "detail": "The \\"account\\" is gone"}',
        ]
        self.assertEqual(certificates.reason(log), 'The "account" is gone')
        self.assertEqual(certificates.reason(log[:1]), "+ ERROR: a post-request failed (Status 400)")
        self.assertEqual(certificates.reason(["timed out"]), "timed out")


class Settled(unittest.TestCase):
    KNOWN = {"hosts": ["a.com", "www.a.com"], "ends": 100 * DAY}

    def test_one_that_covers_all_hosts_and_is_good_for_a_month(self):
        self.assertTrue(certificates.is_settled(self.KNOWN, ["a.com"], 69 * DAY))
        self.assertFalse(certificates.is_settled(self.KNOWN, ["a.com"], 71 * DAY))
        self.assertFalse(certificates.is_settled(self.KNOWN, ["a.com", "b.com"], 0))
        self.assertFalse(certificates.is_settled({}, ["a.com"], 0))

    def test_after_a_refusal_the_authority_is_left_alone_for_an_hour_unless_the_hosts_are_others(self):
        known = {"failed": {"at": "1970-01-01T10:00:00Z", "hosts": ["a.com"]}}
        self.assertTrue(certificates.is_resting(known, ["a.com"], 10 * 3600 + 3599))
        self.assertFalse(certificates.is_resting(known, ["a.com"], 11 * 3600))
        self.assertFalse(certificates.is_resting(known, ["a.com", "b.com"], 10 * 3600))
        self.assertFalse(certificates.is_resting({}, ["a.com"], 0))
