"""What comes from outside is checked here again, whatever the client has checked before."""

import re

from .context import Failure

APP = re.compile(r"[a-z][a-z0-9_-]{0,27}")
RELEASE = re.compile(r"v[1-9][0-9]{0,8}")
SHA256 = re.compile(r"[0-9a-f]{64}")
AGE = re.compile(r"age1[02-9ac-hj-np-z]{58}")
SERVICE = re.compile(r"[a-z][a-z0-9_-]*")
SERVICE_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
PROCESS = re.compile(r"[a-z][a-z0-9_-]{0,19}")
DAY = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
CALENDAR = re.compile(rf"({DAY}(,{DAY})* )?\*-(\*|[0-9,]+)-(\*|[0-9,]+) [0-9*,/]+:[0-9*,/]+:00")
ZONE = re.compile(r"[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*)*")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
CHECKER = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_MOUNT_DEPTH = 6
MOST_OF_A_PROCESS = 100


def bad(message: str) -> Failure:
    return Failure("bad-request", message)


def app_name(value) -> str:
    if not isinstance(value, str) or not APP.fullmatch(value):
        raise bad(
            f"{value!r} is not an app name: up to 28 lower case letters, digits, '-' and '_', beginning with a letter."
        )
    return value


def release_id(value) -> str:
    if not isinstance(value, str) or not RELEASE.fullmatch(value):
        raise bad(f"{value!r} is not a release: they are called v1, v2, and so on.")
    return value


def age_recipients(value) -> list[str]:
    """Whom a backup is encrypted for: public keys of age."""
    if not isinstance(value, list) or not all(isinstance(key, str) and AGE.fullmatch(key) for key in value):
        raise bad("A recipient is a public key of age: age1 and 58 letters and digits.")
    return value


def location(value) -> str:
    """HOST, HOST/PATH or *.DOMAIN[/PATH], host in lower case; the form in which locations are compared."""
    if not isinstance(value, str):
        raise bad(f"{value!r} is not a location.")
    host, _, path = value.partition("/")
    host = host.lower().rstrip(".")
    labels = host.removeprefix("*.").split(".")
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise bad(f"{value!r} is not a location: a host name, optionally with a path, e.g. myapp.com/blog.")
    segments = [segment for segment in path.split("/") if segment]
    if not all(SEGMENT.fullmatch(segment) and segment not in (".", "..") for segment in segments):
        raise bad(f"The path of the location {value!r} may have letters, digits and . _ ~ - between its slashes.")
    if len(segments) > MAX_MOUNT_DEPTH:
        raise bad(f"The path of the location {value!r} is deeper than {MAX_MOUNT_DEPTH}.")
    return "/".join([host, *segments])


def relative_path(value, what: str = "path") -> str:
    """A path inside the app: relative, no empty, `.` or `..` segment. Any other character is allowed."""
    if not isinstance(value, str) or not value or len(value.encode("utf-8", "surrogatepass")) > 4000:
        raise bad(f"The {what} {value!r} is empty or too long.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad(f"The {what} {value!r} is not valid UTF-8.") from None
    if "\0" in value or any(part in ("", ".", "..") or len(part.encode()) > 255 for part in value.split("/")):
        raise bad(f"The {what} {value!r} must be relative and stay inside the app's directory.")
    return value


def link_target(path: str, target) -> str:
    """A symbolic link's target: relative and, read as text, inside the app."""
    if not isinstance(target, str) or not target or "\0" in target or target.startswith("/"):
        raise bad(f"The symbolic link {path!r} leaves the app's directory: {target!r}.")
    depth = path.count("/")
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            raise bad(f"The symbolic link {path!r} leaves the app's directory: {target!r}.")
    return target


def variables(values, what: str) -> dict:
    """An environment that systemd passes on exactly: it drops values with control characters, so they are refused."""
    if not isinstance(values, dict):
        raise bad(f"{what} is not an object.")
    for name, value in values.items():
        if not VARIABLE.fullmatch(name):
            raise bad(f"{name!r} ({what}) is not the name of an environment variable.")
        if not isinstance(value, str):
            raise bad(f"The value of {name} ({what}) is not a text.")
        for character in value:
            if character not in "\t\n" and (ord(character) < 32 or ord(character) == 127):
                raise bad(f"The value of {name} ({what}) has the control character U+{ord(character):04X} in it.")
        if not is_utf8(value):
            raise bad(f"The value of {name} ({what}) is not valid UTF-8.")
    return values


def objects(value, what: str) -> list[dict]:
    """A list of objects; nothing is an empty one."""
    return _list(value, dict, f"{what} are not a list of objects.")


def texts(value, what: str) -> list[str]:
    """A list of texts; nothing is an empty one."""
    return _list(value, str, f"{what} are not a list of texts.")


def _list(value, kind: type, otherwise: str) -> list:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise bad(otherwise)
    return value


def text(value, what: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise bad(f"{what} is not a text.")
    return value


def locations(value) -> list[str]:
    return [location(item) for item in texts(value, "The locations")]


def service_settings(value) -> dict[str, dict]:
    """What the admin sets for services. What is wrong is never quoted: it may be a secret."""
    found = {} if value is None else value
    groups = found.values() if isinstance(found, dict) else [None]
    if not all(isinstance(group, dict) and all(isinstance(item, str) for item in group.values()) for group in groups):
        raise bad("service_settings is not an object of objects of texts.")
    return found


def own_services(value) -> dict[str, dict[str, bytes]]:
    """Folders of services that came with an app: the files of each by name, in base64."""
    import base64

    try:
        found = {
            service: {name: base64.b64decode(content, validate=True) for name, content in folder.items()}
            for service, folder in ({} if value is None else value).items()
        }
    except (AttributeError, TypeError, ValueError):
        raise bad("own_services is not an object of objects of texts in base64.") from None
    for service, folder in found.items():
        if not SERVICE.fullmatch(service) or not all(SERVICE_FILE.fullmatch(name) for name in folder):
            raise bad(f"{service!r} is not the name of a service, or a file in it has a name that is not allowed.")
    return found


def whole_number(value, what: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise bad(f"{what} must be a whole number from {least} to {most}, not {value!r}.")
    return value


def settings(value) -> dict:
    """The settings of app.ini that the node acts on."""
    if not isinstance(value, dict):
        raise bad("settings is not an object.")
    if str(value.get("platform")) not in ("python", "php", "static", "command"):
        raise bad(f"The platform {value.get('platform')!r} is unknown.")
    runner = value.get("runner")
    if runner is not None:
        if not isinstance(runner, dict) or str(runner.get("kind")) not in ("wsgi", "paste", "php", "command"):
            raise bad(f"The runner {runner!r} is unknown.")
        if runner["kind"] == "command":
            command_line(runner.get("words"), "runner")
        else:
            relative_path(runner.get("file"), "runner")
            text(runner.get("object"), "The runner's object")
    elif value["platform"] in ("python", "command"):
        raise bad(f"An app of the platform {value['platform']} needs a runner.")
    if value.get("php_root") not in (None, "."):
        relative_path(value["php_root"], "php_root")
    if value.get("requirements") is not None:
        relative_path(value["requirements"], "requirements")
    for package in _default_list(value, "packages", texts):
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*(:[a-z0-9]+)?", package):
            raise bad(f"{package!r} is not the name of a package.")
    for service in _default_list(value, "services", objects):
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", str(service.get("name"))):
            raise bad(f"{service!r} is not a service.")
        if "\0" in (text(service.get("value"), f"The value of the service {service['name']}") or ""):
            raise bad(f"The value of the service {service['name']} has a NUL in it.")
    for hook in _default_list(value, "update_fetch", objects):
        _hook(hook)
    if value.setdefault("snapshot", "auto") not in ("auto", "always", "never"):
        raise bad(f"snapshot is auto, always or never, not {value['snapshot']!r}.")
    health = value.setdefault("health_check", "/")
    if not isinstance(health, str) or not re.fullmatch(r"/[!-~]*", health):
        raise bad(f"health_check {health!r} is not a path like /health.")
    whole_number(value.setdefault("health_timeout", 30), "health_timeout", 1, 3600)
    whole_number(value.setdefault("processes", 2), "processes", 1, 256)
    whole_number(value.setdefault("threads", 8), "threads", 1, 512)
    whole_number(value.setdefault("request_timeout", 60), "request_timeout", 1, 86400)
    whole_number(value.setdefault("drain_timeout", 30), "drain_timeout", 1, 3600)
    if value.setdefault("idle_stop", None) is not None:
        whole_number(value["idle_stop"], "idle_stop", 1, 86400)
    for path in _default_list(value, "idle_ignore", texts):
        if not re.fullmatch(r"/[A-Za-z0-9._~/-]+", path):
            raise bad(f"idle_ignore {path!r} is not a path like /health.")
    _tls(value.setdefault("tls", None))
    if value.setdefault("memory", None) is not None:
        whole_number(value["memory"], "memory", 8 << 20, 1 << 50)
    variables(value.setdefault("env", {}), "[env]")
    value["workers"] = {name: _process(name, process) for name, process in _named(value, "workers").items()}
    value["crons"] = {name: _cron(name, cron) for name, cron in _named(value, "crons").items()}
    config = value.get("config") or {}
    if not isinstance(config, dict) or not all(
        map(VARIABLE.fullmatch, texts(config.get("required"), "config.required"))
    ):
        raise bad("config.required is not a list of names.")
    variables(config.get("default") or {}, "config.default")
    if config.get("checker") is not None and not CHECKER.fullmatch(str(config["checker"])):
        raise bad(f"config.checker is written as module:function, not {config['checker']!r}.")
    backup = value.get("backup") or {}
    if not isinstance(backup, dict):
        raise bad("[backup] is not an object.")
    if backup.get("check") is not None:
        _hook({"script": backup["check"]})
    return value


def _named(settings: dict, key: str) -> dict[str, dict]:
    """What app.ini has under [KIND:NAME]: objects by name."""
    found = settings.get(key) or {}
    if not isinstance(found, dict) or not all(isinstance(about, dict) for about in found.values()):
        raise bad(f"{key} is not an object of objects.")
    _names(found)
    return found


def _names(found: dict) -> None:
    for name in found:
        if not PROCESS.fullmatch(name):
            raise bad(
                f"{name!r} is not a name: up to 20 lower case letters, digits, '-' and '_', beginning with a letter."
            )


def counts(value) -> dict[str, int]:
    """How many there are to be of each process."""
    if not isinstance(value, dict):
        raise bad("That is not an object with a number for each process.")
    _names(value)
    return {name: whole_number(number, f"The number of {name}", 0, MOST_OF_A_PROCESS) for name, number in value.items()}


def _process(name: str, process: dict) -> dict:
    """One [process:NAME]."""
    memory = process.get("memory")
    return {
        "words": command_line(process.get("words"), f"process {name}"),
        "count": whole_number(process.get("count"), f"count of {name}", 0, MOST_OF_A_PROCESS),
        "memory": memory if memory is None else whole_number(memory, f"memory of {name}", 8 << 20, 1 << 50),
        "stop_timeout": whole_number(process.get("stop_timeout"), f"stop_timeout of {name}", 1, 3600),
    }


def _cron(name: str, cron: dict) -> dict:
    """One [cron:NAME]."""
    calendar, zone, job = texts(cron.get("calendar"), f"The calendar of {name}"), cron.get("timezone"), cron.get("job")
    if not calendar or not all(CALENDAR.fullmatch(expression) for expression in calendar):
        raise bad(f"The calendar of {name} is not one: {calendar!r}.")
    if zone is not None and not (isinstance(zone, str) and ZONE.fullmatch(zone)):
        raise bad(f"{zone!r} is not the name of a time zone.")
    if cron.get("concurrency") not in ("forbid", "allow", "replace"):
        raise bad(f"concurrency of {name} is forbid, allow or replace, not {cron.get('concurrency')!r}.")
    if not isinstance(job, dict) or len(job) != 1:
        raise bad(f"The job of {name} is neither a command nor a fetch.")
    if "fetch" in job:
        _hook(job)
    else:
        command_line(job.get("run"), f"cron {name}")
    return {"calendar": calendar, "timezone": zone, "concurrency": cron["concurrency"], "job": job}


def command_line(words, what: str) -> list[str]:
    """The words of a command: the first names a program, relative to the release where it has a slash in it."""
    if (
        not texts(words, f"The words of {what}")
        or not words[0]
        or any("\0" in word or not is_utf8(word) for word in words)
    ):
        raise bad(f"{what} is not a command: texts without NUL, the first one a program.")
    return words


def _tls(tls) -> None:
    if tls is None:
        return
    if not isinstance(tls, dict) or set(tls) - {"kind", "server", "hsts"} or tls.get("kind") not in ("auto", "own"):
        raise bad(f"tls {tls!r} is unknown.")
    if tls.get("server") is not None and not re.fullmatch(r"https://[A-Za-z0-9.:_/\[\]-]+", str(tls["server"])):
        raise bad(f"acme_server {tls['server']!r} is not an address like https://example.com/directory.")
    if tls.get("hsts") is not None:
        whole_number(tls["hsts"], "hsts", 1, 1 << 30)


def _default_list(settings: dict, key: str, checked) -> list:
    settings[key] = checked(settings.get(key), key)
    return settings[key]


def _hook(hook: dict) -> None:
    if isinstance(hook.get("fetch"), str):
        if not re.fullmatch(r"/[!-~]*", hook["fetch"]):
            raise bad(f"update_fetch {hook['fetch']!r} is not a path like /sync.")
        return
    script = hook.get("script")
    if not isinstance(script, list) or not script or not all(isinstance(word, str) for word in script):
        raise bad(f"update_fetch {hook!r} is neither a fetch nor a script.")
    relative_path(script[0], "script of update_fetch")
    for word in script:
        if "\0" in word or not is_utf8(word):
            raise bad(f"update_fetch {hook!r} has a NUL in it, or is not valid UTF-8.")


def address(value) -> str:
    """Where another node is reached."""
    import ipaddress

    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise bad(f"{value!r} is not the address of a node.") from None


def addresses(value) -> list[str]:
    """Those of visitors, as HAProxy writes them."""
    import ipaddress

    try:
        return [str(ipaddress.ip_address(item)) for item in texts(value, "The addresses")]
    except ValueError as error:
        raise bad(f"{error}.") from None


def scrub(value, most: int) -> dict:
    """What makes the data of a copy harmless: {"sql": text} or {"script": [path, word, ...]}."""
    if isinstance(value, dict) and set(value) == {"sql"} and isinstance(value["sql"], str):
        if len(value["sql"]) > most or not is_utf8(value["sql"]):
            raise bad(f"The SQL to scrub with has more than {most >> 20} MB, or is not valid UTF-8.")
        return value
    if isinstance(value, dict) and set(value) == {"script"}:
        _hook(value)
        return value
    raise bad("scrub is neither SQL nor a script.")


def exported(request: dict) -> dict:
    """What `export` has said of a release, brought here by the client. The rest of it is checked as that of a deploy."""
    release = request.get("exported")
    about = release.get("object") if isinstance(release, dict) else None
    fine = (
        isinstance(about, dict)
        and isinstance(about.get("name"), str)
        and SHA256.fullmatch(str(about.get("sha256")))
        and isinstance(about.get("bytes"), int)
    )
    if not fine or not (request.get("backup") is None or isinstance(request["backup"], str)):
        raise bad("What is to be copied is not what an export has said.")
    release_id(release.get("release"))
    return {"exported": release, "backup": request.get("backup")}


def is_utf8(value: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in value)
