"""libcloud_lists.py DRIVER ARGUMENTS: what Apache Libcloud sees of a cloud, to be compared with what our driver sees.

DRIVER is libcloud's name of one, ARGUMENTS is a JSON object with `positional` and `named` ones. Prints a JSON object of three lists:
`nodes` as [id, name, state], `sizes` as [id, name, memory in MB], `images` as [id, name].
"""

import json
import sys

from libcloud.compute.providers import get_driver

name, arguments = sys.argv[1], json.loads(sys.argv[2])
driver = get_driver(name)(*arguments["positional"], **arguments["named"])
# Its `list_sizes` asks for the first page only; this is how its other lists get all of them.
pages = driver._paginated_request("/flavors/detail", "flavors", driver.connection)
sizes = driver._to_sizes(pages)
# It lists images without data too, of which no machine can be made.
images = [image for image in driver.list_images() if image.extra["status"].lower() == "active"]
lists = {
    "nodes": [[node.id, node.name, str(node.state)] for node in driver.list_nodes()],
    "sizes": [[size.id, size.name, size.ram] for size in sizes],
    "images": [[image.id, image.name] for image in images],
}
print(json.dumps({kind: sorted(items) for kind, items in lists.items()}))
