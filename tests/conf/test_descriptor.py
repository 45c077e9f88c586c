"""The descriptor of a setting: a row of the table, and the property that reads it."""

from django.test import override_settings

from django_fastws.conf import SETTINGS, conf
from django_fastws.conf.descriptor import Setting
from django_fastws.conf.kinds import SECONDS
from tests.support.subprocesses import run


class Table:
    reading_seconds = Setting(SECONDS, 5, "How long reading may take.")


def test_it_is_named_by_its_attribute_with_the_prefix():
    assert Table.reading_seconds.name == "FASTWS_READING_SECONDS"
    assert Table.reading_seconds.attribute == "reading_seconds"
    assert all(name == row.name == f"FASTWS_{row.attribute.upper()}" for name, row in SETTINGS.items())


def test_the_table_has_the_row_and_its_instance_the_value():
    assert isinstance(Table.reading_seconds, Setting)
    with override_settings(FASTWS_READING_SECONDS=7):
        assert Table().reading_seconds == Table.reading_seconds.current == 7


def test_a_default_is_read_by_the_kind_as_what_is_set_is():
    value = Table().reading_seconds
    assert (value, type(value)) == (5.0, float)


def test_nothing_is_kept_of_what_was_set():
    for seconds in (1, 2):
        with override_settings(FASTWS_IDLE_TIMEOUT=seconds):
            assert conf.idle_timeout == seconds
    assert conf.idle_timeout is None


def test_what_is_set_in_the_projects_module_is_read_too(tmp_path):
    (tmp_path / "project_settings.py").write_text("FASTWS_IDLE_TIMEOUT = 30\n")
    # The first read loads the settings.
    code = "from django_fastws.conf import conf; print(conf.idle_timeout, conf.idle_timeout, conf.max_lifetime)"
    done = run(code, {"DJANGO_SETTINGS_MODULE": "project_settings"}, tmp_path)
    assert done.stdout.split() == ["30", "30", "None"], done.stderr
