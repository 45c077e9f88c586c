"""A script of its own: python notify.py "The shop is closed." """

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
django.setup()

from django_fastws import Room

Room("news").broadcast({"type": "news", "text": sys.argv[1]})
