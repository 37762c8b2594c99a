"""Tests of what the node program decides; what it does is tested on real nodes. Run: python3 -m unittest (in node/)."""
