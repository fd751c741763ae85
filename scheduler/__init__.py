"""What runs when: the broker, the Celery app and its queues, submitting, ringing and reconciling."""
