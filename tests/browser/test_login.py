"""The hub's own pages in a browser: what all other browser tests rest on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.browser import log_in
from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.timeout(300)]


def test_somebody_logs_in_and_has_a_token_page(stage: Stage, page: Any) -> None:
    log_in(page, stage.url, "alice", stage.password("alice"))
    assert page.url.endswith("/hub/token")
