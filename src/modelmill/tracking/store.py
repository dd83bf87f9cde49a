"""The MLflow server or database that runs are written to."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from modelmill import repository
from modelmill.errors import ModelmillError, in_one_line, without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_SECONDS = 120.0
NOTE = "mlflow.note.content"  # the tag of a description in Markdown
ADDRESSES = (  # of artifacts: tables and their columns
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
KIND = "custom_model_development"  # the UI shows runs, not its pages for language-model agents


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or a SQLite database at the repository's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or database()


def database() -> str:
    """The address of the database at the repository's root, whatever its folder is called."""
    from sqlalchemy.engine import URL

    path = repository.root() / "mlflow.db"
    # With its driver's name, MLflow does not take the rest, as it is encoded, for a path to make.
    return URL.create("sqlite+pysqlite", database=str(path)).render_as_string()


def _database(uri: str) -> Path | None:
    """The file of a SQLite database, None if `uri` is no such address."""
    from sqlalchemy.engine import make_url

    name = make_url(uri).database if uri.startswith("sqlite") else None
    return Path(name).absolute() if name else None


def _require_usable(path: Path) -> None:
    """Raises ModelmillError for a file that MLflow would try to open again and again."""
    try:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise ModelmillError(f"{path}: {error}") from None


def _artifacts(database: Path, name: str) -> str:
    """The address of the files of the experiment of that name."""
    return (database.parent / "mlartifacts" / name).as_uri()


def _relocate(path: Path) -> None:
    """Makes a database that was moved or copied write beside itself, not where it was before.

    What a person put elsewhere than in ``mlartifacts/NAME`` beside a database stays there.
    """
    folder = path.parent.as_uri()
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as database, database:
        found = database.execute("SELECT name, artifact_location FROM experiments").fetchall()
        for name, before in found:
            now = _artifacts(path, name)
            ours = before.startswith("file:///") and before.endswith(now.removeprefix(folder))
            for table, column in ADDRESSES if ours and before != now else ():
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # nosec B608
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (now, len(before) + 1, before, len(before) + 1, f"{before}/"),
                )


def connect() -> "MlflowClient":
    """A client of the tracking server or database; a fresh database is made, and one that was
    moved is put right, under a lock.

    Raises:
        ModelmillError: it cannot be reached, or refuses.
    """
    from filelock import FileLock, Timeout

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # MLflow's own 7 of 120 s: a stage would wait for minutes each time no server answers.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    logging.getLogger("alembic").setLevel(logging.ERROR)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    lock, path = repository.root() / "mlflow.db.lock", _database(tracking_uri())
    try:
        with FileLock(lock, timeout=LOCK_SECONDS) if path else nullcontext():
            if path:
                _require_usable(path)
            client = MlflowClient(tracking_uri())
            client.search_experiments(max_results=1)
            if path:
                _relocate(path)
    except Timeout:
        problem = f"{lock}: another process has had it for {LOCK_SECONDS:.0f} s; try again later"
        raise ModelmillError(problem) from None
    except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        shown = without_credentials(tracking_uri())
        raise ModelmillError(f"{shown}: {in_one_line(error)}") from None
    return client


@contextmanager
def answering(doing: str) -> Iterator[None]:
    """Turns what MLflow says against it, while it is asked for something, into one line.

    Raises:
        ModelmillError: it fails or refuses.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except (MlflowException, RequestException) as error:
        raise ModelmillError(f"MLflow, {doing}: {in_one_line(error)}; try again later") from None


def experiment(client: "MlflowClient", name: str) -> str:
    """The id of the MLflow experiment of that name, which is made if there is none."""
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        if found.lifecycle_stage == "deleted":
            raise ModelmillError(
                f"its experiment '{name}' was deleted: `mlflow experiments restore --experiment-id "
                f"{found.experiment_id}` brings it back, `mlflow gc` makes room for a new one"
            )
        return found.experiment_id
    path = _database(tracking_uri())
    location = _artifacts(path, name) if path else None
    try:
        return client.create_experiment(name, location, {"mlflow.experimentKind": KIND})
    except MlflowException:  # another process was quicker
        found = client.get_experiment_by_name(name)
        if not found:
            raise
        return found.experiment_id
