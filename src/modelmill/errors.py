"""The one exception a person is meant to read."""


class ModelmillError(Exception):
    """Something the user can put right; the message says what, where and how."""
