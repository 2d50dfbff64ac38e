"""An Android phone that is reached by adb, over USB or the network."""

from __future__ import annotations

import re
from pathlib import Path

from tvm_sparse.shells.shell import Ran, Shell

# What adb says of a phone that it does not reach.
_LOST = re.compile(
    r"no devices|device .*not found|device (offline|unauthorized|still)|error: closed"
    r"|failed to connect|cannot connect|protocol fault|connection reset|more than one device"
)


class Adb(Shell):
    """A phone that is reached by adb; see `Shell`.

    Parameters
    ----------
    serial : str
        As ``adb devices`` tells it; empty where there is one phone.
    """

    _install = "apt-get install adb, or Android's platform tools"

    def __init__(self, serial: str = "") -> None:
        super().__init__(f"phone {serial}".strip(), "/data/local/tmp")
        self._line = ["adb", *(["-s", serial] if serial else [])]

    def push(self, file: Path, name: str) -> None:
        """Send a file; see `Shell`."""
        ran = self._ask([*self._line, "push", str(file), f"{self.folder}/{name}"])
        self._transferred(ran, name)

    def pull(self, name: str, file: Path) -> None:
        """Get a file; see `Shell`."""
        ran = self._ask([*self._line, "pull", f"{self.folder}/{name}", str(file)])
        self._transferred(ran, name)

    def _command(self, line: str) -> list[str]:
        return [*self._line, "shell", line]

    def _is_lost(self, ran: Ran) -> bool:
        return ran.status != 0 and _LOST.search(ran.error) is not None
