"""What a person is meant to read when something went wrong."""

import re


class ModelmillError(Exception):
    """Something the user can put right; the message says what, where and how."""


def in_one_line(error: BaseException) -> str:
    """What `error` says first, without credentials; with its type, unless it is for people."""
    kind = "" if isinstance(error, ModelmillError) else f"{type(error).__name__}: "
    lines = f"{kind}{str(error).strip()}".splitlines()
    return without_credentials(lines[0] if lines else "")


def without_credentials(text: str) -> str:
    """`text` without the ``user:password@`` of the addresses in it."""
    return re.sub(r"//[^/\s]*@", "//", text)
