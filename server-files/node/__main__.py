import sys

from cloudtool_node import session

sys.exit(session.main())
