"""Migrations of the tables of histories."""
