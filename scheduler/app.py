"""The Celery app: transport only. The database decides what runs."""

from typing import Any

from celery import Celery

from scheduler.broker import split_tls

#: the name of the one task
RUN_JOB = "benchbeat.run_job"

#: longest time in which Redis may not answer
SOCKET_SECONDS = 2.0


def make_app(broker_url: str, *, remote_control: bool = False) -> Any:
    """Return a Celery app for a broker, connected to nothing yet.

    Raises UnavailableError for TLS options that can't be read.
    """
    plain_url, tls = split_tls(broker_url)
    app = Celery("benchbeat", broker=plain_url, set_as_current=False, fixups=[])
    app.conf.update(
        broker_use_ssl=tls,
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=True,
        task_send_sent_event=False,
        # Threads: a busy solo worker answers nothing and loses its job on SIGQUIT; Metal forbids a fork.
        worker_pool="threads",
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_send_task_events=True,
        # A `shutdown` broadcast from any client of the broker would end the worker.
        worker_enable_remote_control=remote_control,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=SOCKET_SECONDS,
        broker_transport_options={
            # Each priority step costs four keys a queue; the claim orders the jobs.
            "priority_steps": [0],
            # Longer than any job: a message that comes back early would only ring for nothing.
            "visibility_timeout": 7 * 24 * 3600,
            "socket_timeout": SOCKET_SECONDS,
            "socket_connect_timeout": SOCKET_SECONDS,
            "max_retries": 0,
            # How often an idle worker asks anew: at Celery's 1 s that is most of what idling costs. Told to stop, it
            # ends after as long.
            "polling_interval": 1.5,
        },
    )
    return app
