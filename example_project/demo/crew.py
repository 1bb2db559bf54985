"""Workers as processes: started, watched, killed and started again while a replay runs."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Condition, Thread

from example_project.demo.deployment import Deployment, Process
from example_project.demo.screen import Report

PATIENCE = 3600  # seconds for all jobs of a replay


class Crew:
    """So many workers of one site. A context manager: whoever is left ends with the block.

    Args:
        deployment: whose workers they are.
        size: how many.
        total: jobs there are.
        report: is told how many of them were worked off.
    """

    def __init__(self, deployment: Deployment, size: int, total: int, report: Report) -> None:
        self._deployment = deployment
        self._names = [f"worker{number}" for number in range(1, size + 1)]
        self._total = total
        self._report = report
        self._done = 0
        self._at_work: dict[str, tuple[Process, Thread]] = {}
        self._told = Condition()
        self._stack = ExitStack()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start every worker that is not at work."""
        for name in self._names:
            if name not in self._at_work:
                self._start(name)

    def kill(self, name: str = "worker1") -> None:
        """Kill one with ``kill -9``; what it held comes again when it is started."""
        process, listener = self._at_work.pop(name)
        process.kill()
        listener.join()

    def kill_now_and_then(self, kills: int, until: int) -> None:
        """Kill so many, one after the other, and start each again before ``until`` jobs are done.

        Args:
            kills: how many; they are spread over the jobs that are left, the first at once.
            until: of the jobs, those that are worked off when no more are killed.
        """
        begun = self._done
        for number in range(kills):
            self.wait_for(begun + (until - begun) * number // kills)
            self.kill(self._names[number % len(self._names)])
            self.start()

    def kill_all(self) -> None:
        """Kill every worker."""
        for name in list(self._at_work):
            self.kill(name)

    def wait_for(self, jobs: int) -> None:
        """Wait until so many jobs were worked off, or no worker is left."""
        with self._told:
            self._told.wait_for(lambda: self._done >= jobs or self._idle(), PATIENCE)

    def finish(self) -> None:
        """Wait until every worker found the queue empty; raise ``DemoError`` if one failed."""
        for process, listener in self._at_work.values():
            listener.join()
            self._deployment.finish(process)
        self._at_work.clear()
        self._report(self._total, self._total)

    def _start(self, name: str) -> None:
        process = self._stack.enter_context(self._deployment.started("slip_worker", name))
        listener = Thread(target=self._listen, args=(process,), daemon=True)
        self._at_work[name] = process, listener
        listener.start()

    def _listen(self, process: Process) -> None:
        assert process.stdout
        for _line in process.stdout:
            with self._told:
                self._done += 1
                self._report(min(self._done, self._total - 1), self._total)
                self._told.notify_all()
        with self._told:
            self._told.notify_all()

    def _idle(self) -> bool:
        return not any(listener.is_alive() for _, listener in self._at_work.values())
