"""Why candidates fail, in a few words: MetaSchedule tells it by tracebacks of its workers."""

from __future__ import annotations

_MEMORY = ("MemoryError", "bad_alloc", "Cannot allocate memory", "out of memory")


def reason(message: str) -> str:
    r"""Return why a candidate failed.

    Parameters
    ----------
    message : str
        What the builder or the runner said.

    Examples
    --------
    >>> reason("LocalRunner: Timeout, killed after 20.0 seconds")
    'took longer than 20 s'
    >>> reason("LocalRunner: An exception occurred\nSubprocess terminated")
    'crashed'
    """
    lines = message.strip().splitlines() or ["unknown"]
    if "Timeout, killed after" in message:
        seconds = message.split("killed after", 1)[1].split()[0]
        return f"took longer than {float(seconds):g} s"
    if any(word in message for word in _MEMORY):
        return "ran out of memory"
    if lines[-1].strip() == "Subprocess terminated":
        return "crashed"
    return lines[-1].strip().removeprefix("ValueError: ")
