"""The settings of every site; the peers' differ in the channel layer and in whether this package is installed."""

import json
import os

SECRET_KEY = "for benchmarks only"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "channels",
]
if os.environ["BENCH_SITE"] == "ours":
    INSTALLED_APPS += ["django_fastws", "bench.sites"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "bench.sites.urls"
ASGI_APPLICATION = f"bench.sites.{os.environ['BENCH_SITE']}.application"
USE_TZ = True
# Sockets that count bytes answer nothing, and take no pings for answers.
FASTWS_LIVE_PING_SECONDS = 86_400
FASTWS_PRESENCE_LEASE_SECONDS = float(os.environ.get("BENCH_LEASE", 30))
FASTWS_CONSUMERS_MODULE = os.environ.get("BENCH_CONSUMERS", "consumers")
globals().update(json.loads(os.environ.get("BENCH_SETTINGS") or "{}"))
if library := os.environ.get("BENCH_LIBRARY"):
    FASTWS_CLIENT_LIBRARY = library
if layer := json.loads(os.environ["BENCH_LAYER"]):
    CHANNEL_LAYERS = {"default": layer}
