"""What Apache Libcloud sees of a server: nodes, sizes and images, as JSON.

libcloud_view.py ec2|eucalyptus HOST PORT PATH   the credentials are in the environment
"""

import json
import os
import sys
import urllib.request

import libcloud.compute.drivers.ec2
from libcloud.compute.providers import get_driver

# The server's namespace has no slash at its end; libcloud finds nothing in any other but its own.
libcloud.compute.drivers.ec2.NAMESPACE = libcloud.compute.drivers.ec2.NAMESPACE.rstrip("/")


def connect(kind, host, port, path):
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    driver = get_driver(kind)
    if kind == "eucalyptus":
        # The version that the server's sizes are of.
        return driver(key, secret, secure=False, host=host, port=int(port), path=path, api_version="3.4.1")
    # Without it, it signs with version 2, and the server takes that for something else.
    return driver(key, secret, secure=False, host=host, port=int(port), signature_version="4")


def node(node):
    return {"id": node.id, "name": node.name, "state": str(node.state), "public_ips": node.public_ips}


def check_signatures(host, port, calls):
    """The server checks none of so many calls: of a form in a query, which is all libcloud sends, it expects a wrong one."""
    address = f"http://{host}:{port}/moto-api/reset-auth"
    request = urllib.request.Request(address, str(calls).encode(), {"content-type": "text/plain"})
    urllib.request.urlopen(request).close()


def main(kind, host, port, path):
    if kind == "ec2":
        check_signatures(host, port, 1000)
    driver = connect(kind, host, port, path)
    sizes = [{"id": size.id, "ram": size.ram, "price": size.price} for size in driver.list_sizes()]
    images = [{"id": image.id, "name": image.name} for image in driver.list_images()]
    print(json.dumps({"nodes": [node(one) for one in driver.list_nodes()], "sizes": sizes, "images": images}))
    if kind == "ec2":
        check_signatures(host, port, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
