"""One question of a workload."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict


class Item(BaseModel):
    """One question with its expected answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="a text on one line, without control characters",
    )
    #: what is asked; empty where a clip is all that a speech model gets
    prompt: str = ""
    #: expected answer; several are alternatives
    answer: str | tuple[str, ...]
    #: difficulty, 1 (easy) to 3 (hard)
    level: Annotated[int, Strict()] | None = Field(None, ge=1, le=3)
    language: str | None = None
    #: SHA-256 of the file of its picture, in hex
    image: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits in lower case")
    #: SHA-256 of the file of its sound, in hex
    audio: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits in lower case")
    #: what the form of a good answer holds ("bullets 3"), as the scorer `constraints` writes it; counts as readability
    structure: tuple[str, ...] | None = None
    #: what `few_shot` shows as the answer of an example, where `answer` is none itself but says how to judge one
    shown: str | None = None

    @property
    def media(self) -> str | None:
        """SHA-256 of the file that is shown or played with the question; None where it is text alone."""
        return self.image or self.audio
