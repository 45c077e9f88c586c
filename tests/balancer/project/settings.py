"""Those of the tests, with other routes and other views."""

import gc

from tests.settings import *  # noqa: F403

gc.enable()  # the application that does it is not among these

INSTALLED_APPS = ["channels", "django_fastws", "tests.balancer.project"]
MIDDLEWARE = []
ROOT_URLCONF = "tests.balancer.project.urls"
ASGI_APPLICATION = "tests.site.asgi.application"
