"""Sessions, as they are stored."""

from importlib import import_module

from django.conf import settings as django_settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.test import override_settings

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def store(key=None):
    return import_module(django_settings.SESSION_ENGINE).SessionStore(key)


def log_in(user, **more):
    """A session of a user; its key."""
    session = store()
    session.create()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = MODEL_BACKEND
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.update({"basket": [1, 2], **more})
    session.save()
    return session.session_key


class Request:
    def __init__(self, session):
        self.session = session


new_key = override_settings(SECRET_KEY="the new one", SECRET_KEY_FALLBACKS=["other", "for tests only"])
