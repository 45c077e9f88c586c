"""The policy under which browsers load the pages: nothing inline, and nothing from elsewhere."""

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin


class PolicyMiddleware(MiddlewareMixin):
    """Sends a Content-Security-Policy. Django 6 has one of its own, for which ``SECURE_CSP`` is set."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the header, except to errors, for the pages of Django's own have inline styles."""
        if response.status_code < 400 and "Content-Security-Policy" not in response:
            response["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'"
        return response
