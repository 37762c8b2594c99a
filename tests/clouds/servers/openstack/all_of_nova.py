"""all_of_nova.py PORT: Nova's API, conductor, scheduler and compute service in one process, without a message queue.

The virtual machines are Nova's own make-believe driver's (`fake.FakeDriver`), and the network is the make-believe Neutron of Nova's
own functional tests. Everything else is what runs in a data centre.
"""

# Nova is told how to behave before it is imported.
# ruff: noqa: E402

import copy
import itertools
import os
import sys

port = int(sys.argv[1])
# Nova reads the command line too.
sys.argv = ["nova-all"]
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"

from nova import monkey_patch

# Before anything else of Nova's: it decides how threads are made.
monkey_patch.patch("threading")

import fixtures
import nova.conf
import os_vif
import waitress
from nova import context, objects, service
from nova.api.openstack import wsgi_app
from nova.compute import rpcapi as compute
from nova.conductor import rpcapi as conductor
from nova.objects import host_mapping
from nova.scheduler import rpcapi as scheduler
from nova.tests.fixtures.neutron import NeutronFixture
from nova.tests.fixtures.nova import DatabaseWriteLock

CONF = nova.conf.CONF


class NoTest:
    """What the fixture needs of the test it believes to be in."""

    def stub_out(self, old, new):
        fixtures.MonkeyPatch(old, new).setUp()

    def flags(self, group=None, **values):
        for key, value in values.items():
            CONF.set_override(key, value, group)

    def addCleanup(self, *_args, **_kwargs):
        """This test never ends."""


class Neutron(NeutronFixture):
    """Gives every port to who asked for it, and an address of its own."""

    numbers = itertools.cycle(range(10, 250))

    def create_port(self, body=None):
        port = self._ports[super().create_port(body)["port"]["id"]]
        port["tenant_id"] = port["project_id"] = body["port"].get("tenant_id")
        address = f"192.168.1.{next(self.numbers)}"
        port["fixed_ips"] = [{"ip_address": address, "subnet_id": self.subnet_1["id"]}]
        return {"port": copy.deepcopy(port)}


wsgi_app.init_global_data(wsgi_app._get_config_files(), "osapi_compute", "nova-all")
objects.register_all()
Neutron.network_1.update(shared=True, subnets=[Neutron.subnet_1["id"]])
Neutron(NoTest()).setUp()
# SQLite has one writer at a time.
DatabaseWriteLock().setUp()
os_vif.initialize()
running = []
for binary, topic in (
    ("nova-conductor", conductor.RPC_TOPIC),
    ("nova-scheduler", scheduler.RPC_TOPIC),
    ("nova-compute", compute.RPC_TOPIC),
):
    running.append(service.Service.create(binary=binary, topic=topic, host=CONF.host))
    running[-1].start()
host_mapping.discover_hosts(context.get_admin_context())
application = wsgi_app.init_application("osapi_compute", "nova-api")
waitress.serve(application, host="127.0.0.1", port=port, threads=6, ident=None)
