"""One row of a run before it is computed."""

from dataclasses import dataclass, field
from typing import Any

from lrface.suite.located import Located
from lrface.suite.peers import Model


@dataclass(frozen=True)
class Task:
    """One row to be.

    Attributes:
        protocol: see :data:`lrface.suite.protocols.PROTOCOLS`.
        model: measured.
        found: the set; None for what needs none.
        options: everything else that decides the numbers, as JSON holds it.
        facts: what tables say of the row beforehand: mode, operator, alignment, finetuned, distractors.
    """

    protocol: str
    model: Model
    found: Located | None = None
    options: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def set(self) -> Located:
        """The set of a task that has one."""
        assert self.found is not None
        return self.found

    @property
    def title(self) -> str:
        """For progress."""
        where = [self.found.title] if self.found else []
        facts = [str(self.facts[key]) for key in ("mode", "operator") if self.facts.get(key)]
        return f"{self.model.label}: {' '.join([self.protocol, *where, *facts])}"
