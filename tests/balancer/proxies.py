"""nginx and haproxy with the files that are shipped; what differs from site to site is filled in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.processes import HOST, ROOT, Process, free_port

__all__ = ["DEPLOY", "HAPROXY", "KINDS", "NGINX", "Haproxy", "Nginx", "Proxy", "fill"]

DEPLOY = ROOT / "example_project" / "deploy"

# Debian has them where only root's PATH leads.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
NGINX = shutil.which("nginx", path=_PATH)
HAPROXY = shutil.which("haproxy", path=_PATH)


def fill(path: Path, values: Mapping[str, str]) -> str:
    """A file's text with values of this machine; what they stand for must be there, once each."""
    text = path.read_text("utf-8")
    for value, new in values.items():
        assert text.count(value) == 1, f"{path.name} has {value!r} {text.count(value)} times, not once"
        text = text.replace(value, new)
    return text


class Proxy(Process):
    """A proxy in front of two servers; on ``tls_port`` it talks TLS.

    Args:
        servers: host and port of each.
        certificate: a file with a certificate and its key.
        idle_seconds: after how many seconds of silence it cuts a socket.
    """

    tls_port: int

    def url(self, path: str, *, scheme: str = "ws") -> str:
        """A URL of the proxy: of ws, wss, http or https."""
        port = self.tls_port if scheme in ("wss", "https") else self.port
        return f"{scheme}://{HOST}:{port}{path}"


class Nginx(Proxy):
    """nginx, with the file filled in."""

    def __init__(self, servers: Sequence[str], certificate: Path, idle_seconds: int = 60) -> None:
        port, self.tls_port = free_port(), free_port()
        super().__init__([], port)
        home = Path(self.directory.name)
        one, two = servers
        #: What is below "static" in it is served at /static/.
        self.root = home / "build"
        (home / "nginx.conf").write_text(
            fill(
                DEPLOY / "nginx.conf",
                {
                    "listen 80;": f"listen {HOST}:{port};",
                    "server 127.0.0.1:8001 ": f"server {one} ",
                    "server 127.0.0.1:8002 ": f"server {two} ",
                    "root /srv/mysite/build;": f"root {self.root};",
                    "proxy_read_timeout 60s;": f"proxy_read_timeout {idle_seconds}s;",
                    # Of the machine, not of the site: a process of the tests keeps to its directory.
                    "user www-data;\n": "",
                    "/run/nginx.pid": f"{home}/nginx.pid",
                    "/var/log/nginx/error.log": "stderr",
                    "/var/log/nginx/access.log": f"{home}/access.log",
                    "http {\n": "http {\n" + "".join(f"{kind}_temp_path {home}/{kind};\n" for kind in _TEMPORARY),
                },
            )
        )
        (home / "tls.d").mkdir()
        (home / "tls.d" / "nginx-tls.conf").write_text(
            fill(
                DEPLOY / "nginx-tls.conf",
                {
                    "listen 443 ": f"listen {HOST}:{self.tls_port} ",
                    "/etc/ssl/certs/fastws.pem": str(certificate),
                    "/etc/ssl/private/fastws.key": str(certificate),
                },
            )
        )
        assert NGINX is not None
        # As root, nginx would have its workers run as somebody who may not read the directory.
        user = ["user root;"] if os.geteuid() == 0 else []
        self.command = [NGINX, "-p", str(home), "-c", f"{home}/nginx.conf", "-g", " ".join(["daemon off;", *user])]


_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Haproxy(Proxy):
    """haproxy, with the file as it is."""

    def __init__(self, servers: Sequence[str], certificate: Path, idle_seconds: int = 60) -> None:
        port, self.tls_port = free_port(), free_port()
        one, two = servers
        assert HAPROXY is not None
        super().__init__(
            [HAPROXY, "-db", "-f", str(DEPLOY / "haproxy.cfg")],
            port,
            {
                "FASTWS_BIND": f"{HOST}:{port}",
                "FASTWS_TLS_BIND": f"{HOST}:{self.tls_port}",
                "FASTWS_CERTIFICATE": str(certificate),
                "FASTWS_SERVER_1": one,
                "FASTWS_SERVER_2": two,
                "FASTWS_IDLE": f"{idle_seconds}s",
            },
        )


KINDS: dict[str, type[Nginx] | type[Haproxy]] = {"nginx": Nginx, "haproxy": Haproxy}
