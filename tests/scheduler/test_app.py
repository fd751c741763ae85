"""The Celery app: its settings, each of which takes a hazard away."""

import pytest
from celery import Celery

from scheduler.app import SOCKET_SECONDS, make_app


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("accept_content", ["json"]),
        ("task_serializer", "json"),
        ("task_acks_late", True),
        ("task_ignore_result", True),
        ("worker_prefetch_multiplier", 1),
        ("worker_concurrency", 1),
        ("worker_pool", "threads"),
        ("worker_enable_remote_control", False),
        ("broker_connection_max_retries", None),
    ],
)
def test_a_setting_is_as_it_must_be(setting: str, value: object) -> None:
    assert make_app("redis://127.0.0.1:1/0").conf[setting] == value


def test_a_queue_costs_one_key_and_a_message_comes_back_later_than_any_job_takes() -> None:
    options = make_app("redis://127.0.0.1:1/0").conf.broker_transport_options
    assert options["priority_steps"] == [0]
    assert options["visibility_timeout"] >= 604_800
    assert options["socket_timeout"] == options["socket_connect_timeout"] == SOCKET_SECONDS


def test_remote_control_is_on_where_it_is_asked_for() -> None:
    assert make_app("redis://127.0.0.1:1/0", remote_control=True).conf.worker_enable_remote_control


def test_making_an_app_connects_to_nothing_and_becomes_nobodys_current_app() -> None:
    app = make_app("redis://127.0.0.1:1/0")
    assert isinstance(app, Celery)
    from celery import current_app

    assert current_app._get_current_object() is not app
