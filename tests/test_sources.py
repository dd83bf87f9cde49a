"""Raw files come from the first source that has them, verified, or not at all."""

import gzip
import hashlib
import io
import itertools
import os
import random
import shutil
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from modelmill.datasets import archives, sources
from modelmill.datasets.settings import Dataset
from modelmill.errors import ModelmillError

FILES = {"a.txt": b"alpha\n" * 40, "b.txt": b"beta\n"}
MEMBERS = {name: {"paths": [f"data/{name}"]} for name in FILES}
CONTENT = {f"data/{name}": content for name, content in FILES.items()}


def announced(content):
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def dataset(*found_at, files=FILES):
    return Dataset(
        about="",
        reader="text",
        generate=None,
        files={name: announced(content) for name, content in files.items()},
        sources=list(found_at),
        options={},
    )


def https(host="one.test", files=FILES, **options):
    urls = {name: f"https://{host}/{name}" for name in files}
    return {"kind": "https", "urls": urls, **options}


def package(kind, archive, members=MEMBERS):
    return {
        "kind": kind,
        "package": "things==1.0+cpu" if kind == "wheel" else "@our/things@1.0.0-beta.1",
        "members": members,
        **announced(archive),
    }


def wheel(content=CONTENT):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tgz(content=CONTENT, special=()):
    """A .tgz of some files, and of `special` entries: (name, type, link name)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, kind, target in special:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    return buffer.getvalue()


class Outcome(NamedTuple):
    files: dict[str, bytes]
    said: list[str]
    error: str


def fetch(description, root):
    """What `sources.fetch` leaves in an empty folder, and that it leaves nothing elsewhere."""
    target, scratch, kept = root / "target", root / "scratch", root / "kept"
    target.mkdir()
    scratch.mkdir()
    said, error = [], ""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(scratch))
        try:
            sources.fetch("things", description, target, kept, said.append)
        except ModelmillError as raised:
            error = str(raised)
    assert list(scratch.iterdir()) == []
    return Outcome({path.name: path.read_bytes() for path in target.iterdir()}, said, error)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv(sources.MIRROR, raising=False)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def get(tmp_path):
    return lambda *found_at, files=FILES: fetch(dataset(*found_at, files=files), tmp_path)


@pytest.fixture
def refused(get):
    """Fetches in vain: the target stays empty. Returns the error."""

    def run(*found_at, files=FILES):
        outcome = get(*found_at, files=files)
        assert outcome.files == {}
        assert outcome.error
        return outcome.error

    return run


# --- a mirror in a folder --------------------------------------------------------------------


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    folder = tmp_path / "mirror"
    (folder / "things").mkdir(parents=True)
    for name, content in FILES.items():
        (folder / "things" / name).write_bytes(content)
    monkeypatch.setenv(sources.MIRROR, str(folder))
    return folder / "things"


def test_the_mirror_comes_before_the_configured_sources(get, mirror):
    outcome = get(https())
    assert outcome.files == FILES
    assert outcome.said == [f"things: trying mirror {mirror}"]


@pytest.mark.fault("other bytes than announced", "refused; the next source is used")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"beta", "b.txt has 4 bytes instead of 5"),
        (b"beta\n\n", "b.txt: more than the announced 5 bytes"),
        (b"bete\n", "b.txt has SHA-256"),
        (None, "b.txt: No such file or directory"),
    ],
)
def test_one_wrong_file_refuses_the_source(refused, mirror, content, reason):
    if content is None:
        (mirror / "b.txt").unlink()
    else:
        (mirror / "b.txt").write_bytes(content)
    assert reason in refused()


def test_when_nothing_answers_one_error_lists_all_and_says_how_to_help(refused, mirror, tmp_path):
    (mirror / "a.txt").unlink()
    absent = {"kind": "installed", "package": "no-such-thing", "members": MEMBERS}
    assert refused(absent, absent).splitlines() == [
        "no source of data set 'things' answered:",
        f"  mirror {mirror}: a.txt: No such file or directory",
        "  installed no-such-thing: is not installed",
        "  installed no-such-thing: is not installed",
        "To supply the files by hand, put a.txt, b.txt into FOLDER/things/ "
        "and set DATASETS_MIRROR=FOLDER (a URL prefix works as well).",
    ]


# --- what was fetched before -----------------------------------------------------------------


@pytest.fixture
def again(get, mirror, tmp_path):
    """Fetches once more, where the mirror has gone."""

    def run(*found_at, files=FILES):
        shutil.rmtree(mirror)
        for folder in ("target", "scratch"):
            shutil.rmtree(tmp_path / folder)
        return get(*found_at, files=files)

    return run


def test_what_was_fetched_once_is_not_fetched_again(get, again):
    get()
    outcome = again()
    assert outcome.files == FILES
    assert outcome.said == ["things: trying the files fetched before"]


def test_a_data_set_made_of_the_same_files_fetches_nothing(get, again):
    get()
    renamed = {f"other-{name}": content for name, content in FILES.items()}
    outcome = again(files=renamed)
    assert outcome.files == renamed
    assert outcome.said == ["things: trying the files fetched before"]


def test_what_was_fetched_and_is_damaged_is_fetched_again(get, again, site, tmp_path):
    get()
    (tmp_path / "target/b.txt").write_bytes(b"bete\n")  # the same file as the one that is kept
    outcome = again(https())
    assert outcome.files == FILES
    assert outcome.said[1].startswith("things: the files fetched before failed: b.txt has SHA-256")
    assert site.asked == ["/a.txt", "/b.txt"]


def test_files_of_other_content_than_before_are_fetched(get, again, site):
    get()
    site.answers["/b.txt"] = b"gamma\n"
    changed = FILES | {"b.txt": b"gamma\n"}
    assert again(https(files=changed), files=changed).files == changed


# --- http ------------------------------------------------------------------------------------

Answer = bytes | Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A loopback server: what it answers at each path, and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {f"/{name}": data for name, data in FILES.items()}
        self.asked: list[str] = []
        self.authorization: str | None = None
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                site.authorization = self.headers["Authorization"]
                answer = site.answers.get(self.path, status(404))
                try:
                    reply(len(answer), answer)(self) if isinstance(answer, bytes) else answer(self)
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"


def reply(length, body, code=200, **headers):
    """An answer that announces `length` bytes (None: does not say) and sends `body`."""

    def answer(handler):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        if length is not None:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def status(code, **headers):
    return reply(0, b"", code, **headers)


def endless(block, code=200, **headers):
    def answer(handler):
        reply(None, b"", code, **headers)(handler)
        while True:
            handler.wfile.write(block)

    return answer


@pytest.fixture
def site(monkeypatch):
    """A site that stands for every https host, as if TLS had been taken off before it."""
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    plain_get = requests.Session.get

    def secure_get(session, url, **options):
        if url.startswith("https://"):
            _, _, host, path = url.split("/", 3)
            assert host.endswith(".test")
            url = f"http://{site.address}/{path}"
        return plain_get(session, url, **options)

    monkeypatch.setattr(requests.Session, "get", secure_get)
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


def test_files_come_over_https(get, site):
    outcome = get(https())
    assert outcome.files == FILES
    assert outcome.said == ["things: trying one.test"]


def test_gzipped_files_come_over_https(get, site):
    site.answers = {f"/{name}": gzip.compress(data) for name, data in FILES.items()}
    assert get(https(gzip=True)).files == FILES


def test_a_failing_source_falls_through_to_the_next_and_says_why(get, site, mirror):
    (mirror / "a.txt").unlink()
    site.answers["/broken/a.txt"] = status(500)
    broken = https()
    broken["urls"]["a.txt"] = "https://one.test/broken/a.txt"
    outcome = get(broken, https("two.test"), https("three.test"))
    assert outcome.files == FILES
    assert outcome.said == [
        f"things: trying mirror {mirror}",
        f"things: mirror {mirror} failed: a.txt: No such file or directory",
        "things: trying one.test",
        "things: one.test failed: a.txt: HTTP status 500",
        "things: trying two.test",
    ]


PACKED = gzip.compress(FILES["b.txt"])


@pytest.mark.fault("a download cut short, too long, damaged", "refused; the next source is used")
@pytest.mark.parametrize(
    ("answer", "gzipped", "reason"),
    [
        (status(404), False, "HTTP status 404"),
        (status(503), False, "HTTP status 503"),
        (b"bete\n", False, "b.txt has SHA-256"),
        (reply(5, b"be"), False, "IncompleteRead"),
        (reply(None, b"be"), False, "b.txt has 2 bytes instead of 5"),
        (endless(b"x" * 65536), False, "more than the announced 5 bytes"),
        (PACKED[:-3], True, "not a whole gzip file"),
        (b"beta\n", True, "not a whole gzip file"),
        (gzip.compress(bytes(10_000_000)), True, "more than the announced"),
        (gzip.compress(b"beta\n\n"), True, "more than the announced 5 bytes"),
        (endless(bytes(65536)), True, "more than the announced"),
    ],
    ids=range(11),
)
def test_a_bad_body_is_refused(refused, site, answer, gzipped, reason):
    if gzipped:
        site.answers["/a.txt"] = gzip.compress(FILES["a.txt"])
    site.answers["/b.txt"] = answer
    assert reason in refused(https(gzip=gzipped))


@pytest.mark.fault("a server that falls silent", "refused; the next source is used")
@pytest.mark.parametrize("speaks_first", [True, False])
def test_a_silent_server_is_given_up(refused, site, monkeypatch, speaks_first):
    done = threading.Event()

    def stall(handler):
        if speaks_first:
            reply(5, b"be")(handler)
        done.wait(10)

    site.answers["/b.txt"] = stall
    monkeypatch.setattr(sources, "TIMEOUT", (1, 1.0))
    error = refused(https())
    done.set()
    assert "b.txt: " in error
    assert "timed out" in error or "no answer in time" in error


@pytest.mark.fault("a server that drips a byte now and then", "refused; the next source is used")
def test_a_server_that_drips_is_given_up(refused, site, monkeypatch):
    done, clock = threading.Event(), itertools.count(step=1000)

    def drip(handler):
        reply(5, b"b")(handler)
        done.wait(10)

    site.answers["/b.txt"] = drip
    monkeypatch.setattr(archives, "SLOWEST", 0.1)  # 2,400 seconds for the first file, 50 for this
    monkeypatch.setattr(archives, "monotonic", lambda: next(clock))
    error = refused(https())
    done.set()
    assert "b.txt: not here within 85 s: too slow" in error


@pytest.mark.fault("a pipe among a mirror's files", "refused; the next source is used")
def test_a_mirrors_pipe_is_never_waited_for(refused, mirror):
    (mirror / "b.txt").unlink()
    os.mkfifo(mirror / "b.txt")
    assert "b.txt is not a regular file" in refused()


def test_a_redirect_is_followed_without_reading_its_body(get, site):
    site.answers["/old"] = endless(b"x" * 65536, 302, Location="/b.txt")
    moved = https()
    moved["urls"]["b.txt"] = "https://one.test/old"
    assert get(moved).files == FILES


def test_a_redirect_from_https_to_http_is_never_followed(refused, site):
    site.answers["/a.txt"] = status(302, Location=f"http://{site.address}/elsewhere")
    assert "a.txt: redirected away from https" in refused(https())
    assert site.asked == ["/a.txt"]


def test_a_circle_of_redirects_ends(refused, site):
    site.answers["/a.txt"] = status(301, Location="/a.txt")
    assert "redirected more than 10 times" in refused(https())


def test_the_mirror_may_be_a_url_and_its_password_is_used_but_never_shown(get, site, monkeypatch):
    site.answers = {f"/base/things/{name}": data for name, data in FILES.items()}
    monkeypatch.setenv(sources.MIRROR, f"http://me:hunter2@{site.address}/base/")
    outcome = get()
    assert outcome.files == FILES
    assert site.authorization == "Basic bWU6aHVudGVyMg=="
    assert outcome.said == [f"things: trying mirror http://{site.address}/base/"]


@pytest.mark.parametrize(
    "url",
    [
        "http://me:hunter2@127.0.0.1:1/base",
        "http://me:hunter2@127.0.0.1:port/base",
        "http://me:hunter2@/base",
        "http://me:p@hunter2@127.0.0.1:1/base",
        "http://me:hunter2%E4%BD%A0@127.0.0.1:1/base",
        "HTTP://me:hunter2@127.0.0.1:1/base",
        "ftp://me:hunter2@127.0.0.1/base",
        "http://me:hunter2@" + "x" * 70 + ".test/base",
    ],
)
def test_an_unusable_mirror_url_is_an_error_without_its_password(get, monkeypatch, url):
    monkeypatch.setenv(sources.MIRROR, url)
    outcome = get()
    assert outcome.files == {}
    assert "a.txt: " in outcome.error
    assert "hunter2" not in outcome.error + "".join(outcome.said)


# --- packages --------------------------------------------------------------------------------


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """Replaces pip and npm by a client that delivers an archive; returns the commands it got."""

    def serve(archive, name):
        commands = []

        def run(command):
            commands.append(command)
            option = "--dest" if "pip" in command else "--pack-destination"
            Path(command[command.index(option) + 1], name).write_bytes(archive)

        monkeypatch.setattr(sources, "_run", run)
        return commands

    return serve


ARCHIVES = {"wheel": (wheel, "things-1.0-py3-none-any.whl"), "npm": (tgz, "things-1.0.tgz")}
both = pytest.mark.parametrize("kind", ARCHIVES)


@both
def test_members_of_a_package_become_files(get, registry, kind):
    make, name = ARCHIVES[kind]
    registry(make(), name)
    assert get(package(kind, make())).files == FILES


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("wheel", {"pip", "download", "--no-deps", "--only-binary=:all:", "things==1.0+cpu"}),
        ("npm", {"npm", "pack", "--ignore-scripts", "@our/things@1.0.0-beta.1"}),
    ],
)
def test_nothing_of_a_package_is_built_or_run(get, registry, kind, words):
    make, name = ARCHIVES[kind]
    commands = registry(make(), name)
    get(package(kind, make()))
    assert words <= set(commands[0])


@both
def test_a_file_may_be_joined_from_members_and_lose_its_end(get, registry, kind):
    make, name = ARCHIVES[kind]
    archive = make({"one": b"be", "two": b"ta\n\xc2\xa0\n"})
    registry(archive, name)
    members = {"b.txt": {"paths": ["one", "two"], "trim_end": "\xa0\n"}}
    files = {"b.txt": FILES["b.txt"]}
    assert get(package(kind, archive, members), files=files).files == files


def test_an_end_longer_than_the_file_is_an_error(refused, registry):
    archive = wheel({"one": b"b"})
    registry(archive, "x.whl")
    members = {"b.txt": {"paths": ["one"], "trim_end": "\n\n\n"}}
    error = refused(package("wheel", archive, members), files={"b.txt": FILES["b.txt"]})
    assert "b.txt has 0 bytes instead of 5" in error


@both
def test_another_archive_than_announced_is_not_opened(refused, registry, kind):
    make, name = ARCHIVES[kind]
    registry(make({**CONTENT, "more": b"x"}), name)
    assert f"{name} has " in refused(package(kind, make()))


@both
def test_an_archive_of_the_right_size_and_another_hash_is_not_opened(refused, registry, kind):
    make, name = ARCHIVES[kind]
    archive = make()
    registry(archive[:-1] + b"?", name)
    assert f"{name} has SHA-256" in refused(package(kind, archive))


@both
def test_a_missing_member_is_an_error(refused, registry, kind):
    make, name = ARCHIVES[kind]
    archive = make({"data/a.txt": FILES["a.txt"], "data/B.txt": FILES["b.txt"]})
    registry(archive, name)
    assert "data/b.txt" in refused(package(kind, archive))


@both
def test_a_member_larger_than_announced_is_an_error(refused, registry, kind):
    make, name = ARCHIVES[kind]
    archive = make({**CONTENT, "data/b.txt": bytes(10_000_000)})
    registry(archive, name)
    assert "b.txt: more than the announced 5 bytes" in refused(package(kind, archive))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "a.txt"),
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "data/a.txt"),
        (tarfile.FIFOTYPE, ""),
        (tarfile.CHRTYPE, ""),
        (tarfile.DIRTYPE, ""),
    ],
)
def test_a_member_that_is_no_regular_file_is_an_error(refused, registry, kind, target):
    archive = tgz({"data/a.txt": FILES["a.txt"]}, [("data/b.txt", kind, target)])
    registry(archive, "x.tgz")
    assert "data/b.txt is not a regular file" in refused(package("npm", archive))


def test_a_symbolic_link_in_a_wheel_is_not_followed(refused, registry):
    buffer = io.BytesIO(wheel({"data/a.txt": FILES["a.txt"]}))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("data/b.txt")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "a.txt")
    registry(buffer.getvalue(), "x.whl")
    assert "b.txt has SHA-256" in refused(package("wheel", buffer.getvalue()))


@both
def test_names_in_an_archive_never_become_paths(get, registry, tmp_path, kind):
    make, name = ARCHIVES[kind]
    archive = make({"../a.txt": FILES["a.txt"], f"{tmp_path}/b.txt": FILES["b.txt"], "../c": b"x"})
    registry(archive, name)
    members = {
        "a.txt": {"paths": ["../a.txt"]},
        "b.txt": {"paths": [f"{tmp_path}/b.txt"]},
    }
    assert get(package(kind, archive, members)).files == FILES
    assert {path.name for path in tmp_path.iterdir()} == {"target", "scratch", "kept"}


@both
def test_a_truncated_archive_is_an_error(refused, registry, kind):
    make, name = ARCHIVES[kind]
    archive = make({"data/a.txt": random.Random(0).randbytes(1000), "data/b.txt": b"beta\n"})[:600]
    registry(archive, name)
    assert f"{name}: " in refused(package(kind, archive))


@pytest.mark.fault("a damaged archive", "what is right, or one line that says what is wrong")
@both
@pytest.mark.fuzz
@given(data=st.data())
def test_a_damaged_archive_gives_the_files_or_an_error(kind, data):
    make, name = ARCHIVES[kind]
    archive = bytearray(make())
    for _ in range(data.draw(st.integers(1, 3))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))

    def run(command):
        Path(command[-2], name).write_bytes(archive)

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as root:
        patch.setattr(sources, "_run", run)
        outcome = fetch(dataset(package(kind, bytes(archive))), Path(root))
    assert outcome.files == ({} if outcome.error else FILES)


def test_a_client_that_delivers_nothing_is_an_error(refused, monkeypatch):
    monkeypatch.setattr(sources, "_run", lambda command: None)
    assert "0 files instead of one archive" in refused(package("wheel", wheel()))


# --- the clients themselves ------------------------------------------------------------------


@pytest.fixture
def npm(monkeypatch, tmp_path):
    """Puts a shell script on PATH as npm, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(script, mode=0o755):
        (folder / "npm").write_text(script)
        (folder / "npm").chmod(mode)
        return package("npm", tgz())

    return install


def test_npm_is_run_as_a_command(get, npm, tmp_path):
    (tmp_path / "x.tgz").write_bytes(tgz())
    script = f"""#!/bin/sh
while [ "$1" != --pack-destination ]; do shift; done
/bin/cp "{tmp_path}/x.tgz" "$2"
"""
    assert get(npm(script)).files == FILES


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("#!/bin/sh\necho 'npm error 404 no such package' >&2\nexit 1\n", "404 no such package"),
        ("#!/bin/sh\nprintf 'error \\377\\n' >&2\nexit 1\n", "error \ufffd"),
        ("#!/bin/sh\nexit 7\n", "exit code 7"),
        ("#!/no/such/shell\n", "npm is not installed"),
        ("", "npm cannot be run: Exec format error"),
    ],
)
def test_a_failing_npm_is_an_error(refused, npm, script, reason):
    assert reason in refused(npm(script))


def test_a_silent_npm_is_given_up(refused, npm, monkeypatch):
    monkeypatch.setattr(sources, "CLIENT_TIMEOUT", 0.2)
    assert "no answer within 0.2 s" in refused(npm("#!/bin/sh\nexec /bin/sleep 60\n"))


def test_npm_may_be_absent(refused, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("npm") is None
    assert "npm pack @our/things@1.0.0-beta.1: npm is not installed" in refused(
        package("npm", tgz())
    )


# --- string constants of Python files --------------------------------------------------------


@pytest.fixture
def constants(get, registry):
    """Fetches a.txt from penn['train'] in Python source."""

    def run(code, expected, **options):
        archive = wheel({"penn.py": code.encode() if isinstance(code, str) else code})
        registry(archive, "x.whl")
        members = {"a.txt": {"paths": ["penn.py"], "literal": "penn['train']", **options}}
        return get(package("wheel", archive, members), files={"a.txt": expected})

    return run


def test_a_string_constant_becomes_a_file(constants):
    code = 'penn = {}\npenn["test"] = "no"\npenn["train"] = " caf\\u00e9 \\n" \' b \\n\'\n'
    assert constants(code, " café \n b \n".encode()).files == {"a.txt": " café \n b \n".encode()}


def test_carriage_returns_go_and_the_end_is_trimmed(constants):
    code = b"penn['train'] = '''one\r\ntwo\r\n\r\n'''\r\n"
    assert constants(code, b"one\ntwo\n", trim_end="\n").files == {"a.txt": b"one\ntwo\n"}


def test_source_is_never_executed(constants, tmp_path):
    mark = tmp_path / "executed"
    code = (
        f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n"
        "raise SystemExit\npenn['train'] = 'text'\n"
    )
    assert constants(code, b"text").files == {"a.txt": b"text"}
    assert not mark.exists()


@pytest.mark.parametrize(
    "code",
    [
        "penn['train'] = __import__('os').getcwd()",
        "penn['train'] = f'{penn}'",
        "penn['train'] = 'a' + 'b'",
        "penn['train'] = 5",
        "penn['train'] = '\\ud800'",
        "penn['valid'] = 'text'",
        "if True:\n    penn['train'] = 'text'",
        "penn['train'] = 'text",
        "# coding: nope\npenn['train'] = 'text'",
        "penn['train'] = " + "(" * 5000 + "1" + ")" * 5000,
        "penn['train'] = 'te\0xt'",
        b"penn['train'] = '\xff'",
        "",
    ],
    ids=range(13),
)
def test_source_without_such_a_constant_is_an_error(constants, code):
    outcome = constants(code, b"text")
    assert outcome.files == {}
    assert "penn['train']" in outcome.error


def test_source_is_read_up_to_a_limit(constants, monkeypatch):
    monkeypatch.setattr(archives, "SOURCE_LIMIT", 1000)
    outcome = constants("penn['train'] = 'text'\n" + "#" * 1000, b"text")
    assert "more than 1,000 bytes of source" in outcome.error


def test_a_constant_longer_than_announced_is_an_error(constants):
    outcome = constants("penn['train'] = 'text' ", b"tex")
    assert "a.txt: more than the announced 3 bytes" in outcome.error


# --- installed packages ----------------------------------------------------------------------


def test_a_file_of_an_installed_package_is_copied(get):
    from importlib.metadata import distribution

    path = "sklearn/datasets/data/iris.csv"
    content = Path(str(distribution("scikit-learn").locate_file(path))).read_bytes()
    source = {
        "kind": "installed",
        "package": "scikit-learn",
        "members": {"i.csv": {"paths": [path]}},
    }
    assert get(source, files={"i.csv": content}).files == {"i.csv": content}


def test_an_installed_package_without_the_file_is_an_error(refused):
    source = {"kind": "installed", "package": "pytest", "members": MEMBERS}
    assert "data/a.txt: No such file or directory" in refused(source)
