"""Settings of the site. What differs from place to place comes from the environment that cloudtool gives."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = False

# Made once for the app and kept on the node: sessions survive updates.
SECRET_KEY = Path(os.environ["CLOUDTOOL_SECRET_FILE"]).read_text(encoding="ascii").strip()

# The front of the node passes on nothing but requests for this app's own locations, so every host that arrives here is a right
# one, and adding a location needs no new release.
ALLOWED_HOSTS = ["*"]

# The front says so when it was reached by https.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "polls",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "mysite.urls"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["CONFIG_PG_DBNAME"],
        "USER": os.environ["CONFIG_PG_USER"],
        "PASSWORD": os.environ["CONFIG_PG_PASSWORD"],
        "HOST": os.environ["CONFIG_PG_HOST"],
        "PORT": os.environ["CONFIG_PG_PORT"],
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# collectstatic writes to a directory that is served as it is.
STATIC_URL = "/static/"
STATIC_ROOT = Path(os.environ["CONFIG_WRITABLE_ROOT"]) / "static"
STORAGES = {"staticfiles": {"BACKEND": "mysite.storage.MountedStaticFiles"}}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

# Standard error is the app's error.log on the node: `cloudtool logs django-polls`.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
