"""The settings of the tests, and of the servers that they start: those get theirs through the environment."""

import gc
import json
import os

gc.disable()  # until Started below: of what is imported now, everything stays

SECRET_KEY = "for tests only"
DEBUG = os.environ.get("TEST_DEBUG", "") == "1"
ALLOWED_HOSTS = json.loads(os.environ.get("TEST_ALLOWED_HOSTS", '["127.0.0.1", "[::1]", "localhost", "testserver"]'))
INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_fastws",
    "tests.site",
    "tests.support.started.Started",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("TEST_DATABASE", ":memory:"),
        **json.loads(os.environ.get("TEST_DATABASE_OPTIONS", "{}")),
    }
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the others are slow on purpose
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "tests.site.urls"
STATIC_URL = "static/"
ASGI_APPLICATION = "tests.site.asgi.application"
USE_TZ = True
CHANNEL_LAYERS = {
    "default": json.loads(os.environ.get("TEST_LAYER", '{"BACKEND": "channels.layers.InMemoryChannelLayer"}'))
}
if "TEST_SERVER" not in os.environ:
    FASTWS_GC_FREEZE_OBJECTS = None  # of servers inside this process, tests look at what they leave behind
# Any FASTWS_ setting, as JSON: {"FASTWS_MAX_MESSAGE_BYTES": 1000}
globals().update(json.loads(os.environ.get("TEST_FASTWS", "{}")))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django_fastws": {"level": "INFO"}},
}
if os.environ.get("TEST_SERVER"):
    # In the process of the tests, the root logger is pytest's: get_asgi_application() sets Django up again.
    LOGGING |= {"handlers": {"stderr": {"class": "logging.StreamHandler"}}, "root": {"handlers": ["stderr"]}}
