"""The stages of dvc.yaml and the commands around them: thin scripts over `modelmill`."""

import sys
from collections.abc import Callable

from modelmill.errors import ModelmillError


def run(main: Callable[[], None]) -> None:
    """Runs a command; what the user can put right ends in one line and exit code 2."""
    try:
        main()
    except ModelmillError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: nothing half-written was left behind", file=sys.stderr)
        sys.exit(130)
