"""The default site, and one of its own."""

from django.contrib import admin
from django.urls import path

from django_fastws.admin import register_console

own_site = admin.AdminSite("own")
register_console(own_site)

urlpatterns = [path("admin/", admin.site.urls), path("own/", own_site.urls)]
