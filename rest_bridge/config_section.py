"""What every section of the configuration is made of."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the file; frozen, and it refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
