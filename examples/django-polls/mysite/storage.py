"""Where static files are, as seen by a browser."""

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.urls import get_script_prefix


class MountedStaticFiles(ManifestStaticFilesStorage):
    """Names with a hash of the content, so that two releases side by side each get their own; below the path the app hangs at."""

    def url(self, name: str | None, force: bool = False) -> str:
        return get_script_prefix().rstrip("/") + super().url(name, force)
