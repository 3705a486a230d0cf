"""What the client's tests share."""

from tests.support.fake_service import service
from tests.support.parking import drivers

__all__ = ["drivers", "service"]
