"""Every sentence that the notebook side says by itself, in one place; a test reads each of them.

What the service, the client or Spark say is passed on as it is. `{names}` are filled in by `say`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """A sentence, or a few."""

    text: str

    def say(self, **facts: object) -> str:
        """The sentence with its facts."""
        return self.text.format(**facts)


@dataclass(frozen=True)
class Problem:
    """What went wrong or is missing, and what to do next."""

    text: str
    next: str

    def say(self, **facts: object) -> str:
        """Both sentences with their facts."""
        return f"{self.text} {self.next}".format(**facts)


# --- a query in its cell ---

QUERY_BEGINS = Message("Query: Spark plans it ({elapsed}).")
QUERY_RUNS = Message("Query: {how_far}.")
QUERY_WAITS = Message("Query: waits for its first executor ({elapsed}). {why}")
QUERY_DONE = Message("Query done in {took}{facts}.")
QUERY_INTERRUPTED = Message("Query interrupted after {took}: {done} of {tasks} were done, the rest is cancelled.")
QUERY_FAILED = Problem("Query failed after {took}.", "See the error below for the reason.")
EXECUTOR_COMES = Message("An executor is on its way.")
NO_EXECUTOR_YET = Message("The hub has been asked for one.")
