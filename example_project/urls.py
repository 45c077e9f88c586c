"""The pages of the example. The live rooms are in each app's ``consumers.py``."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from .views import call_me

urlpatterns = [
    path("", include("example_project.chat.urls")),
    path("market/", include("example_project.market.urls")),
    path("news/", include("example_project.news.urls")),
    path("tables/", include("example_project.tables.urls")),
    path("name/", call_me, name="name"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
