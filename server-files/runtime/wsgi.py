"""The WSGI script of every Python app: finds the app by the slot's environment and loads it, once a process.

A failure to load is the app's: its traceback goes to the error log, without the frames of this file and of the import
system, and the visitor gets a plain 500 without a word of the environment. The next request tries again: what was
missing, a database say, may be there by then.
"""

import _thread
import importlib
import importlib.util
import os
import site
import sys


def set_up_path(release):
    """lib/python, lib/pythonX.Y/site-packages, the virtual environment and the release, before the system's packages."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    first = [f"{release}/lib/python", release, os.path.dirname(f"{release}/{os.environ['CLOUDTOOL_RUNNER']}")]
    packages = [f"{release}/lib/{version}/site-packages"]
    if os.environ.get("CLOUDTOOL_VENV"):
        packages.append(f"{os.environ['CLOUDTOOL_VENV']}/lib/{version}/site-packages")
    system = [entry for entry in sys.path if entry not in first]
    sys.path[:] = [entry for entry in dict.fromkeys(first) if os.path.isdir(entry)]
    for directory in packages:
        if os.path.isdir(directory):
            site.addsitedir(directory)
    sys.path += [entry for entry in system if entry not in sys.path]


def load():
    release = os.environ["CLOUDTOOL_RELEASE_DIR"]
    os.chdir(release)
    set_up_path(release)
    runner = f"{release}/{os.environ['CLOUDTOOL_RUNNER']}"
    name = os.environ.get("CLOUDTOOL_RUNNER_OBJECT") or ""
    if os.environ.get("CLOUDTOOL_RUNNER_KIND") == "paste":
        from paste.deploy import loadapp

        # For %(CONFIG_FILES)s and the like in the file. A value is no template itself: its own per cent signs are doubled.
        variables = {key: value.replace("%", "%%") for key, value in os.environ.items()}
        return loadapp(f"config:{runner}", name=name or "main", global_conf=variables)
    found = getattr(load_module(runner), name or "application")
    if not callable(found):
        raise TypeError(f"{name or 'application'} in {os.environ['CLOUDTOOL_RUNNER']} is not callable")
    return found


def load_module(path):
    """The runner as the module that an `import` of it elsewhere in the app gives too, where names allow it."""
    name = os.path.splitext(os.path.basename(path))[0]
    if name.isidentifier() and name not in sys.modules:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin and os.path.realpath(spec.origin) == os.path.realpath(path):
            # Like an import statement, this leaves the import system's own frames out of the traceback of a failure.
            return __import__(name)
    name = f"cloudtool_runner_{name}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def with_location(app):
    """Puts the mount where WSGI wants it, and says which requests are the node's own (update_fetch, fetch of [cron:NAME])."""
    with open(os.environ["CLOUDTOOL_SECRET_FILE"]) as file:
        secret = file.read()

    def application(environ, start_response):
        mount = environ.pop("HTTP_X_CLOUDTOOL_MOUNT", None)
        if mount:
            environ["SCRIPT_NAME"] = mount + environ.get("SCRIPT_NAME", "")
            environ["REQUEST_URI"] = mount + environ.get("REQUEST_URI", "")
        update = environ.pop("HTTP_X_CLOUDTOOL_UPDATE", None)
        cron = environ.pop("HTTP_X_CLOUDTOOL_CRON", None)
        if update:
            # Only here: it loads OpenSSL, which would be a tenth of what an idle process needs.
            import hmac

            if hmac.compare_digest(update, secret):
                environ["cloudtool.cron" if cron else "cloudtool.update"] = cron or True
        return app(environ, start_response)

    return application


class Lazily:
    """The app: loaded when the process starts, and again at each request until it succeeds."""

    def __init__(self):
        self.lock = _thread.allocate_lock()
        self.app = None
        self.load()

    def load(self):
        with self.lock:
            if self.app is None:
                try:
                    self.app = with_location(load())
                except (Exception, SystemExit) as error:
                    tell(error)

    def __call__(self, environ, start_response):
        if self.app is None:
            self.load()
        if self.app is None:
            start_response("500 Internal Server Error", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"The app could not be loaded; its error log says why.\n"]
        return self.app(environ, start_response)


def tell(error, *callers):
    """Writes the traceback, as far as it is the app's, in one piece: other processes write there too. `callers` are files of ours."""
    import traceback

    told = traceback.TracebackException.from_exception(error)
    chained = told
    while chained is not None:
        ours = (__file__, importlib.__file__, *callers)
        frames = [f for f in chained.stack if f.filename not in ours and not f.filename.startswith("<frozen importlib")]
        chained.stack = traceback.StackSummary.from_list(frames)
        chained = chained.__cause__ or chained.__context__
    sys.stderr.write(f"{os.environ['CLOUDTOOL_APP_NAME']} cannot be loaded.\n{''.join(told.format())}")
    sys.stderr.flush()


# The console takes what it needs from here, and loads the app itself.
if __name__ != "cloudtool_wsgi":
    application = Lazily()
