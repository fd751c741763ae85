import logging

import pytest

from worker.acks import watched


def test_a_ring_that_could_not_be_acknowledged_is_told_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    reasons: list[str] = []
    celery = logging.getLogger("celery.worker.request")
    with watched(reasons.append):
        celery.critical("Couldn't ack %r, reason:%r", "tag", ConnectionError("refused"))
        celery.error("Task %s failed", "x")
    celery.critical("Couldn't ack %r, reason:%r", "tag", ConnectionError("refused"))
    assert reasons == ["ConnectionError"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "CRITICAL"]
