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
    prompt: str
    #: expected answer; several are alternatives
    answer: str | tuple[str, ...]
    #: difficulty, 1 (easy) to 3 (hard)
    level: Annotated[int, Strict()] | None = Field(None, ge=1, le=3)
    language: str | None = None
    #: what the form of a good answer holds ("bullets 3"), as the scorer `constraints` writes it; counts as readability
    structure: tuple[str, ...] | None = None
    #: what `few_shot` shows as the answer of an example, where `answer` is none itself but says how to judge one
    shown: str | None = None
