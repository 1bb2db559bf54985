"""What a sweeper empties in a second: ``python -m tests.benchmarks.sweeping --count 10000``.

Four contenders fill a queue each and empty it with one process each: notifyguard releasing what
was held, notifyguard sweeping what was queued, ``send_queued_mail`` of django-post_office and
``send_mail`` of django-mailer, the last two as they come and without notifyguard. All send to
the same mail server and write to the same database server. They take turns: all but one are
stopped (SIGSTOP) at any time, and what the mail server's journal says arrived in its turns is
what counts. The run ends when both queues of notifyguard are empty.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.arrivals import Journal
from tests.proof.stage import Progress
from tests.smtp import PROJECT, Sink, running_sink

OURS = ("released", "swept")
PEERS = ("post_office", "mailer")
SAID = {
    "released": "notifyguard release",
    "swept": "notifyguard sweep",
    "post_office": "post_office send_queued_mail",
    "mailer": "django-mailer send_mail",
}
AIM = 1.5


@dataclass
class Contender:
    """A queue, the process that empties it, and what it did in each of its turns."""

    name: str
    environment: dict[str, str]
    journal: Journal
    process: subprocess.Popen[str] | None = None
    seconds: list[float] = field(default_factory=list)
    arrived: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)  # bytes, at the end of each turn
    worked: list[float] = field(default_factory=list)  # seconds of the processor, by then

    @property
    def done(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def rates(self) -> list[float]:
        return [count / seconds for count, seconds in zip(self.arrived, self.seconds, strict=True)]

    @property
    def rate(self) -> float:
        return sum(self.arrived) / sum(self.seconds)

    @property
    def work(self) -> float:
        """Milliseconds of the processor for a message, without the start of the process."""
        turns = len(self.worked)
        arrived = sum(self.arrived[1:turns])
        return 1e3 * (self.worked[-1] - self.worked[0]) / arrived if arrived else 0.0

    def start(self, deed: str, count: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.benchmarks.contenders", deed, str(count)]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, env=self.environment, cwd=PROJECT, stdin=pipe, stdout=pipe, text=True
        )

    def fill(self, count: int, filled: Counter[str]) -> None:
        with self.start("fill", count) as process:
            assert process.stdout is not None
            for line in process.stdout:
                filled[self.name] = int(line)
        if process.returncode:
            raise RuntimeError(f"{self.name} could not be filled")

    def get_ready(self, count: int) -> None:
        """Start the process that empties the queue, and stop it before it begins."""
        self.process = self.start("deliver", count)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{self.name} does not start")
        self.process.send_signal(signal.SIGSTOP)
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def take_turn(self, seconds: float) -> None:
        """Run for so long, or until the queue is empty."""
        assert self.process is not None
        before, begun = self.journal.count(self.name), time.perf_counter()
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGSTOP)
            self.resident.append(_resident(self.process.pid))
            self.worked.append(_worked(self.process.pid))
        self.seconds.append(time.perf_counter() - begun)
        self.arrived.append(self.journal.count(self.name) - before)
        if self.process.returncode:
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}")

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.start("drop", 0).communicate()


def main() -> int:
    options = parsed()
    # Whoever ends this process must not leave filled databases behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with running_sink("--no-fsync") as sink, ExitStack() as stack:
        journal = Journal(sink.journal)
        contenders = []
        for name in options.only or SAID:
            contenders.append(Contender(name, _environment(name, options.db, sink), journal))
            stack.callback(contenders[-1].end)
        _fill(contenders, options.count)
        _race(contenders, options.count, options.turn)
        _report(contenders, options)
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sweeping")
    parser.add_argument("--db", choices=["postgresql", "mariadb"], default="postgresql")
    parser.add_argument("--count", type=int, default=10_000, help="messages in each queue")
    parser.add_argument("--only", action="append", choices=list(SAID), help="not all of them")
    parser.add_argument("--turn", type=float, default=4.0, help="seconds (default: 4)")
    return parser.parse_args()


def _environment(name: str, database: str, sink: Sink) -> dict[str, str]:
    own = f"notifyguard_benchmark_{os.getpid()}_{name}"
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.queue_settings",
        "NOTIFYGUARD_DB": database,
        "NOTIFYGUARD_DB_NAME": own,
        "BENCHMARK_CONTENDER": name,
        "BENCHMARK_DATABASE": own,
        "BENCHMARK_PORT": str(sink.port),
        "BENCHMARK_PREPARED": "",
    }


def _fill(contenders: list[Contender], count: int) -> None:
    filled: Counter[str] = Counter()
    progress = Progress(count * len(contenders), "queued")
    with ThreadPoolExecutor(2) as threads:
        filling = [threads.submit(each.fill, count, filled) for each in contenders]
        while not all(each.done() for each in filling):
            progress.show(filled.total())
            time.sleep(0.5)
        for each in filling:
            each.result()


def _race(contenders: list[Contender], count: int, turn: float) -> None:
    """Let them take turns, each time another first, until our queues are empty."""
    ours = [each for each in contenders if each.name in OURS] or contenders
    progress = Progress(count * len(ours), "emptied")
    for each in contenders:
        each.get_ready(count)
    first = 0
    while not all(each.done for each in ours):
        for each in (*contenders[first:], *contenders[:first]):
            if not each.done:
                each.take_turn(turn)
                progress.show(sum(sum(each.arrived) for each in ours))
        first = (first + 1) % len(contenders)


def _report(contenders: list[Contender], options: argparse.Namespace) -> None:
    load = round(os.getloadavg()[0], 1)
    print(f"{options.db}, {options.count:,} messages in each queue, turns of {options.turn} s")
    print(f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load}")
    head = f"{'what':<30}{'messages/s':>12}{'ratio':>8}  {'turns':<16}{'ms of CPU':>10}"
    print(f"{head}{'MiB at 10 %':>13}{'at end':>8}")
    peers = [each.rates for each in contenders if each.name in PEERS]
    fastest = [max(rates) for rates in zip(*peers, strict=False)]
    for each in contenders:
        early, late = _memory(each, options.count)
        print(
            f"{SAID[each.name]:<30}{each.rate:>12,.0f}{_ratio(each, fastest):>26}"
            f"{each.work:>10.2f}{early:>13,.0f}{late:>8,.0f}"
        )
    print(f"ratio: to the faster of the two peers in the same round; aim {AIM} for notifyguard")


def _ratio(contender: Contender, fastest: list[float]) -> str:
    # The last turn is cut short, and says little of the speed; so may that of a peer be.
    rounds = zip(contender.rates[:-1], fastest, strict=False)
    ratios = [rate / best for rate, best in rounds if best]
    if not ratios:
        return ""
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"{median(ratios):.2f}  {spread:<16}"


def _memory(contender: Contender, count: int) -> tuple[float, float]:
    """Return MiB when a tenth had left, and at the end of the last turn that was cut short."""
    if not contender.resident:
        return 0.0, 0.0
    left, tenth = 0, 0
    for turn, arrived in enumerate(contender.arrived):
        left, tenth = left + arrived, turn
        if left >= count / 10:
            break
    early = contender.resident[min(tenth, len(contender.resident) - 1)]
    return early / 2**20, contender.resident[-1] / 2**20


def _worked(process: int) -> float:
    # User and system time; they stand behind the command's name, which may hold anything.
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


if __name__ == "__main__":
    sys.exit(main())
