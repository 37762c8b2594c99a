"""Makes the first administrator, unless there is one. The password goes to a file that only the app's user and root can read."""

import os
import secrets
from pathlib import Path

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction


class Command(BaseCommand):
    help = "Make the user `admin`, with a random password in CONFIG_FILES/admin-password, unless there is an administrator."

    def handle(self, *args, **options):
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            return
        password = secrets.token_urlsafe(16)
        file = Path(os.environ["CONFIG_FILES"]) / "admin-password"
        with transaction.atomic():
            users.create_superuser("admin", password=password)
            file.touch(mode=0o600)
            file.write_text(password + "\n", encoding="ascii")
        self.stdout.write(f"made the administrator `admin`; the password is in {file}")
