import os
import sys


def main() -> int:
    # Run as a file, not as a directory: that spares an import of runpy, which costs as much as a probe.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from cloudtool_node import session

    return session.main()


sys.exit(main())
