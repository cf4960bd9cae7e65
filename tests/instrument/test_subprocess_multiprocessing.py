"""`multiprocessing`: a span for each process, which runs in the context in which it was started."""

from __future__ import annotations

import pytest
from subprocess_helpers import attributes_of, run_program

METHODS = ("fork", "spawn", "forkserver")
TRACEABLE = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def work(name):
    with tracer.start_as_current_span(name) as span:
        return str(baggage.get_baggage("session.id"))

def fail():
    raise SystemExit(3)

def run_child(name):
    subprocess.run(["sh", "-c", "exit 4"])
"""


def links(ran) -> dict[str, str | None]:
    """The name of each span's parent."""
    names = {span["spanId"]: span["name"] for span in ran.spans}
    return {span["name"]: names.get(span.get("parentSpanId", "")) for span in ran.spans}


@pytest.mark.parametrize("method", METHODS)
def test_a_process_has_a_span_and_runs_in_its_starters_context(tmp_path, method: str):
    ran = run_program(
        tmp_path,
        f"""{TRACEABLE}
if __name__ == "__main__":
    with session("s"), tracer.start_as_current_span("starter"):
        child = multiprocessing.get_context("{method}").Process(target=work, args=("in the child",))
        child.start()
    child.join()
    print(child.exitcode, child.pid, "llmtrace_carrier" in child._config)
""",
    )
    code, pid, kept = ran.stdout.split()
    assert (ran.stderr, code, kept) == ("", "0", "False")
    assert links(ran) == {"starter": None, "python": "starter", "in the child": "python"}
    assert attributes_of(ran.named("python"))["process.pid"] == pid
    assert attributes_of(ran.named("python"))["process.exit.code"] == "0"
    assert attributes_of(ran.named("in the child"))["session.id"] == "s"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("join", ["child.join()", ""], ids=["joined", "left to the end"])
def test_a_process_that_fails_has_its_exit_code(tmp_path, method: str, join: str):
    ran = run_program(
        tmp_path,
        f"""{TRACEABLE}
if __name__ == "__main__":
    child = multiprocessing.get_context("{method}").Process(target=fail)
    child.start()
    {join}
""",
    )
    assert attributes_of(ran.named("python"))["process.exit.code"] == "3"
    assert attributes_of(ran.named("python"))["error.type"] == "3"


@pytest.mark.parametrize("method", METHODS)
def test_the_children_of_a_process_are_below_it(tmp_path, method: str):
    ran = run_program(
        tmp_path,
        f"""{TRACEABLE}
if __name__ == "__main__":
    child = multiprocessing.get_context("{method}").Process(target=run_child, args=("x",))
    child.start()
    child.join()
""",
    )
    assert links(ran) == {"python": None, "sh": "python"}


@pytest.mark.parametrize("method", METHODS)
def test_the_workers_of_pools_belong_to_whoever_starts_them(tmp_path, method: str):
    ran = run_program(
        tmp_path,
        f"""{TRACEABLE}
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    with session("s"), tracer.start_as_current_span("starter"):
        with context.Pool(1) as pool:
            print(pool.map(work, ["in the pool"]))
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            print(list(pool.map(work, ["in the executor"])))
""",
    )
    workers = [span for span in ran.spans if span["name"] == "python"]
    assert (ran.stderr, ran.stdout) == ("", "['s']\n['s']\n")
    assert {span["parentSpanId"] for span in workers} == {ran.named("starter")["spanId"]}
    assert len(workers) == 2


def test_a_terminated_process_has_the_signals_name(tmp_path):
    ran = run_program(
        tmp_path,
        """
import multiprocessing
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    child.start()
    child.kill()
    child.join()
""",
    )
    assert attributes_of(ran.named("python"))["error.type"] == "SIGKILL"
