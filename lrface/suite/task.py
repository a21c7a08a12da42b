"""One row of a run before it is computed."""

from dataclasses import dataclass, field
from typing import Any

from lrface.suite.located import Located
from lrface.suite.peers import Model


@dataclass(frozen=True)
class Task:
    """One row to compute.

    Attributes:
        protocol: see :data:`lrface.suite.protocols.PROTOCOLS`.
        model: the model to measure.
        found: the set; None if the row needs none.
        options: everything else that determines the numbers, as JSON content.
        facts: entries for tables that are known in advance: mode, operator, alignment, finetuned, distractors.
    """

    protocol: str
    model: Model
    found: Located | None = None
    options: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def set(self) -> Located:
        """The set, for a task that has one."""
        assert self.found is not None
        return self.found

    @property
    def title(self) -> str:
        """A title for the progress output."""
        where = [self.found.title] if self.found else []
        facts = [str(self.facts[key]) for key in ("mode", "operator") if self.facts.get(key)]
        return f"{self.model.label}: {' '.join([self.protocol, *where, *facts])}"
