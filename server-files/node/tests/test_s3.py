"""The signature of requests to S3, held to the vectors that Amazon publishes in its documentation of Signature Version 4."""

import hashlib
import unittest

from cloudtool_node.s3 import sign

KEY = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOTHING = hashlib.sha256(b"").hexdigest()


def signature(method, path, query, headers, digest=NOTHING):
    base = {"host": "examplebucket.s3.amazonaws.com", "x-amz-content-sha256": digest, "x-amz-date": "20130524T000000Z"}
    signed = sign(method, path, query, {**base, **headers}, digest, *KEY, "us-east-1", "s3")
    return signed["authorization"].rpartition("Signature=")[2]


class Vectors(unittest.TestCase):
    def test_get_of_a_range(self):
        found = signature("GET", "/test.txt", "", {"range": "bytes=0-9"})
        self.assertEqual(found, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")

    def test_put(self):
        digest = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
        headers = {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
        found = signature("PUT", "/test%24file.text", "", headers, digest)
        self.assertEqual(found, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")

    def test_queries(self):
        found = signature("GET", "/", "lifecycle=", {})
        self.assertEqual(found, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
        found = signature("GET", "/", "max-keys=2&prefix=J", {})
        self.assertEqual(found, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")


if __name__ == "__main__":
    unittest.main()
