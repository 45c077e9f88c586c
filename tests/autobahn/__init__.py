"""The fuzzing client of Autobahn's test suite against real servers: ``python -m tests.autobahn``; no test."""
