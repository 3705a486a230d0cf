"""What outlives the service: one record for each cluster, and what is remembered of each user.

Executor-level state is never stored: it is rebuilt from what the drivers report.
"""

from .model import ENDED, TRANSITIONS, ClusterRecord, Event, SessionRecord, Status, UserRecord, metadata
from .store import Conflict, Records, RecordsUnavailable, open_records

__all__ = [
    "ENDED",
    "TRANSITIONS",
    "ClusterRecord",
    "Conflict",
    "Event",
    "Records",
    "RecordsUnavailable",
    "SessionRecord",
    "Status",
    "UserRecord",
    "metadata",
    "open_records",
]
