"""Checks of INSTALLED_APPS and ASGI_APPLICATION: for each, what provokes it and what looks like it and is right."""

import pytest
from channels.routing import ProtocolTypeRouter
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler

from django_fastws import FastWS
from django_fastws.asgi import get_asgi_application
from tests.checks.messages import found, one

pytestmark = pytest.mark.usefixtures("routes")

# (id, settings that provoke it, words of its message or hint)
PROVOKED = [
    ("fastws.W001", {"INSTALLED_APPS": ["daphne", "django_fastws"]}, "'channels' is not in INSTALLED_APPS"),
    ("fastws.W002", {"INSTALLED_APPS": ["channels", "django_fastws"]}, "'daphne' is not in INSTALLED_APPS"),
    (
        "fastws.E003",
        {"INSTALLED_APPS": ["django.contrib.staticfiles", "daphne", "channels", "django_fastws"]},
        "'daphne' comes after 'django.contrib.staticfiles'",
    ),
    (
        "fastws.W004",
        {"INSTALLED_APPS": ["channels", "daphne", "django_fastws"]},
        "'channels', 'daphne', 'django_fastws'",
    ),
    (
        "fastws.W004",
        {"INSTALLED_APPS": ["daphne", "django_fastws", "channels"]},
        "'daphne', 'django_fastws', 'channels'",
    ),
    ("fastws.E005", {"ASGI_APPLICATION": None}, "ASGI_APPLICATION is not set"),
    ("fastws.E005", {"ASGI_APPLICATION": ""}, "ASGI_APPLICATION is not set"),
]


@pytest.mark.parametrize(
    ("id_", "settings", "words"), PROVOKED, ids=[f"{row[0]}-{row[1]!r}"[:70] for row in PROVOKED]
)
def test_a_mistake_in_the_settings_is_found(id_, settings, words):
    messages = found(**settings)
    assert list(messages) == [id_]
    assert words in messages[id_].msg + messages[id_].hint


# Settings that are right, and look like mistakes
ABSENT = [
    ("fastws.W001", {"INSTALLED_APPS": ["daphne", "channels", "django_fastws"]}),
    ("fastws.W002", {"INSTALLED_APPS": ["daphne", "channels", "django_fastws"]}),
    ("fastws.E003", {"INSTALLED_APPS": ["daphne", "django.contrib.staticfiles", "channels", "django_fastws"]}),
    (
        "fastws.E003",
        {
            "INSTALLED_APPS": [
                "django.contrib.contenttypes",
                "django.contrib.auth",
                "daphne",
                "channels",
                "django_fastws",
            ]
        },
    ),
    ("fastws.W004", {"INSTALLED_APPS": ["daphne", "django.contrib.staticfiles", "channels", "django_fastws"]}),
    ("fastws.E005", {}),
]


@pytest.mark.parametrize(("id_", "settings"), ABSENT, ids=[f"{row[0]}-{row[1]!r}"[:70] for row in ABSENT])
def test_what_is_right_is_not_found_fault_with(id_, settings):
    assert id_ not in found(**settings)


# Applications that serve no WebSockets

PLAIN = ASGIHandler()
HTTP_ONLY = ProtocolTypeRouter({"http": PLAIN})
STATIC = ASGIStaticFilesHandler(PLAIN)
STATIC_AROUND_OURS = ASGIStaticFilesHandler(get_asgi_application())
COMPOSED = ProtocolTypeRouter({"http": PLAIN, "websocket": PLAIN})


class ServesAll(ASGIHandler):
    """Made from Django's application, and serves what that refuses."""

    async def __call__(self, scope, receive, send):
        """Whatever it is asked."""


OWN = ServesAll()


@pytest.mark.parametrize(
    ("name", "is_found"),
    [
        ("tests.checks.test_installation.PLAIN", True),
        ("tests.checks.test_installation.HTTP_ONLY", True),
        ("tests.checks.test_installation.COMPOSED", False),
        ("tests.checks.test_installation.STATIC", True),
        ("tests.checks.test_installation.STATIC_AROUND_OURS", False),
        ("tests.checks.test_installation.OWN", False),
        ("example_project.asgi.application", False),
        ("tests.site.asgi.application", False),
        ("tests.nowhere.application", False),
        ("no path", False),
    ],
)
def test_an_application_that_serves_no_websockets(name, is_found):
    assert found(ASGI_APPLICATION=name) == {}  # there are no routes
    FastWS().websocket("/x")(one)
    assert list(found(ASGI_APPLICATION=name)) == (["fastws.W009"] if is_found else [])


# Apps before daphne whose runserver is made from daphne's


@pytest.mark.parametrize(
    ("apps_", "is_found"),
    [
        (["tests.site.runserver", "daphne", "channels", "django_fastws"], False),
        (["tests.site.runserver", "daphne", "django.contrib.staticfiles", "channels", "django_fastws"], False),
        (["django.contrib.staticfiles", "tests.site.runserver", "daphne", "channels", "django_fastws"], True),
    ],
)
def test_a_runserver_that_is_made_from_daphnes_may_come_first(apps_, is_found):
    assert list(found(INSTALLED_APPS=apps_)) == (["fastws.E003"] if is_found else [])
