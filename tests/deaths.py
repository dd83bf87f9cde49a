"""Commands that are killed when they are about to change a certain file: an event, no moment."""

from clone import Clone

# In every Python process of such a command. Each counts in the same file what it does in data/, in
# DVC's cache and to dvc.lock; who comes to the fatal number takes all others along.
CODE = """
import os, signal, sys
events = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"}
root, fatal = os.environ.get("DEATH_ROOT"), int(os.environ.get("DEATH_AT", 0))
parts = [f"{root}/{part}" for part in ("data/", ".dvc/cache/", "dvc.lock")]

def changes(event, arguments):
    if event == "open":
        path, _, flags = arguments
        return isinstance(path, str) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    return event in events

def hook(event, arguments):
    if not changes(event, arguments):
        return
    if not os.path.abspath(os.fsdecode(arguments[0])).startswith(tuple(parts)):
        return
    os.write(counter, b".")
    if os.fstat(counter).st_size == fatal:
        os.killpg(0, signal.SIGKILL)

if root and "modelmill.tracking.recording" not in sys.orig_argv:  # it lives longer than a command
    counter = os.open(os.environ["DEATH_COUNTER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.addaudithook(hook)
"""


def changes(clone: Clone, *command: str, fatal: int = 0) -> int:
    """How many changes of files a command made until it ended or was killed before the fatal one.

    Killed it is with all that it started, if it comes so far; ended, its exit code must be 0.
    """
    code, counter = clone.path / "src/sitecustomize.py", clone.path / ".git/changes"
    code.write_text(CODE, encoding="utf-8")
    counter.unlink(missing_ok=True)
    variables = {"DEATH_ROOT": clone.path, "DEATH_COUNTER": counter, "DEATH_AT": fatal}
    process = clone.started(*command, **{key: str(value) for key, value in variables.items()})
    printed, _ = process.communicate()
    counted = counter.stat().st_size
    assert process.returncode == (-9 if counted == fatal else 0), printed
    code.unlink()
    return counted
