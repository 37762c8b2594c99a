"""Every path of a node (docs/architecture.md, "The node's files") in one place."""

PROGRAM = "/usr/local/lib/cloudtool"
VERSION = f"{PROGRAM}/VERSION"
SERVICES = f"{PROGRAM}/services"

APPS = "/srv/cloudtool/apps"
ETC = "/etc/cloudtool"
FIREWALL_RULES = f"{ETC}/firewall.d"
FRONT = f"{ETC}/front"
ROUTES_MAP = f"{FRONT}/routes.map"
WILDCARDS_MAP = f"{FRONT}/wildcards.map"
ALLOWED_MAP = f"{FRONT}/allowed.map"
QUIET_MAP = f"{FRONT}/quiet.map"
MAINTENANCE = f"{FRONT}/maintenance"
CHALLENGES = f"{FRONT}/challenges"
TLS = f"{ETC}/tls"
# No app has such a name.
NODE_PEM = f"{TLS}/_node.pem"
CERTIFICATE_LIST = f"{TLS}/list"
SERVICE_SETTINGS = f"{ETC}/services"
FRONT_SOCKET = "/run/haproxy/cloudtool.sock"

VAR = "/var/lib/cloudtool"
STATES = f"{VAR}/apps"
LENT = f"{VAR}/lent"
MANIFESTS = f"{VAR}/manifests"
SECRETS = f"{VAR}/secrets"
INSTALLED_SERVICES = f"{VAR}/services"
OWN_SERVICES = f"{VAR}/own-services"
LOCKS = f"{VAR}/locks"
BACKUPS = f"{VAR}/backups"
SNAPSHOTS = f"{VAR}/snapshots"
COPIES = f"{VAR}/copies"
ACME = f"{VAR}/acme"
CERTIFICATES = f"{VAR}/certificates"
ASLEEP = f"{VAR}/asleep"
CRONS = f"{VAR}/crons"
FAILURES = f"{VAR}/failures"
AUDIT_LOG = f"{VAR}/audit.log"
LOGS = "/var/log/cloudtool"
RUN = "/run/cloudtool"
IDLE_TIMER = "cloudtool-idle.timer"
UNITS = "/etc/systemd/system"
UNIT_PROPERTIES = "/etc/systemd/system.control"
LOGROTATE = "/etc/logrotate.d"


def program_version() -> str:
    try:
        with open(VERSION) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def app(name: str) -> str:
    return f"{APPS}/{name}"


def releases(name: str) -> str:
    return f"{APPS}/{name}/releases"


def release(name: str, release_id: str) -> str:
    return f"{APPS}/{name}/releases/{release_id}"


def venvs(name: str) -> str:
    return f"{APPS}/{name}/venvs"


def data(name: str) -> str:
    return f"{APPS}/{name}/data"


def config(name: str) -> str:
    return f"{ETC}/apps/{name}"


def slot_conf(name: str, slot: str) -> str:
    return f"{ETC}/apps/{name}/{slot}.conf"


def slot_env(name: str, slot: str) -> str:
    return f"{ETC}/apps/{name}/{slot}.env"


def slot_command(name: str, slot: str) -> str:
    """What runtime/launch.py runs behind the slot's Apache."""
    return f"{ETC}/apps/{name}/{slot}.command"


def process_file(name: str, process: str) -> str:
    """What runtime/launch.py runs as a process of the app."""
    return f"{ETC}/apps/{name}/{process}.process"


def process_env(name: str) -> str:
    return f"{ETC}/apps/{name}/process.env"


def cron_file(name: str, cron: str) -> str:
    """What is done when the time of a cron job has come."""
    return f"{ETC}/apps/{name}/{cron}.cron"


def crons(name: str) -> str:
    """What came of an app's cron jobs."""
    return f"{CRONS}/{name}"


def cron_record(name: str, cron: str) -> str:
    return f"{CRONS}/{name}/{cron}.json"


def failure(name: str) -> str:
    """What went wrong last with an app."""
    return f"{FAILURES}/{name}.json"


def slot_port(name: str, slot: str) -> str:
    return f"{ETC}/apps/{name}/{slot}.port"


def app_secret(name: str) -> str:
    return f"{ETC}/apps/{name}/secret"


def asleep(name: str) -> str:
    """There while the app sleeps."""
    return f"{ASLEEP}/{name}"


def certificate(name: str) -> str:
    """Key and chain, as HAProxy wants them."""
    return f"{TLS}/{name}.pem"


def certificate_record(name: str) -> str:
    """What is known of it, and why there is none."""
    return f"{CERTIFICATES}/{name}.json"


def certificate_service(name: str) -> str:
    return f"cloudtool-certificate@{name}.service"


def maintenance_page(name: str) -> str:
    return f"{MAINTENANCE}/{name}.html"


def state(name: str) -> str:
    return f"{STATES}/{name}.json"


def manifests(name: str) -> str:
    return f"{MANIFESTS}/{name}"


def manifest(name: str, release_id: str) -> str:
    return f"{MANIFESTS}/{name}/{release_id}.json"


def secrets(name: str) -> str:
    return f"{SECRETS}/{name}"


def service_secrets(name: str, service: str) -> str:
    return f"{SECRETS}/{name}/{service}"


def borrowed(name: str) -> str:
    """There while other nodes let in a copy that is not begun yet."""
    return f"{SECRETS}/{name}/.borrowed"


def elsewhere(name: str, service: str, share: int) -> str:
    """Where a share is that is not on this node, and how to get there. It holds secrets."""
    return f"{SECRETS}/{name}/{service}/elsewhere.{share}.json"


def launches(name: str) -> str:
    return f"{SECRETS}/{name}/.releases"


def launch(name: str, release_id: str) -> str:
    """What it takes to start a release: settings, configuration, the services' variables. It holds secrets."""
    return f"{SECRETS}/{name}/.releases/{release_id}.json"


def all_values(name: str) -> str:
    return f"{SECRETS}/{name}/.values"


def values(name: str, version: str) -> str:
    """What was set for the app (`config`), a version of it."""
    return f"{SECRETS}/{name}/.values/{version}.json"


def backups(name: str) -> str:
    """What the node remembers of an app's backups."""
    return f"{BACKUPS}/{name}"


def snapshots(name: str) -> str:
    return f"{SNAPSHOTS}/{name}"


def backup_record(name: str) -> str:
    return f"{BACKUPS}/{name}/record.json"


def backup_plan(name: str) -> str:
    """When and where the node backs an app up by itself. It holds secrets."""
    return f"{SECRETS}/{name}/.backup.json"


def backup_timer(name: str) -> str:
    return f"cloudtool-backup@{name}.timer"


def backup_service(name: str) -> str:
    return f"cloudtool-backup@{name}.service"


def copies(name: str) -> str:
    """What is on its way to a copy of an app."""
    return f"{COPIES}/{name}"


def logs(name: str) -> str:
    return f"{LOGS}/{name}"


def logrotate(name: str) -> str:
    return f"{LOGROTATE}/cloudtool-{name}"


def app_unit(name: str, slot: str) -> str:
    return f"cloudtool-app-{slot}@{name}.service"


def command_unit(name: str, slot: str) -> str:
    return f"cloudtool-command-{slot}@{name}.service"


def process_unit(name: str, process: str, number: int) -> str:
    return f"cloudtool-process@{name}.{process}.{number}.service"


def cron_timer(name: str, cron: str) -> str:
    return f"cloudtool-cron@{name}.{cron}.timer"


def wake_socket(name: str, slot: str) -> str:
    return f"cloudtool-wake-{slot}@{name}.socket"


def wake_service(name: str, slot: str) -> str:
    return f"cloudtool-wake-{slot}@{name}.service"


def expiry_timer(name: str) -> str:
    return f"cloudtool-expire@{name}.timer"


def expiry_service(name: str) -> str:
    return f"cloudtool-expire@{name}.service"


def guard_unit(name: str) -> str:
    return f"cloudtool-guard-{name}.service"


def hook_unit(name: str) -> str:
    return f"cloudtool-hook-{name}.service"


def run_unit(name: str, pid: int | str) -> str:
    """No app has a dot in its name: `cloudtool-inside-NAME.*` are those of this one."""
    return f"cloudtool-inside-{name}.{pid}.service"


def runs(name: str) -> str:
    return f"{APPS}/{name}/runs"


def run_files(name: str, pid: int) -> str:
    """What travelled with a command that the node program of this number runs."""
    return f"{APPS}/{name}/runs/{pid}"
