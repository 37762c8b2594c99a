//! An app that shows whether a release is whole, and what must be true of it whenever nothing is going on.

use std::time::{Duration, Instant};

use crate::hammer::Hammer;
use crate::http::get;
use crate::world::{App, World};

/// How many files carry the number of the release.
const FILES: usize = 50;

/// Reads every file at every request: a release whose files are gone or of two releases is no "whole N".
const SOURCE: &str = "import os

HERE = os.path.dirname(os.path.abspath(__file__))
NUMBER = 'N_HERE'


def application(environ, start_response):
    numbers = {NUMBER}
    for index in range(50):
        with open(f'{HERE}/data/{index}.txt') as file:
            numbers.add(file.read())
    text = f'whole {NUMBER}' if len(numbers) == 1 else f'a mix of {sorted(numbers)}'
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [text.encode()]
";

/// The app; its host is `NAME.test`.
pub struct WholeApp {
    pub app: App,
    pub host: String,
}

impl WholeApp {
    /// Deploys number 1.
    pub fn deployed(world: &World, name: &str, ini: &str) -> Self {
        let whole = Self::new(name, ini);
        whole.deploy(world);
        whole
    }

    /// For the first time.
    pub fn deploy(&self, world: &World) {
        world.ok(["update", self.app.path_str(), "--host", &self.host]);
        assert_eq!(self.answer(world), "whole 1");
    }

    pub fn new(name: &str, ini: &str) -> Self {
        let app = App::new(name, &format!("runner = app.py\n{ini}"));
        let whole = WholeApp { app, host: format!("{name}.test") };
        whole.write(1);
        whole
    }

    /// Makes every file of the directory one of release `number`.
    pub fn write(&self, number: usize) {
        for index in 0..FILES {
            self.app.write(&format!("data/{index}.txt"), number.to_string().as_bytes());
        }
        self.app.write("app.py", SOURCE.replace("N_HERE", &number.to_string()).as_bytes());
    }

    /// Writes `number`, deploys it, and sees it served.
    pub fn update(&self, world: &World, number: usize) {
        self.write(number);
        world.ok(["update", self.app.path_str()]);
        assert_eq!(self.answer(world), format!("whole {number}"));
    }

    pub fn answer(&self, world: &World) -> String {
        let answer = get(&world.address, &self.host, "/");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Load that fails at whatever is not a whole release.
    pub fn hammer(&self, world: &World) -> Hammer {
        Hammer::start(&world.address, &self.host, "/", 2, Some(|body| body.starts_with("whole ")))
    }

    /// Takes the app away, and sees that nothing of it stays.
    pub fn remove(self, world: &World) {
        remove(world, &self.app.name);
    }
}

pub fn remove(world: &World, app: &str) {
    world.ok(["remove", app, "-y", "--with-data"]);
    let script = format!(
        "find /srv/cloudtool /etc/cloudtool /var/lib/cloudtool /var/log/cloudtool /etc/systemd/system /run/cloudtool \
         -name '*{app}' -o -name '*{app}.*' -o -name '*{app}-*'\ngetent passwd ct-{app} || :"
    );
    assert_eq!(world.node_script(&script), "", "left of {app} after it was removed");
}

/// Ends a load that must not have failed once, and that was one.
pub fn none_failed(load: Hammer) -> u64 {
    await_that("the load has asked at all", || (load.requests() > 0).then_some(()));
    let outcome = load.stop();
    let first = outcome.failures.first();
    assert!(first.is_none(), "{} of {} failed, the first: {first:?}", outcome.failures.len(), outcome.requests);
    outcome.requests
}

/// What of an app is not as it is when nothing goes on, one finding a line: releases, files, units, processes, locks, routes.
const LEFT_OVER: &str = r#"
import fcntl, json, os, socket, subprocess, sys
app = sys.argv[1]
found = []

def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout

def listed(path):
    return sorted(os.listdir(path)) if os.path.isdir(path) else []

path = f"/var/lib/cloudtool/apps/{app}.json"
state = json.load(open(path)) if os.path.exists(path) else None
kept = sorted(e["release"] for e in state["releases"] if e["result"] == "kept") if state else []
live = state and state["live"]
live_release = state["slots"][live] if live else None
idle = {"blue": "green", "green": "blue"}.get(live)
sleeping = state["slots"][idle] if live else None

def same(what, is_, should):
    if sorted(is_) != sorted(should):
        found.append(f"{what}: {is_}, should be {should}")

same("releases", listed(f"/srv/cloudtool/apps/{app}/releases"), kept)
same("manifests", [n.removesuffix(".json") for n in listed(f"/var/lib/cloudtool/manifests/{app}")], kept)
same("launches", [n.removesuffix(".json") for n in listed(f"/var/lib/cloudtool/secrets/{app}/.releases")], kept)
slots = [s for s in (live, idle) if s and state["slots"][s]]
# The secret and the ports are the app's, whatever releases it has.
lasting = ("secret", "blue.port", "green.port")
same("configuration", [n for n in listed(f"/etc/cloudtool/apps/{app}") if n not in lasting],
     [f"{s}.{e}" for s in slots for e in ("conf", "env")])
venvs = {e.get("venv") for e in (state["releases"] if state else []) if e["result"] == "kept"} - {None}
same("venvs", [f"/srv/cloudtool/apps/{app}/venvs/{n}" for n in listed(f"/srv/cloudtool/apps/{app}/venvs")], venvs)
same("states", [n for n in listed("/var/lib/cloudtool/apps") if n.startswith(app + ".")], [f"{app}.json"] if state else [])
for directory in ("/etc/cloudtool/front", "/etc/cloudtool/services", "/var/lib/cloudtool/services", "/usr/local/lib"):
    for name in listed(directory):
        if ".new" in name or ".partial" in name:
            found.append(f"temporary file {directory}/{name}")
same("build environments", [n for n in listed("/run/cloudtool") if n.startswith("build-")], [])

units = {}
for line in run("systemctl", "list-units", "--all", "--plain", "--no-legend", f"cloudtool-*{app}*").splitlines():
    unit, _, active, sub, *_ = line.split()
    units[unit] = active
should = {f"cloudtool-app-{live}@{app}.service": "active"} if live else {}
if sleeping:
    should[f"cloudtool-wake-{idle}@{app}.socket"] = "active"
same("units", [f"{u} {a}" for u, a in units.items() if a != "inactive"], [f"{u} {a}" for u, a in should.items()])
for line in run("systemctl", "--failed", "--plain", "--no-legend").splitlines():
    found.append(f"failed unit {line}")

def group(pid):
    try:
        return open(f"/proc/{pid}/cgroup").read()
    except OSError:
        return ""

for pid in run("pgrep", "-u", f"ct-{app}").split() if kept or state else []:
    if f"cloudtool-app-{live}@{app}.service" not in group(pid):
        found.append(f"process {pid} {group(pid).split()}")
for pid in run("pgrep", "-f", "cloudtool/node/__main__.py").split():
    found.append(f"node program {pid}")
for name in listed("/var/lib/cloudtool/locks"):
    fd = os.open(f"/var/lib/cloudtool/locks/{name}", os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        found.append(f"lock {name} is held")
    os.close(fd)

for name in ("routes", "wildcards"):
    path = f"/etc/cloudtool/front/{name}.map"
    with socket.socket(socket.AF_UNIX) as front:
        front.connect("/run/haproxy/cloudtool.sock")
        front.sendall(f"show map {path}\n".encode())
        text = b""
        while data := front.recv(65536):
            text += data
    running = sorted(" ".join(l.split()[1:]) for l in text.decode().splitlines() if l.strip())
    same(f"the front's {name}", running, sorted(l for l in open(path).read().splitlines()))
ports = {s: 20000 + 4 * state["index"] + ["blue", "green"].index(s) for s in ("blue", "green")} if state else {}
for location in (state["locations"] if live else []):
    lines = [l for l in open("/etc/cloudtool/front/routes.map").read().splitlines() if l.startswith(f"{location}/ ")]
    if not lines or not lines[0].split(" ")[1].startswith(f"{ports[live]}|"):
        found.append(f"{location} is routed to {lines}, should be {ports[live]}")
print("\n".join(found))
"#;

/// Nothing is left over by what went on before; what still drains may take its time to end.
pub fn nothing_left(world: &World, app: &str) {
    nothing_left_at(world, &world.address, app);
}

/// The same on any node.
pub fn nothing_left_at(world: &World, address: &str, app: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let script = format!("python3 - {app} <<'END_OF_SCRIPT'\n{LEFT_OVER}\nEND_OF_SCRIPT\n");
        let found = World::script(world.ssh_to("root", address), &script);
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left over of {app}:\n{found}");
    }
}

/// A previous release that was woken sleeps again.
pub fn put_to_sleep(world: &World, app: &str) {
    world.node_script(&format!("systemctl stop 'cloudtool-wake-*@{app}.service'"));
}

/// Waits for something, and gives what it was.
pub fn await_that<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
