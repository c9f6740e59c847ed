"""The root of all errors that the product raises on purpose."""

from typing import Any, ClassVar


class EdgeNeuroError(Exception):
    """The root: `message` is for people, `code` for programs, `param` names the field at fault."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: str = "internal_error"
    # What callers without the scope `read` get instead of a message about the installation.
    public_message: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        hint: str = "",
    ) -> None:
        """`hint` is for callers with the scope `read`: what to change in the installation."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param
        self.headers = headers or {}
        if code is not None:
            self.code = code

    def details(self) -> dict[str, Any]:
        """What goes beside the error's own fields."""
        return {}
