"""The real OpenStack on the loopback: Keystone, Glance, Placement and Nova, whose virtual machines alone are make-believe.

    lab.py prepare TEMPLATE             once: databases with tables and accounts in them
    lab.py run TEMPLATE DIRECTORY PORT  from a copy of them in DIRECTORY, until it is killed

Runs with the Python of the virtual environment that requirements.txt is installed in. Everything listens on 127.0.0.1, on ports that
are free; databases are SQLite's, messages stay inside the one process that is all of Nova. When all is ready, accounts.json in
DIRECTORY says where Keystone is and who may log in, and PORT accepts connections.
"""

import json
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

import requests

HERE = pathlib.Path(__file__).parent
VENV = pathlib.Path(sys.prefix)
REGION = "RegionOne"
# The password of the cloud's own users, whom no test knows.
INSIDE = "inside"
# What no error, log or trace of the client may show has this word in it.
PASSWORD = "s3ntinel-demo"
# So many items a page, so that few are many.
PAGE = 2

KEYSTONE = """
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{dir}/keystone.db
[fernet_tokens]
key_repository = {dir}/fernet
[fernet_receipts]
key_repository = {dir}/fernet
[credential]
key_repository = {dir}/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.memory
"""

GLANCE = """
[DEFAULT]
enabled_backends = files:file
limit_param_default = {page}
api_limit_max = {page}
[database]
connection = sqlite:///{dir}/glance.db
[glance_store]
default_backend = files
[files]
filesystem_store_datadir = {dir}/images
[paste_deploy]
flavor = keystone
config_file = {venv}/etc/glance/glance-api-paste.ini
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:{identity}/v3
{login}
username = glance
"""

PLACEMENT = """
[api]
auth_strategy = keystone
[placement_database]
connection = sqlite:///{dir}/placement.db
sync_on_startup = true
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:{identity}/v3
{login}
username = placement
"""

NOVA = """
[DEFAULT]
transport_url = fake:///
compute_driver = fake.FakeDriver
state_path = {dir}/state
host = lab
my_ip = 127.0.0.1
[api]
auth_strategy = keystone
max_limit = {page}
[wsgi]
api_paste_config = {dir}/api-paste.ini
[api_database]
connection = sqlite:///{dir}/nova_api.db
[database]
connection = sqlite:///{dir}/nova.db
[oslo_concurrency]
lock_path = {dir}/lock
[glance]
api_servers = http://127.0.0.1:{image}
[placement]
region_name = {region}
{login}
username = placement
[neutron]
region_name = {region}
{login}
username = neutron
[service_user]
send_service_user_token = true
{login}
username = nova
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:{identity}/v3
{login}
username = nova
[vnc]
enabled = false
"""

LOGIN = """auth_url = http://127.0.0.1:{identity}/v3
auth_type = password
project_domain_id = default
user_domain_id = default
project_name = service
password = {inside}"""


class Lab:
    """The services of one directory."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory).resolve()
        self.ports = dict(zip(("identity", "compute", "image", "placement"), free_ports(4)))
        self.children = {}
        self.token = None

    def configure(self):
        """Writes what the services read."""
        login = LOGIN.format(inside=INSIDE, **self.ports)
        facts = {"dir": self.dir, "venv": VENV, "region": REGION, "page": PAGE, "login": login, **self.ports}
        for path, text in (
            ("keystone.conf", KEYSTONE),
            ("glance-api.conf", GLANCE),
            ("placement.conf", PLACEMENT),
            ("nova.conf", NOVA),
        ):
            (self.dir / path).write_text(text.format(**facts))
        # Nova wants it beside its own.
        shutil.copy(VENV / "etc/nova/api-paste.ini", self.dir)
        for path in ("images", "state", "lock"):
            (self.dir / path).mkdir(exist_ok=True)

    def manage(self, tool, conf, *words):
        """Runs one of the administrator's commands."""
        subprocess.run([VENV / "bin" / tool, "--config-file", self.dir / conf, *words], check=True, cwd=self.dir)

    def start(self, service, script, *words, **environment):
        """Starts a service, which dies when this process does."""
        words = ["setpriv", "--pdeathsig", "KILL", sys.executable, HERE / script, *words, str(self.ports[service])]
        environment = {"PATH": f"{VENV}/bin:/usr/bin:/bin", "HOME": self.dir, **environment}
        self.children[service] = subprocess.Popen(words, env=environment, cwd=self.dir)

    def start_keystone(self):
        self.start("identity", "serve.py", "keystone.wsgi.api", OS_KEYSTONE_CONFIG_FILES=f"{self.dir}/keystone.conf")
        self.wait("identity")

    def start_others(self):
        self.start(
            "image",
            "serve.py",
            "glance.wsgi.api",
            OS_GLANCE_CONFIG_DIR=str(self.dir),
            OS_GLANCE_CONFIG_FILES="glance-api.conf",
        )
        self.start("placement", "serve.py", "placement.wsgi.api", OS_PLACEMENT_CONFIG_DIR=str(self.dir))
        self.wait("image")
        self.wait("placement")
        self.start("compute", "all_of_nova.py", OS_NOVA_CONFIG_DIR=str(self.dir))

    def wait(self, service):
        """Waits until a service accepts connections."""
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.ports[service])).close()
                return
            except OSError:
                if self.children[service].poll() is not None:
                    sys.exit(f"{service} ended with {self.children[service].returncode}")
                time.sleep(0.05)

    def stop(self):
        for child in self.children.values():
            child.kill()
            child.wait()

    def log_in(self, user, password, project):
        """Everything from now on is asked by this user."""
        domain = {"id": "default"}
        auth = {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": user, "domain": domain, "password": password}},
            },
            "scope": {"project": {"name": project, "domain": domain}},
        }
        address = f"http://127.0.0.1:{self.ports['identity']}/v3/auth/tokens"
        answer = requests.post(address, json={"auth": auth}, timeout=60)
        answer.raise_for_status()
        self.token = answer.headers["X-Subject-Token"]
        return answer.json()["token"]

    def call(self, method, service, path, **more):
        """One request to a service; gives its answer as Python data."""
        headers = {"X-Auth-Token": self.token, **more.pop("headers", {})}
        address = f"http://127.0.0.1:{self.ports[service]}{path}"
        answer = requests.request(method, address, headers=headers, timeout=60, **more)
        if not answer.ok:
            sys.exit(f"{method} {address}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def make(self, kind, **fields):
        """Makes a thing of Keystone's and gives its id."""
        return self.call("POST", "identity", f"/v3/{kind}s", json={kind: fields})[kind]["id"]


def free_ports(count):
    """Ports that nobody uses; all are held until all are known."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def prepare(template):
    """Makes the databases, with the accounts in them."""
    lab = Lab(template)
    shutil.rmtree(lab.dir, ignore_errors=True)
    lab.dir.mkdir(parents=True)
    lab.configure()
    lab.manage("keystone-manage", "keystone.conf", "db_sync")
    for keys in ("fernet", "credential"):
        (lab.dir / keys).mkdir(mode=0o700)
        user = ["--keystone-user", "root", "--keystone-group", "root"]
        lab.manage("keystone-manage", "keystone.conf", f"{keys}_setup", *user)
    lab.manage("keystone-manage", "keystone.conf", "bootstrap", "--bootstrap-password", INSIDE)
    lab.manage("glance-manage", "glance-api.conf", "db_sync")
    for words in (
        ["api_db", "sync"],
        ["cell_v2", "map_cell0", "--database_connection", f"sqlite:///{lab.dir}/nova_cell0.db"],
        ["cell_v2", "create_cell", "--name", "cell1"],
        ["db", "sync"],
    ):
        lab.manage("nova-manage", "nova.conf", *words)
    for path in lab.dir.glob("nova*.db"):
        # Readers do not wait for the writer; the setting stays in the file.
        sqlite3.connect(path).execute("pragma journal_mode = wal")
    lab.start_keystone()
    make_accounts(lab)
    lab.stop()


def make_accounts(lab):
    """The services' own users, and two customers: `demo` may have everything, `small` one machine."""
    lab.log_in("admin", INSIDE, "admin")
    lab.call("PUT", "identity", f"/v3/regions/{REGION}", json={"region": {}})
    roles = {role["name"]: role["id"] for role in lab.call("GET", "identity", "/v3/roles")["roles"]}
    of_services = lab.make("project", name="service", domain_id="default")
    users = [(name, INSIDE, of_services, ["admin", "service"]) for name in ("nova", "glance", "placement", "neutron")]
    for name in ("demo", "small"):
        users.append((name, PASSWORD, lab.make("project", name=name, domain_id="default"), ["member"]))
    for name, password, project, needed in users:
        user = lab.make("user", name=name, password=password, domain_id="default")
        for role in needed:
            lab.call("PUT", "identity", f"/v3/projects/{project}/users/{user}/roles/{roles[role]}")


def run(template, directory, ready):
    """Runs everything until it is killed."""
    lab = Lab(directory)
    shutil.rmtree(lab.dir, ignore_errors=True)
    shutil.copytree(template, lab.dir)
    lab.configure()
    # Cells are found by what is written in the database, which is where the template was.
    with sqlite3.connect(lab.dir / "nova_api.db") as database:
        change = "update cell_mappings set database_connection = replace(database_connection, ?, ?)"
        database.execute(change, (str(pathlib.Path(template).resolve()), str(lab.dir)))
    lab.start_keystone()
    lab.log_in("admin", INSIDE, "admin")
    make_catalogue(lab)
    lab.start_others()
    make_images(lab)
    lab.wait("compute")
    make_sizes(lab)
    accounts = {
        "origin": f"http://127.0.0.1:{lab.ports['identity']}",
        "compute": f"http://127.0.0.1:{lab.ports['compute']}",
        "password": PASSWORD,
        "admin_password": INSIDE,
        "application_credential": make_application_credential(lab),
    }
    (lab.dir / "accounts.json").write_text(json.dumps(accounts))
    with socket.create_server(("127.0.0.1", ready)) as listener:
        while True:
            listener.accept()[0].close()


def make_catalogue(lab):
    """One endpoint for each service, of the public kind alone. Nova looks for a neutron, and never asks it anything."""
    for name, kind, address in (
        ("keystone", "identity", f"http://127.0.0.1:{lab.ports['identity']}/v3"),
        ("nova", "compute", f"http://127.0.0.1:{lab.ports['compute']}/v2.1"),
        ("glance", "image", f"http://127.0.0.1:{lab.ports['image']}"),
        ("placement", "placement", f"http://127.0.0.1:{lab.ports['placement']}"),
        ("neutron", "network", "http://127.0.0.1:9"),
    ):
        known = lab.call("GET", "identity", f"/v3/services?type={kind}")["services"]
        service = known[0]["id"] if known else lab.make("service", name=name, type=kind)
        for interface in ("public", "internal"):
            lab.make("endpoint", service_id=service, interface=interface, region_id=REGION, url=address)


def make_images(lab):
    """Some that can be booted, and one whose data never came."""
    for name, distribution, version, complete in (
        ("debian-12", "debian", "12", True),
        ("ubuntu-22.04", "ubuntu", "22.04", True),
        ("ubuntu-24.04", "ubuntu", "24.04", True),
        ("cirros", "cirros", "0.6", True),
        ("ubuntu-24.04-unfinished", "ubuntu", "24.04", False),
    ):
        fields = {"name": name, "disk_format": "raw", "container_format": "bare", "visibility": "public"}
        fields |= {"os_distro": distribution, "os_version": version}
        image = lab.call("POST", "image", "/v2/images", json=fields)["id"]
        if complete:
            headers = {"Content-Type": "application/octet-stream"}
            lab.call("PUT", "image", f"/v2/images/{image}/file", data=bytes(65536), headers=headers)


def make_sizes(lab):
    """Some that fit the make-believe machine and one that does not; and how much of it each customer may have."""
    for name, memory, disk, cpus in (
        ("m1.tiny", 512, 1, 1),
        ("m1.small", 2048, 20, 1),
        ("m1.medium", 4096, 40, 2),
        ("m1.large", 8192, 80, 4),
        ("m1.impossible", 4_000_000, 1, 1),
    ):
        lab.call(
            "POST",
            "compute",
            "/v2.1/flavors",
            json={"flavor": {"name": name, "ram": memory, "disk": disk, "vcpus": cpus}},
        )
    projects = {one["name"]: one["id"] for one in lab.call("GET", "identity", "/v3/projects")["projects"]}
    for name, quota in (("demo", {"instances": -1, "cores": -1, "ram": -1}), ("small", {"instances": 1})):
        lab.call("PUT", "compute", f"/v2.1/os-quota-sets/{projects[name]}", json={"quota_set": quota})


def make_application_credential(lab):
    """One of `demo`: its id and its secret."""
    user = lab.log_in("demo", PASSWORD, "demo")["user"]["id"]
    fields = {"name": "test", "secret": f"{PASSWORD}-application"}
    path = f"/v3/users/{user}/application_credentials"
    made = lab.call("POST", "identity", path, json={"application_credential": fields})["application_credential"]
    return {"id": made["id"], "secret": fields["secret"]}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["prepare", template]:
            prepare(template)
        case ["run", template, directory, port]:
            run(template, directory, int(port))
        case _:
            sys.exit(__doc__)
