"""Management commands ``runws_server``, ``runws_clients`` and ``ws_routes``, each in the module of its name."""
