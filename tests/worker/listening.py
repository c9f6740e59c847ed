"""Finds the port at which workerd itself serves the Worker, behind wrangler's proxy."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx

_PROC = Path("/proc")
_LISTENS = "0A"  # the state in /proc/net/tcp
_LOOK_SECONDS = 10


def workerd_url(process_id: int, *, but: int) -> str | None:
    """The address of the Worker below this process; `but` is the port of wrangler's proxy. None
    where there is no /proc, and the proxy has to do."""
    ports = {port for found in workerd_ports(process_id).values() for port in found}
    for port in sorted(ports - {but}):
        url = f"http://localhost:{port}"
        with suppress(httpx.HTTPError):
            answer = httpx.get(f"{url}/healthz", timeout=_LOOK_SECONDS)
            # Others of these ports belong to the emulator, and to wrangler's own services.
            if answer.status_code == 200 and "version" in answer.json():
                return url
    return None


def debugger_url(process_id: int, worker: str) -> str:
    """The address of the debugger's session with this Worker, of this process or below it."""
    ports = {port for found in workerd_ports(process_id).values() for port in found}
    for port in sorted(ports):
        with suppress(httpx.HTTPError, ValueError):
            found = httpx.get(f"http://127.0.0.1:{port}/json", timeout=_LOOK_SECONDS).json()
            # Others of these ports answer with an object.
            for target in found if isinstance(found, list) else ():
                if target["id"] == worker:
                    return str(target["webSocketDebuggerUrl"])
    raise LookupError(f"no debugger of {worker}")


def workerd_ports(process_id: int) -> dict[int, set[int]]:
    """The workerd processes among this process and those below it, and the ports of each. Empty
    where there is no /proc."""
    if not _PROC.is_dir():
        return {}
    lines = [line.split() for line in (_PROC / "net" / "tcp").read_text().splitlines()[1:]]
    ports = {
        f"socket:[{fields[9]}]": int(fields[1].rpartition(":")[2], 16)
        for fields in lines
        if fields[3] == _LISTENS
    }
    return {
        workerd: {ports[name] for name in _sockets(workerd) if name in ports}
        for workerd in _descendants(process_id)
    }


def _descendants(process_id: int) -> Iterator[int]:
    """The workerd processes among a process and those below it."""
    children: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                head, tail = (folder / "stat").read_text().rsplit(")", 1)
                names[int(folder.name)] = head.partition("(")[2]
                children.setdefault(int(tail.split()[1]), []).append(int(folder.name))
    waiting = [process_id]
    while waiting:
        each = waiting.pop()
        waiting += children.get(each, [])
        if names.get(each) == "workerd":
            yield each


def _sockets(process_id: int) -> Iterator[str]:
    with suppress(OSError):
        for entry in (_PROC / str(process_id) / "fd").iterdir():
            with suppress(OSError):
                yield str(entry.readlink())
