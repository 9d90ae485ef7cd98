"""The folder a stack lives in: where its files are, its secrets, keys and ports."""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_HOME = ".govopen"
DEFAULT_PORT = 8600
PORT_NAMES = ("postgres", "redis", "search", "ckan", "service", "stripe")
PORT_RANGE = range(20000, 32000)
"""Below Linux's ephemeral range (from 32768), so that no outgoing connection takes a port between two starts."""
SECRET_NAMES = (
    "postgres", "ckan", "datastore_ro", "datastore_rw", "govopen", "redis", "ckan_secret_key", "ckan_csrf",
    "ckan_api_token", "stripe_webhook", "sysadmin", "search",
)


@dataclass(frozen=True)
class Home:
    """Paths of one stack; ``path`` is absolute."""

    path: Path

    @classmethod
    def at(cls, path: str | os.PathLike[str] | None = None) -> Home:
        """The home at ``path``, else ``GOVOPEN_HOME``, else ``.govopen`` here."""
        return cls(Path(path or os.environ.get("GOVOPEN_HOME") or DEFAULT_HOME).expanduser().absolute())

    @property
    def state(self) -> Path:
        return self.path / "stack.json"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def secrets_folder(self) -> Path:
        return self.path / "secrets"

    @property
    def ckan_ini(self) -> Path:
        return self.path / "ckan.ini"

    @property
    def ckan_local_ini(self) -> Path:
        """Optional ``key = value`` lines of the operator; they win over ours."""
        return self.path / "ckan.local.ini"

    @property
    def caddyfile(self) -> Path:
        return self.path / "Caddyfile"

    @property
    def token_private_key(self) -> Path:
        """CKAN signs its short-lived identity tokens with it."""
        return self.secrets_folder / "token_private.pem"

    @property
    def token_public_key(self) -> Path:
        return self.secrets_folder / "token_public.pem"

    @property
    def signing_key(self) -> Path:
        """The service signs certificates and checkpoints with it."""
        return self.secrets_folder / "signing.pem"

    @property
    def signing_public_key(self) -> Path:
        return self.secrets_folder / "signing_public.pem"

    def prepare(self) -> None:
        """Create folders, secrets and keys that are missing; existing ones stay as they are."""
        for folder in (self.path, self.logs, self.secrets_folder, *map(self.folder, DATA_FOLDERS)):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.logs, self.secrets_folder, *map(self.folder, DATA_FOLDERS)):
            folder.chmod(0o700)  # sessions, documents and logs are nobody else's on this machine
        for name in SECRET_NAMES:
            self.secret(name)
        _keypair(self.token_private_key, self.token_public_key)
        _keypair(self.signing_key, self.signing_public_key)

    def folder(self, name: str) -> Path:
        return self.path / name

    def secret(self, name: str) -> str:
        """A password made on first use: 40 hex digits, safe in URLs and ini files."""
        file = self.secrets_folder / name
        if not file.exists():
            _write_private(file, secrets.token_hex(20).encode())
        return file.read_text(encoding="ascii").strip()

    def read_state(self) -> dict[str, Any]:
        """The last written state; empty when there is none or it cannot be read."""
        try:
            found = json.loads(self.state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def recorded(self) -> list[tuple[int | None, float | None]]:
        """(pid, creation time) of each process that stack.json names."""
        state = self.read_state()
        entries = [state.get("supervisor") or {}, *(state.get("parts") or {}).values()]
        return [(entry.get("pid"), entry.get("created")) for entry in entries]

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state in one step, so that a reader never sees half of it."""
        draft = self.state.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(json.dumps(state, indent=1, ensure_ascii=False), encoding="utf-8")
        draft.replace(self.state)


DATA_FOLDERS = ("redis", "search", "files", "webassets", "caddy", "cache")


def _write_private(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)


def _keypair(private: Path, public: Path) -> None:
    if not private.exists():
        # Loaded for the first start alone: the supervisor, which stays, does without its 7 MB.
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

        key = Ed25519PrivateKey.generate()
        _write_private(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nothing listens at the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose_ports(remembered: dict[str, int]) -> dict[str, int]:
    """A free port for each inner part: the one of last time if it is still free, else a random one."""
    chosen: dict[str, int] = {}
    for name in PORT_NAMES:
        port = remembered.get(name, 0)
        while port in chosen.values() or port not in PORT_RANGE or not is_free(port):
            port = secrets.choice(PORT_RANGE)
        chosen[name] = port
    return chosen
