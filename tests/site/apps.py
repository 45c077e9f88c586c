"""The application of the tests, which is the last to be ready."""

import gc

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "tests.site"

    def ready(self) -> None:
        """Begin with collecting garbage, but not in what is imported: hundreds of processes start in a run."""
        gc.freeze()
        gc.enable()
