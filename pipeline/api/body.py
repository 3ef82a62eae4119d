"""What requests send as JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """A request's body. A field that it does not have is refused: a misspelt one would be taken for left out."""

    model_config = ConfigDict(extra="forbid")
