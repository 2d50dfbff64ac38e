"""Where a tracker listens."""

from __future__ import annotations

from typing import NamedTuple

from tvm_sparse.errors import DeviceError

_PORT = 9190  # TVM's tracker's own


class Address(NamedTuple):
    """A host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``host:port``; without a port, that of TVM's tracker.

        Raises
        ------
        DeviceError
            If the port is no number.

        Examples
        --------
        >>> Address.parse("10.0.0.2:9191").port
        9191
        >>> Address.parse("lab").port
        9190
        """
        host, _, port = text.partition(":")
        if not host or not (port or str(_PORT)).isdigit():
            raise DeviceError(f"expected a tracker as HOST or HOST:PORT, got {text!r}")
        return cls(host, int(port or _PORT))

    def __str__(self) -> str:
        """Return ``host:port``."""
        return f"{self.host}:{self.port}"
