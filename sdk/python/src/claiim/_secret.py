"""The agent's token, from where it comes to where it is bound as a parameter.

Between the two it is wrapped, so that no repr, log line, traceback with local
variables or pickle shows it.
"""

import os
from pathlib import Path
from typing import Any, Callable, NoReturn, Optional

from claiim.errors import GateMisuse


class Secret:
    """A text that shows itself to nobody who does not ask by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def blank(self) -> bool:
        """Is it no text, or an empty one?"""
        return not isinstance(self._text, str) or not self._text.strip()

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def hide_in(self, text: str) -> str:
        """``text`` without the secret in it."""
        return text.replace(self._text, "***")

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a token cannot be pickled or copied")


TokenSource = Callable[[], Optional[Secret]]


def wrapped(token: Optional[str]) -> Optional[Secret]:
    """The argument, so that whatever it meets from there on no frame holds it."""
    return None if token is None else Secret(token)


def token_source(token: Optional[Secret]) -> TokenSource:
    """Where the token comes from: the argument, CLAIIM_TOKEN, CLAIIM_TOKEN_FILE.

    The first of them that is there counts; none of them means that the database
    role proves the agent's identity.  A file is read for every call: a token that
    was rotated counts at once, and a file that is gone is an error, not "no token".
    """
    if token is not None:
        if token.blank:
            raise GateMisuse("the token is empty; for an agent that has a database role, leave it out")
        return _always(token)
    if os.environ.get("CLAIIM_TOKEN"):
        return _always(Secret(os.environ["CLAIIM_TOKEN"]))
    if os.environ.get("CLAIIM_TOKEN_FILE"):
        path = Path(os.environ["CLAIIM_TOKEN_FILE"])
        _read(path)
        return lambda: _read(path)
    return lambda: None


def _always(token: Secret) -> TokenSource:
    secret = Secret(token.reveal().strip())
    return lambda: secret


def _read(path: Path) -> Secret:
    token = problem = ""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = type(error).__name__
    # Outside of the handler: a decoding error holds what is in the file.
    if problem:
        raise GateMisuse(f"cannot read the token file {path}: {problem}")
    if not token:
        raise GateMisuse(f"the token file {path} is empty")
    return Secret(token)
