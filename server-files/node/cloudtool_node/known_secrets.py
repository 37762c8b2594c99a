"""All that the node knows of an app and that must not leave it: passwords, keys, what was set for it, its environment."""

import json

from . import files, paths, service_folders, services, slots, values
from .context import Failure

NODE = "_node"
# What says where something is; the rest of what a service keeps in JSON is how to get in.
OPEN = {"at", "host", "port", "from", "node", "borrower"}
# Of a store of backups.
OF_STORES = ("access_key", "secret_key", "key")


def tell(ctx, app: str) -> None:
    """From now on none of them is in an event, nor in what `ctx.redacted` gives."""
    for text in [*of_services(app), *of_stores(app), files.read(paths.app_secret(app)) or ""]:
        ctx.secret(text.strip())
        ctx.secrets_in(text)
    for text in of_settings(app):
        ctx.setting(text)
        ctx.secrets_in(text)


def of_settings(app: str) -> list[str]:
    """Whatever was set for the app in any version, and its environment in any release."""
    found = []
    for name in files.names(paths.all_values(app)):
        found += values.load(app, name.removesuffix(".json")).values()
    for name in files.names(paths.launches(app)):
        if launch := slots.load_launch(app, name.removesuffix(".json")):
            found += launch.settings["env"].values()
    return found


def of_services(app: str) -> list[str]:
    found = []
    for name in files.names(paths.launches(app)):
        if launch := slots.load_launch(app, name.removesuffix(".json")):
            found += [launch.variables.get(secret, "") for secret in launch.secret_names]
    for owner in (app, NODE):
        for service in files.names(paths.secrets(owner)):
            if not service.startswith("."):
                found += kept(paths.service_secrets(owner, service))
    for name in services.installed():
        try:
            service = service_folders.load(name)
        except Failure:
            continue
        set_here = json.loads(files.read(f"{paths.SERVICE_SETTINGS}/{name}.json") or "{}")
        found += [str(value) for key, value in set_here.items() if key in service.secrets or "@" in str(value)]
    return found


def kept(directory: str) -> list[str]:
    """What a service keeps there: a password a file, or JSON."""
    found = []
    for name in files.names(directory):
        try:
            text = files.read(f"{directory}/{name}") or ""
        except (OSError, UnicodeDecodeError):
            continue
        found += leaves(json.loads(text)) if name.endswith(".json") else [text]
    return found


def leaves(value, key: str = "") -> list[str]:
    if isinstance(value, dict):
        return [text for name, item in value.items() for text in leaves(item, name)]
    if isinstance(value, list):
        return [text for item in value for text in leaves(item, key)]
    return [value] if isinstance(value, str) and key not in OPEN else []


def of_stores(app: str) -> list[str]:
    plan = json.loads(files.read(paths.backup_plan(app)) or "{}")
    return [str((plan.get("store") or {}).get(name) or "") for name in OF_STORES]
