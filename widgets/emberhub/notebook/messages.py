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
QUERY_WAITS = Message("Query: waits for an executor{done} ({elapsed}). {why}")
QUERY_DONE = Message("Query done in {took}{facts}.")
QUERY_INTERRUPTED = Message("Query interrupted after {took}: {done} of {tasks} were done, the rest is cancelled.")
QUERY_FAILED = Problem("Query failed after {took}.", "See the error below for the reason.")
EXECUTOR_COMES = Message("An executor is on its way.")
NO_EXECUTOR_YET = Message("The hub has been asked for one.")

# --- the panel ---

TIMELINE = Message(
    "The last {seconds} seconds: {running} running, {busy} with tasks; the work at hand could use {wanted}."
)
RECLAIM = Message("Executor {executor} is asked back.{reason}")
CHANGE_PROFILE = Message("Start again with {title}")
CHANGE_COSTS = Message("{size} each, and there is room for {free} now. What is cached in this cluster is lost.")
PANEL_STOPPED = Message("The cluster is being stopped.")
PANEL_STARTED = Message("The cluster is being started.")
KEPT_LONGER = Message("Executor {executor} stays a little longer.")
GAVE_ANOTHER = Message("Another executor is given instead of executor {executor}.")
NO_WIDGETS = Problem(
    "The {what} needs the Python packages ipywidgets and anywidget, which are not installed here ({missing}).",
    "Run %pip install 'emberhub[notebook]', restart the kernel, and try again.",
)

# --- the launcher ---

CARD_SIZE = Message("An executor costs {size}.")
CARD_FREE = Message("There is room for {free} of {room} now.")
CARD_FULL = Message("There is room for none of {room} now, so you would wait for a turn.")
CARD_GANG = Message("It gets {gang} at once or none.")
COSTS = Message("At most {executors}, which is {most}.")
COSTS_KEPT = Message("Of that, {kept} are kept for you whether you work or not.")
COSTS_NOTHING = Message("Nothing is kept for you while you do not work.")
NO_PROFILE = Problem("No profile has all of that.", "Clear one of the boxes above.")
RANGE_TURNED = Problem("From {low} to {high} goes downwards.", "Make the first number the smaller one.")
RANGE_SMALL = Problem("{title} needs at least {least} to work with.", "Allow so many or more.")
RANGE_LARGE = Problem("There is room for {room} at most, and {low} are to be kept for you.", "Ask for fewer.")
LAUNCHER_NONE = Message("You have no cluster yet. Choose a profile and press Start.")
LAUNCHER_ENDED = Message("Cluster {name} is {why} Press Start to start it again.")
LAUNCHER_COMES = Message("Cluster {name} is not ready yet: {why}")
LAUNCHER_RUNS = Message("Cluster {name} runs with profile {profile} and has {running}.")
LAUNCHER_APART = Message("Press Reconnect to use it in this notebook.")
SPARK_READY = Message("The variables spark and cluster are ready in this notebook: try spark.range(10).show().")
SPARK_REPLACED = Message("The variable spark was something else before, and is replaced.")
SCALED = Message("From now on the cluster has from {low} to {high} executors.")
STOPPED = Message("Cluster {name} is being stopped: its executors go to others, and what it had cached is lost.")

# --- the magics ---

EMBER_USAGE = Message(
    "Use %ember with one of these: start [--profile NAME] [--executors MIN-MAX] [--name NAME], status, why, "
    "scale MIN MAX, stop, panel, launcher."
)
NO_SUCH_COMMAND = Problem("%ember does not know {what}.", "Use one of {known}.")
WRONG_OPTION = Problem("%{magic} cannot read this: {wrong}.", "See what it takes with %{magic}?")
WRONG_RANGE = Problem("{text} is no number of executors.", "Write the most, as 4, or the least and the most, as 0-4.")
NO_CLUSTER = Problem("You have no cluster called {name}.", "Start one with %ember start.")
NO_SQL = Problem("There is no SQL in this cell.", "Write a statement under the line with %%sql.")
NOT_A_NAME = Problem("{text} is no name for a variable.", "Use letters, digits and _, and begin with a letter.")
NOTHING_TO_DRAW = Problem(
    "There is nothing to draw in this result.", "Select a first column, and after it one with numbers."
)
MAGICS_LOADED = Message("%ember and %%sql are there: try %ember start.")
SQL_DONE = Message("Done in {took}: the statement has no result to show.")
SQL_KEPT = Message("The whole result is in the variable {name}, a Spark DataFrame.")
TABLE_ALL = Message("{rows}.")
TABLE_FIRST = Message("The first {rows} of more: -n shows as many as you say.")
STARTED_STOPPING = Message("Cluster {name} is being stopped. Start it again with %ember start.")
