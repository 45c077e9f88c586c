"""Registration of the system checks: all of them are Django's, and none needs to be told for which app."""

import pytest
from django.apps import apps
from django.core import checks

from django_fastws import checks as our_checks
from tests.checks.messages import found

pytestmark = pytest.mark.usefixtures("routes")


def test_a_project_without_mistakes_has_no_messages():
    assert found() == {}


def test_every_check_is_registered():
    registered = checks.registry.registry.get_checks()
    assert all(check in registered for check in our_checks.all_checks)
    assert "fastws" in checks.registry.registry.tags_available()


def test_the_checks_do_not_need_app_configs():
    configs = [apps.get_app_config("django_fastws")]
    for check in our_checks.all_checks:
        assert check() == check(app_configs=configs, databases=["default"])
