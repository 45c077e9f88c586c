"""Settings name it as the last application: a process that is set up leaves what is imported to itself.

It stays for as long as the process lives. Hundreds of processes start and end in a run, and to look through it at the
end is a third of what a short one does.
"""

import gc

from django.apps import AppConfig


class Started(AppConfig):
    name = "tests.support"

    def ready(self) -> None:
        gc.freeze()
        gc.enable()
