"""Those of the tests, with other routes and other views."""

from tests.settings import *  # noqa: F403

INSTALLED_APPS = ["channels", "django_fastws", "tests.balancer.project", "tests.support.started.Started"]
MIDDLEWARE = []
ROOT_URLCONF = "tests.balancer.project.urls"
ASGI_APPLICATION = "tests.site.asgi.application"
