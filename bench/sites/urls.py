"""No views: only WebSockets are measured."""

urlpatterns: list[object] = []
