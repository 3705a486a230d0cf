"""What the client's tests share."""

from tests.support.fake_service import service

__all__ = ["service"]
