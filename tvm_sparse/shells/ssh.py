"""A machine that is reached by ssh, with keys or an agent: nobody is there to type a password."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tvm_sparse.shells.shell import Ran, Shell

_LOST = 255  # ssh's own exit status
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    # One connection serves all commands, and ends by itself.
    "ControlMaster": "auto",
    "ControlPersist": "30",
}


class Ssh(Shell):
    """A machine that is reached by ssh; see `Shell`.

    Parameters
    ----------
    host : str
        As ssh takes it, e.g. ``pi@192.168.1.20``, ``ssh://pi@board:2222``, or a name of
        ``~/.ssh/config``.
    """

    _install = "apt-get install openssh-client"

    def __init__(self, host: str) -> None:
        super().__init__(host, "/tmp")
        chosen = {**_OPTIONS, "ControlPath": f"{tempfile.gettempdir()}/tvm_sparse-%C"}
        ours = [f"-o{name}={value}" for name, value in chosen.items()]
        self._line = ["ssh", *ours, "--", host]

    def push(self, file: Path, name: str) -> None:
        """Send a file; see `Shell`."""
        line = f"mkdir -p {self.folder} && cat > {self.folder}/{name}"
        with file.open("rb") as content:
            self._transferred(self._ask(self._command(line), given=content), name)

    def pull(self, name: str, file: Path) -> None:
        """Get a file; see `Shell`."""
        ran = self._ask(self._command(f"cat {self.folder}/{name}"))
        self._transferred(ran, name)
        file.write_bytes(ran.output)

    def _command(self, line: str) -> list[str]:
        return [*self._line, line]

    def _is_lost(self, ran: Ran) -> bool:
        return ran.status == _LOST
