"""The pages of the example. The live rooms are in each app's ``consumers.py``."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.index, name="index"),
    path("desk/", include("example_project.desk.urls")),
    path("market/", include("example_project.market.urls")),
    path("board/", include("example_project.board.urls")),
    path("chat/", include("example_project.chat.urls")),
    path("tables/", include("example_project.tables.urls")),
    path("news/", include("example_project.news.urls")),
    path("live/", include("django_fastws.urls")),  # the docs page: every room, to read and to try
    path("code/<app>/", views.source, name="source"),
    path("code/<app>/<path:path>", views.source, name="source"),
    path("people/", views.people, name="people"),
    path("people/<name>/", views.be, name="be"),
    path("name/", views.call_me, name="name"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
