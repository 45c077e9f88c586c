"""The console on a site of one's own."""

from django.contrib.admin import AdminSite
from django_fastws.admin import register_console

operations = AdminSite("operations")
register_console(operations)
