"""What `status` makes of certificates and of the end of an access log."""

import unittest

from cloudtool_node import certificate_status, traffic

NOW = 1767261600  # 2026-01-01T10:00:00Z


class Certificates(unittest.TestCase):
    def test_hosts_without_one_are_told_with_the_reason(self):
        def told(kind="auto", unsecured=(), days_left=89, **known):
            known |= {"kind": kind, "unsecured": list(unsecured), "days_left": days_left}
            return [warning["message"] for warning in certificate_status.warnings("shop", known)]

        self.assertEqual(certificate_status.warnings("shop", None), [])
        of_b, of_c = told(unsecured=["b.com", "*.c.com"], elsewhere={"b.com": "the name is not known"})
        self.assertTrue(
            of_b.startswith("shop: b.com has no certificate that browsers trust yet: the name is not known;")
        )
        self.assertTrue("*.c.com" in of_c and of_c.endswith("no authority proves a wildcard by HTTP."))
        self.assertIn("rate limited", told(unsecured=["a.com"], failed={"at": "", "message": "rate limited"})[0])
        self.assertEqual(told(kind="own", days_left=3), ["shop: its certificate ends in 3 days."])


class Traffic(unittest.TestCase):
    def request(self, clock: str, status: int, microseconds: int) -> str:
        said = f'192.0.2.1 - - [2026-01-01T{clock}+0000] "GET /a\\"b HTTP/1.1" {status} 10 "-" "x \\" 500 "'
        return f"{said} {microseconds} shop.test v1"

    def test_the_last_minutes_count(self):
        lines = [self.request("09:54:59", 500, 9_000_000)]
        lines += [self.request("09:55:01", 200, 1000 * number) for number in range(1, 100)]
        lines += ["no request", self.request("09:59:59", 503, 100_000)]
        found = traffic.measure(lines, NOW)
        self.assertEqual((found["requests"], found["errors"], found["per_minute"]), (100, 1, 20.0))
        self.assertEqual((found["p50_ms"], found["p95_ms"]), (51.0, 96.0))
        self.assertEqual(found["last"], "2026-01-01T09:59:59Z")
        self.assertEqual(traffic.measure([], NOW)["p95_ms"], None)

    def test_of_a_busy_app_it_is_what_the_tail_has(self):
        lines = [self.request("09:59:30", 200, 1000)] * 20_000
        found = traffic.measure(lines, NOW)
        self.assertEqual((found["seconds"], found["per_minute"]), (30, 40_000.0))
