"""The typed entry of a data set in params.yaml: its files, and where they come from."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from modelmill.errors import ModelmillError
from modelmill.parts import part
from modelmill.schema import PositiveInt, Section, validate

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Seeded(Section):
    """What a reader needs at least to make up raw files: the same seed gives the same bytes.

    Attributes:
        seed: of all that is drawn.
    """

    seed: Annotated[int, Field(ge=0)]


class File(Section):
    """A raw file as it must be, wherever it came from.

    Attributes:
        bytes: its size.
        sha256: of its bytes, in hexadecimal.
    """

    bytes: PositiveInt
    sha256: Sha256


class Member(Section):
    """Where a file is inside a package.

    Attributes:
        paths: inside the package, joined in this order.
        literal: the string constant of a Python file that is the content, such as `penn['train']`.
        trim_end: characters that are taken off its end, once.
    """

    paths: Annotated[list[str], Field(min_length=1)]
    literal: str | None = None
    trim_end: str = ""


class Https(Section):
    """Addresses, one for each file.

    Attributes:
        urls: by name of the file.
        gzip: whether what is there is compressed.
    """

    kind: Literal["https"]
    urls: dict[str, Annotated[str, Field(pattern="^https://")]]
    gzip: bool = False


class Package(Section):
    """A pinned package, downloaded by the user's own client, unpacked as an archive, never run.

    Attributes:
        kind: from the Python package index, or from the npm registry.
        package: NAME==VERSION of a wheel, NAME@VERSION of npm's.
        bytes: the size of the archive.
        sha256: of the archive, in hexadecimal.
        members: by name of the file, where it is inside the archive.
    """

    kind: Literal["wheel", "npm"]
    package: Annotated[str, Field(pattern=r"^@?[A-Za-z0-9][\w./-]*(==|@)[\w.+-]+$")]
    bytes: PositiveInt
    sha256: Sha256
    members: dict[str, Member]


class Installed(Section):
    """A data file of an installed Python distribution, read without importing it.

    Attributes:
        package: the name of the distribution.
        members: by name of the file, where it is inside the distribution.
    """

    kind: Literal["installed"]
    package: str
    members: dict[str, Member]


Source = Annotated[Https | Package | Installed, Field(discriminator="kind")]


class Dataset(Section):
    """One entry of `datasets`; `options` and `generate` are typed by the reader.

    Attributes:
        about: one line for people.
        reader: a module of `datasets/`, which makes arrays of the files.
        generate: what the reader makes files up from; null where they come from the sources.
        files: the raw files by name, as they must be.
        sources: where they may come from, tried in this order.
        options: what the reader has to be told.
    """

    about: str
    reader: str
    generate: Any
    files: dict[str, File]
    sources: list[Source]
    options: Any

    @model_validator(mode="after")
    def _sources_have_the_files(self) -> "Dataset":
        for source in self.sources:
            offered = source.urls if isinstance(source, Https) else source.members
            if set(offered) != set(self.files):
                raise ValueError(
                    f"a source ({source.kind}) has {', '.join(offered) or 'nothing'} "
                    f"where files has {', '.join(self.files) or 'nothing'}"
                )
        return self

    def typed(self, name: str, origin: str) -> "Dataset":
        """With `options` and `generate` as the reader types them.

        Raises:
            ModelmillError: one line that names the key at fault, and the nearest valid one.
        """
        where = f"datasets.{name:.60}"
        reader = part("datasets", self.reader, f"{origin}: {where}.reader")
        typed = {"options": validate(reader.Options, self.options, f"{where}.options", origin)}
        if self.generate is not None:
            key = f"{where}.generate"
            if not hasattr(reader, "Generate"):
                raise ModelmillError(f"{origin}: {key}: reader '{self.reader}' makes nothing up")
            typed["generate"] = validate(reader.Generate, self.generate, key, origin)
        return self.model_copy(update=typed)

    def prepare(self, name: str, out: Path) -> None:
        """Makes the arrays of data set `name`, whose raw files are there, in the folder `out`.

        Raises:
            ModelmillError: there are no raw files, or the reader refuses them.
        """
        if not (raw := Path("data/raw", name)).is_dir():
            raise ModelmillError(f"{raw} is missing: run `dvc repro download@{name}`")
        reader = part("datasets", self.reader, f"datasets.{name}.reader")
        try:
            reader.prepare(raw, out, self.options)
        except ModelmillError as error:
            raise ModelmillError(f"{name}: {error}") from None
