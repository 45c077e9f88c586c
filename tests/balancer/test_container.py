"""The container file and the Kubernetes manifest: as text, and as far as they can be followed without a container."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import yaml
from django.core.management import get_commands

from django_fastws.conf import conf
from tests.balancer.proxies import DEPLOY
from tests.support.processes import HOST, ROOT, Process, free_port

# The container file


class Instruction(NamedTuple):
    """One instruction of a container file."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """In the form without a shell, those of the JSON list behind the flags."""
        return json.loads(self.rest[self.rest.index("[") :]) if "[" in self.rest else shlex.split(self.rest)


def instructions() -> list[Instruction]:
    text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [Instruction(*line.split(maxsplit=1)) for line in lines]


def those(name: str) -> list[Instruction]:
    return [instruction for instruction in instructions() if instruction.name == name]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the container file copies, and no more."""
    directory = tmp_path_factory.mktemp("image")
    for copy in those("COPY"):
        *sources, destination = copy.words
        for source in sources:
            here, there = ROOT / source, directory / destination
            if here.is_dir():
                shutil.copytree(here, there, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                assert destination.endswith("/")
                shutil.copy(here, there)
    return directory


@pytest.fixture(scope="module")
def environment(copied: Path) -> dict[str, str]:
    """That of the image, with the data in a directory that is there."""
    set_by_image = dict(word.split("=", 1) for instruction in those("ENV") for word in instruction.words)
    machine = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTHON", "TEST_"))
    }
    set_by_image["DATABASE_PATH"] = set_by_image["DATABASE_PATH"].replace("/data", f"{copied}")
    return machine | set_by_image


def test_the_container_file_has_the_instructions_it_should():
    names = [instruction.name for instruction in instructions()]
    assert names[0] == "FROM"
    assert names[-1] == "CMD"
    assert set(names) == {
        "FROM", "ENV", "WORKDIR", "COPY", "RUN", "VOLUME", "USER", "EXPOSE", "HEALTHCHECK", "CMD",
    }  # fmt: skip
    assert names.index("USER") > max(index for index, name in enumerate(names) if name == "RUN")
    [user] = those("USER")
    assert int(user.rest) > 0  # not root, and a number, which Kubernetes can tell from root
    minimum = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    [version] = re.findall(r"python:3\.(\d+)-slim$", those("FROM")[0].rest)
    assert int(version) >= int(minimum.removeprefix(">=3."))
    stop_timeout = re.search(r"--stop-timeout (\d+)", (DEPLOY / "Containerfile").read_text("utf-8"))
    assert stop_timeout
    assert int(stop_timeout[1]) >= conf.drain_seconds + 5


def test_what_is_copied_is_enough_to_install_the_package(copied):
    project = tomllib.loads((copied / "pyproject.toml").read_text("utf-8"))
    fragments = project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["fragments"]
    needed = [fragment["path"] for fragment in fragments if "path" in fragment]
    assert needed
    needed += project["project"]["license-files"]
    needed += project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [name for name in needed if not (copied / name).exists()] == []
    assert [run.rest for run in those("RUN") if run.words[0] == "pip"] == ["pip install --no-cache-dir ."]


@pytest.mark.long
@pytest.mark.server
@pytest.mark.slow
def test_what_is_copied_is_enough_to_serve(copied, environment):
    for run in those("RUN"):
        if run.words[:2] == ["python", "manage.py"]:
            assert run.words[2] in get_commands()
            subprocess.run([sys.executable, *run.words[1:]], cwd=copied, env=environment, check=True)
    assert (copied / "build" / "static" / "page.js").is_file()
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]  # of the volume, before the first start
    subprocess.run(migrate, cwd=copied, env=environment, check=True)

    [command], [check], [exposed] = those("CMD"), those("HEALTHCHECK"), those("EXPOSE")
    port = free_port()
    here = {"python": sys.executable, "0.0.0.0": HOST, exposed.rest: f"{port}"}
    assert set(here) <= set(command.words)
    server = Process([here.get(word, word) for word in command.words], port, environment)
    server.environment = environment | {"PYTHONUNBUFFERED": "1"}
    server.cwd = copied
    with server:
        answer = httpx2.get(f"http://{HOST}:{port}/", headers={"Host": "localhost"}, trust_env=False, timeout=60)
        assert "Live rooms" in answer.text
        healthy = [here.get(word, word).replace(f":{exposed.rest}/", f":{port}/") for word in check.words]
        assert conf.health_path in healthy[-1]
        assert subprocess.run(healthy, check=False).returncode == 0
        assert server.stop() == 0
        assert subprocess.run(healthy, stderr=subprocess.DEVNULL, check=False).returncode != 0


# Kubernetes

VERSIONS = {"Deployment": "apps/v1", "Service": "v1", "PodDisruptionBudget": "policy/v1"}
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))


def the(kind: str, name: str) -> dict[str, Any]:
    [found] = [one["spec"] for one in OBJECTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


@pytest.fixture
def pod() -> dict[str, Any]:
    spec: dict[str, Any] = the("Deployment", "fastws-example")["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    [container] = pod["containers"]
    return dict(container)


def test_kinds_and_versions_belong_together():
    assert all(one["apiVersion"] == VERSIONS[one["kind"]] for one in OBJECTS)
    assert {one["kind"] for one in OBJECTS} == VERSIONS.keys()


def test_everything_selects_pods_that_there_are():
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in OBJECTS if one["kind"] == "Deployment"]
    for one in OBJECTS:
        selector = one["spec"]["selector"]
        assert selector.get("matchLabels", selector) in labels
        if one["kind"] == "Deployment":
            assert selector["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]


def test_services_lead_to_ports_that_are_open():
    for one in OBJECTS:
        if one["kind"] == "Service":
            pod = the("Deployment", one["metadata"]["name"])["template"]["spec"]
            names = {port["name"] for container in pod["containers"] for port in container["ports"]}
            assert {port["targetPort"] for port in one["spec"]["ports"]} == names


def test_the_container_is_the_one_of_the_container_file(pod, container):
    assert {container["image"], *(one["image"] for one in pod["initContainers"])} == {"fastws-example"}
    assert "--tag fastws-example " in (DEPLOY / "Containerfile").read_text("utf-8")
    assert not container.keys() & {"command", "args"}
    assert f"{container['ports'][0]['containerPort']}" == those("EXPOSE")[0].rest
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == [one.rest for one in those("VOLUME")]
    assert f"{pod['securityContext']['fsGroup']}" == those("USER")[0].rest
    for one in pod["initContainers"]:
        assert one["command"][:2] == ["python", "manage.py"]
        assert one["command"][2] in get_commands()


def test_the_probes_ask_the_server(container):
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": conf.health_path, "liveness": conf.health_path, "readiness": conf.ready_path}
    for name in paths:
        assert container[f"{name}Probe"]["httpGet"]["port"] == container["ports"][0]["name"]


def test_the_pod_has_the_time_that_a_drain_takes(pod, container):
    program, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    assert pod["terminationGracePeriodSeconds"] >= int(seconds) + conf.drain_seconds + 5


def test_a_new_pod_is_there_before_an_old_one_goes():
    deployment = the("Deployment", "fastws-example")
    assert deployment["replicas"] >= 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert the("PodDisruptionBudget", "fastws-example")["minAvailable"] < deployment["replicas"]


def test_the_environment_is_what_the_settings_read(container):
    settings = (ROOT / "example_project" / "settings.py").read_text("utf-8")
    values = {one["name"]: one.get("value") for one in container["env"]}
    assert {name for name in values if f'"{name}"' not in settings} == set()
    redis = re.fullmatch(r"redis://([\w-]+):(\d+)", values["REDIS_URL"])
    assert redis
    assert the("Service", redis[1])["ports"][0]["port"] == int(redis[2])
