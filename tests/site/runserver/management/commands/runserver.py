from daphne.management.commands.runserver import Command as DaphneCommand


class Command(DaphneCommand):
    """daphne's, with another default."""
