"""The application that the servers of the tests serve."""

import atexit
import os
import threading


def _tell() -> None:
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("django-fastws")]
    for thread in threads:
        thread.join(10)  # one that has been told to end may need a moment
    print("threads at the end:", [thread.name for thread in threads if thread.is_alive()], flush=True)


if os.environ.get("TEST_SERVER"):
    atexit.register(_tell)  # before the package does so: it runs after what the package does at the exit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from django_fastws.asgi import get_asgi_application  # noqa: E402

application = get_asgi_application()

if os.environ.get("TEST_TRACES"):
    from tests.support.spans import export_to

    export_to(os.environ["TEST_TRACES"])
