"""The names by which the Worker may be called."""

from urllib.parse import urlsplit

from edgeneuro.errors import PermissionDeniedError


def require_host(host: str | None, allowed: tuple[str, ...]) -> None:
    """`host` is the header, `allowed` are names without ports; an empty tuple allows every host.
    Raises PermissionDeniedError.

    A page of another site can have its own name resolve to 127.0.0.1 and then counts as the same
    site as a local installation. The header still has that name.
    """
    if allowed and _name(host) not in allowed:
        raise PermissionDeniedError(
            f"This installation is called as {', '.join(allowed)} only. Use one of these, or add"
            " the host to ALLOWED_HOSTS.",
            code="host_not_allowed",
        )


def _name(host: str | None) -> str | None:
    try:
        name = urlsplit(f"//{host or ''}").hostname
    except ValueError:  # brackets that hold no address
        return None
    return f"[{name}]" if name is not None and ":" in name else name
