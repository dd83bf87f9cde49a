"""The stages of dvc.yaml and the commands around them: thin scripts over `modelmill`."""

import sys
from collections.abc import Callable

from modelmill.errors import ModelmillError

NOTHING_LEFT = "nothing half-written was left behind"


def run(main: Callable[[], None]) -> None:
    """Runs a command; what the user can put right ends in one line and exit code 2."""
    try:
        main()
    except ModelmillError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a disk that is full, a folder that may not be written
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop or NOTHING_LEFT}", file=sys.stderr)
        sys.exit(130)
