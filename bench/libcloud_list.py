"""libcloud_list.py DRIVER ARGUMENTS LIST: what Apache Libcloud takes for one list of a cloud. Runs with a Python that has it.

DRIVER is libcloud's name of a cloud, ARGUMENTS a JSON object with `positional` and `named` ones, LIST is nodes, sizes or images, or for EC2
types: what its own request of DescribeInstanceTypes takes, which list_sizes does not send.
"""

import json
import sys

import libcloud.compute.drivers.ec2
from libcloud.compute.providers import get_driver

name, arguments, what = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
# The test server's namespace has no slash at its end; libcloud finds nothing in any other but its own.
libcloud.compute.drivers.ec2.NAMESPACE = libcloud.compute.drivers.ec2.NAMESPACE.rstrip("/")
driver = get_driver(name)(*arguments["positional"], **arguments["named"])
if what == "types":
    print(len(driver.connection.request(driver.path, params={"Action": "DescribeInstanceTypes"}).object))
else:
    print(len(getattr(driver, f"list_{what}")()))
