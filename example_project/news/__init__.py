"""Announcements: saved by a sync view, pushed to every open page."""
