"""What the visitors of a disabled app see: the `maintenance.html` at the root of its release, or the front's common page."""

from . import checks, files, paths
from .state import State

PAGE = "maintenance.html"
PAGE_BYTES = 1 << 20


def checked(value) -> dict | None:
    """What another node says of an app that it has disabled."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise checks.bad("disabled is not an object.")
    said = {name: checks.text(value.get(name), name) for name in ("at", "by")}
    return {**said, "allow": checks.addresses(value.get("allow"))}


def settle_page(ctx, state: State) -> None:
    """The front has the page of the live release while the app is disabled."""
    page = paths.maintenance_page(state.app)
    content = read_page(ctx, state) if state.disabled and state.live and not state.moved_to else None
    if content is None:
        files.remove(page)
    else:
        files.write(page, content, mode=0o644)


def read_page(ctx, state: State) -> bytes | None:
    content = files.read_bytes(f"{paths.release(state.app, state.live)}/{PAGE}")
    if content is not None and len(content) > PAGE_BYTES:
        ctx.warning(f"The {PAGE} of {state.app} has more than {PAGE_BYTES >> 20} MB: the common page is shown instead.")
        return None
    return content


def remind(ctx, state: State) -> None:
    """Whoever changes what serves learns that nobody sees it."""
    if state.disabled:
        ctx.warning(f"{state.app} is disabled: visitors get 503 until `cloudtool enable {state.app}`.")
