"""What a machine must do for us: take a file, run a command, give a file back."""

from __future__ import annotations

import secrets
import subprocess
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from tvm_sparse.errors import DeviceError

_TRANSFER = 120.0  # seconds that sending a file may take


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of a command.

    Parameters
    ----------
    status : int
        0 if it went well.
    output : bytes
    error : str
    """

    status: int
    output: bytes
    error: str


class Shell(ABC):
    """A machine on which commands run, in a folder of ours.

    Parameters
    ----------
    name : str
        What the machine is called in messages.
    base : str
        The folder in which ours is made.
    """

    _install: ClassVar[str]

    def __init__(self, name: str, base: str) -> None:
        self.name = name
        self.folder = f"{base}/tvm_sparse-{secrets.token_hex(4)}"

    @abstractmethod
    def _command(self, line: str) -> list[str]:
        """Return the command, here, that runs a line of shell there."""

    @abstractmethod
    def _is_lost(self, ran: Ran) -> bool:
        """Whether the machine was not reached."""

    @abstractmethod
    def push(self, file: Path, name: str) -> None:
        """Send a file into the folder.

        Raises
        ------
        DeviceError
            If the machine is lost or cannot store it.
        """

    @abstractmethod
    def pull(self, name: str, file: Path) -> None:
        """Get a file from the folder; errors as `push`."""

    def run(self, line: str, seconds: float) -> Ran:
        """Run a line of shell in the folder.

        Parameters
        ----------
        line : str
        seconds : float
            After which the machine is given up.

        Raises
        ------
        DeviceError
            If the machine is lost, or does not answer.
        """
        inside = f"mkdir -p {self.folder} && cd {self.folder} && {line}"
        return self._ask(self._command(inside), seconds)

    def remove(self) -> None:
        """Remove the folder; it is made again when needed.

        Raises
        ------
        DeviceError
            As `run` raises.
        """
        self._ask(self._command(f"rm -rf {self.folder}"))

    def _ask(
        self, command: list[str], seconds: float | None = None, given: IO[bytes] | None = None
    ) -> Ran:
        """Run a command here that reaches the machine; `given` is its input."""
        seconds = seconds or _TRANSFER
        # Files, not pipes: ssh leaves a process behind that would hold these open.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error:
            try:
                status = subprocess.run(
                    command,
                    stdin=given or subprocess.DEVNULL,
                    stdout=output,
                    stderr=error,
                    timeout=seconds,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired as late:
                raise DeviceError(f"{self.name} did not answer within {seconds:.0f} s") from late
            except FileNotFoundError as missing:
                raise DeviceError(f"{command[0]} is missing: {self._install}") from missing
            ran = Ran(status=status, output=_content(output), error=_content(error).decode())
        if self._is_lost(ran):
            raise DeviceError(f"lost {self.name}: {_last(ran.error) or 'no reason was given'}")
        return ran

    def _transferred(self, ran: Ran, name: str) -> None:
        """Raise an error if a file was not transferred."""
        if ran.status != 0:
            raise DeviceError(f"{self.name} cannot store or send {name}: {_last(ran.error)}")


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _last(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
