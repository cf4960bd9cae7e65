"""Eight threads, five rounds: all at once, each in a session of its own with a child of its own."""

import subprocess
import threading

from calls import curl

from llmtrace_otel import session

THREADS, ROUNDS = 8, 5
together = threading.Barrier(THREADS)


def work(thread: int) -> None:
    for number in range(thread, THREADS * ROUNDS, THREADS):
        together.wait()
        with session(f"s-{number}"):
            subprocess.run(curl(number), stdout=subprocess.DEVNULL, check=False)  # what fails tells so itself


threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
