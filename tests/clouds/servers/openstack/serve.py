"""serve.py MODULE PORT: serves the WSGI application of one of OpenStack's modules on the loopback."""

import importlib
import sys

import waitress

module, port = sys.argv[1], int(sys.argv[2])
# The services read the command line too.
del sys.argv[1:]
waitress.serve(importlib.import_module(module).application, host="127.0.0.1", port=port, threads=8, ident=None)
