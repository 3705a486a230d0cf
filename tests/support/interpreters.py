"""An interpreter that is a list of what it was told."""

from __future__ import annotations

from emberhub_driver.interpreter import Order
from emberhub_driver.sessions import Listener


class FakeInterpreter:
    """The test says what it answers, by way of `listener`."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.orders: list[Order] = []
        self.ending = False

    def send(self, order: Order) -> None:
        self.orders.append(order)

    def end(self) -> None:
        self.ending = True
