"""The oracle over Celery: children and whole workers are killed, and brokers deliver again."""
