"""A Python prompt with the app loaded: `application`, and the runner's module by its name. What is piped in is run as a script."""

import importlib.util
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = os.path.splitext(os.path.basename(os.environ["CLOUDTOOL_RUNNER"]))[0]


def loaded() -> dict:
    """What the prompt knows. An app that cannot be loaded is one more reason for a prompt."""
    spec = importlib.util.spec_from_file_location("cloudtool_wsgi", f"{HERE}/wsgi.py")
    wsgi = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wsgi)
    try:
        known = {"application": wsgi.load()}
    except (Exception, SystemExit) as error:
        wsgi.tell(error)
        known = {}
    module = sys.modules.get(NAME) or sys.modules.get(f"cloudtool_runner_{NAME}")
    return known | ({NAME: module} if module and NAME.isidentifier() else {})


def main() -> None:
    # The directory of this file is no place for the app's imports.
    sys.path[:] = [entry for entry in sys.path if entry != HERE]
    known = loaded()
    names = {"__name__": "__console__", "__doc__": None, **known}
    if not sys.stdin.isatty():
        exec(compile(sys.stdin.read(), "<stdin>", "exec"), names)
        return
    import code
    import readline
    import rlcompleter

    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")
    app, release = os.environ["CLOUDTOOL_APP_NAME"], os.environ["CLOUDTOOL_RELEASE"]
    banner = f"{app} {release}, Python {sys.version.split()[0]}: {', '.join(known) or 'nothing of the app'}"
    code.interact(banner, local=names, exitmsg="")


main()
