"""An app with a runserver made from the next one, as whitenoise's runserver_nostatic is."""
