"""How hypothesis runs the property tests of the core."""

from hypothesis import settings

# A busy machine is no failure; and what was found once is written down as an example in the test itself.
settings.register_profile("core", deadline=None, database=None, max_examples=60)
settings.load_profile("core")
