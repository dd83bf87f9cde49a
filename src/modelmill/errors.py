"""What a person is meant to read when something went wrong."""

import re


class ModelmillError(Exception):
    """Something the user can put right; the message says what, where and how."""


def without_credentials(text: str) -> str:
    """`text` without the ``user:password@`` of the addresses in it."""
    return re.sub(r"//[^/\s]*@", "//", text)
