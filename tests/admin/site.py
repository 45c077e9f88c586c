"""The application of the console's tests on real servers: the admin, static files, and a strict policy."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from django.conf import settings


def with_policy(get_response):
    """Middleware: nothing but what the page's own server has."""

    def respond(request):
        response = get_response(request)
        response.headers["Content-Security-Policy"] = "default-src 'self'"
        return response

    return respond


settings.MIDDLEWARE += ["tests.admin.site.with_policy"]

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402

from django_fastws.asgi import get_asgi_application  # noqa: E402

#: Static files as ``runserver`` has them.
application = ASGIStaticFilesHandler(get_asgi_application())
