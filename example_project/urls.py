"""The pages of the example. The WebSockets are in each app's ``consumers.py``."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

urlpatterns = [
    path("", include("example_project.chat.urls")),
    path("market/", include("example_project.market.urls")),
    path("news/", include("example_project.news.urls")),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
