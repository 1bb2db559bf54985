"""The ambient context: what the running code says about the messages it sends.

Context variables travel into coroutines, and each block knows what was around it, so blocks nest.
Plain threads and executors do not inherit them: wrap the function with ``bind``.
What the whole process is to suppress comes from its environment: ``NOTIFYGUARD_SUPPRESS``.
What came with a task from the process that enqueued it, an integration tells; what came
with a message, the note on it.
"""

from notifyguard.context.ambient import (
    Ambient,
    Suppression,
    Travelled,
    arrive_by,
    current,
    suppression_of,
    suppressions_of,
)
from notifyguard.context.saying import (
    bind,
    handing_over,
    notification,
    queued,
    running_task,
    suppressed,
    unsaid,
    unsuppressed,
)
from notifyguard.context.tasks import Run, Task

__all__ = [
    "Ambient",
    "Run",
    "Suppression",
    "Task",
    "Travelled",
    "arrive_by",
    "bind",
    "current",
    "handing_over",
    "notification",
    "queued",
    "running_task",
    "suppressed",
    "suppression_of",
    "suppressions_of",
    "unsaid",
    "unsuppressed",
]
