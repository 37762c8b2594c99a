"""Settings of the tests, which need neither a node nor a database server:

python3 manage.py test --settings mysite.settings_test
"""

import os

os.environ |= {"CLOUDTOOL_SECRET_FILE": os.devnull, "CONFIG_WRITABLE_ROOT": os.devnull}
os.environ |= {f"CONFIG_PG_{key}": "" for key in ("DBNAME", "USER", "PASSWORD", "HOST", "PORT")}

from mysite.settings import *

SECRET_KEY = "only for tests"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
