"""Which spans are a test's: those of its threads, tasks and processes, and of no other test."""

from __future__ import annotations

import json

import pytest

TESTS = r'''
import asyncio, os, queue, subprocess, sys, threading
from concurrent.futures import ThreadPoolExecutor
import pytest
from asking import ask
from llmtrace_otel import agent

BEFORE = dict(os.environ)
ASK = [sys.executable, "asking.py"]

def test_calls_are_seen_as_they_are_made(llmtrace):
    assert llmtrace.empty
    ask()
    assert llmtrace.llm.count == 1
    ask("gpt-5-mini")
    assert llmtrace.llm.models == ["gpt-4o-mini", "gpt-5-mini"]
    assert llmtrace.tokens.total == 2200

def test_content_is_recorded(llmtrace):
    ask()
    assert llmtrace.llm.one().input == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]

def test_threads(llmtrace):
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: ask(), range(2)))
    assert llmtrace.llm.count == 3

def test_tasks(llmtrace):
    async def both():
        await asyncio.gather(asyncio.to_thread(ask), asyncio.to_thread(ask))
    asyncio.run(both())
    assert llmtrace.llm.count == 2

def test_processes(llmtrace):
    with agent("planner"):
        subprocess.run(ASK, check=True, timeout=60)
    llmtrace.assert_tree("""
        agent planner
          process python*
            llm gpt-4o-mini
    """)

class TestStraggler:
    go = threading.Event()

    def test_leaves_a_thread(self, llmtrace):
        def late():
            self.go.wait(60)
            ask()
        thread = TestStraggler.thread = threading.Thread(target=late)
        thread.start()
        assert llmtrace.empty

    def test_is_not_given_its_call(self, llmtrace):
        self.go.set()
        self.thread.join()
        assert llmtrace.empty

@pytest.fixture(scope="module")
def server():
    work, done = queue.Queue(), queue.Queue()
    thread = threading.Thread(target=lambda: [done.put(ask()) for _ in iter(work.get, None)])
    thread.start()
    yield lambda: work.put(1) or done.get(timeout=60)
    work.put(None)
    thread.join()

@pytest.mark.parametrize("times", [1, 2])
def test_a_server_works_for_the_current_test(server, llmtrace, times):
    for _ in range(times):
        server()
    assert llmtrace.llm.count == times

@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
@pytest.mark.parametrize("times", [1, 2])
async def test_a_loop_is_shared_by_tests(llmtrace, times):
    for _ in range(times):
        ask()
    assert llmtrace.llm.count == times

@pytest.mark.parametrize("name", ["a/b c", "é|\n`", "x" * 300], ids=str)
def test_odd_names(llmtrace, name):
    ask()
    assert llmtrace.llm.count == 1

def test_that_asks_for_the_fixture_late(request):
    llmtrace = request.getfixturevalue("llmtrace")
    ask()
    assert llmtrace.llm.count == 1

@pytest.fixture
def asked():
    ask()
    yield
    ask()

def test_fixtures_are_part_of_it(asked, llmtrace):
    assert llmtrace.llm.count == 1

def test_commands(llmtrace, llmtrace_run, tmp_path):
    ask()
    ran = llmtrace_run(ASK, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "1100\n", "")
    assert (ran.trace.llm.count, llmtrace.llm.count) == (1, 2)
    ran = llmtrace_run("read word; echo $word $GIVEN$HOME $PWD; echo no >&2; exit 3", cwd=tmp_path, input="hello",
                       env={"GIVEN": "given", "HOME": None})
    assert (ran.returncode, ran.stdout, ran.stderr) == (3, f"hello given {tmp_path}\n", "no\n")
    assert ran.trace.processes.names == ["sh"]
    with pytest.raises(FileNotFoundError):
        llmtrace_run(["no-such-program"])

def test_a_command_that_is_not_instrumented(llmtrace_run):
    code = "import sys, urllib.request as u; u.urlopen(u.Request(sys.argv[1] + '/chat/completions',"
    code += " b'{\"model\": \"gpt-4o-mini\", \"messages\": []}', {'content-type': 'application/json'})).read()"
    ran = llmtrace_run([sys.executable, "-I", "-c", code, os.environ["OPENAI_BASE_URL"]])
    assert ran.trace.llm.models == ["gpt-4o-mini"], ran.stderr

@pytest.mark.llm_budget(cost=0.01, tokens="10k", calls=2, tools=0, duration="5m")
def test_within_budget():
    ask()

@pytest.mark.llm_budget(calls=0)
def test_no_call_is_allowed():
    pass

@pytest.mark.llm_budget(calls=1, tokens=5000)
class TestLimits:
    @pytest.mark.llm_budget(calls=2)
    def test_the_nearest_holds(self):
        ask(); ask()

def test_that_is_not_recorded():
    ask()
    changed = {name for name in os.environ.keys() | BEFORE.keys() if os.environ.get(name) != BEFORE.get(name)}
    assert changed <= {"PYTEST_CURRENT_TEST"}
'''


@pytest.fixture(scope="module")
def ran(module_suite):
    module_suite.write("test_agent.py", TESTS)
    return module_suite.run("-p", "anyio", "--llmtrace-out=spans")


@pytest.fixture
def kept(ran, module_suite):
    """How many LLM calls each file of spans has."""
    return {
        path.name.removesuffix(".jsonl"): path.read_text().count('"gen_ai.usage.input_tokens"')
        for path in (module_suite.path / "spans" / "test_agent.py").iterdir()
    }


def test_every_expectation_holds(ran):
    assert (ran.code, ran.outcomes) == (0, {"passed": 22}), ran.out


def test_each_test_that_recorded_has_a_file(kept):
    assert kept == {
        "test_calls_are_seen_as_they_are_made": 2,
        "test_content_is_recorded": 1,
        "test_threads": 3,
        "test_tasks": 2,
        "test_processes": 1,
        "TestStraggler.test_leaves_a_thread": 1,
        "test_a_server_works_for_the_current_test[1]": 1,
        "test_a_server_works_for_the_current_test[2]": 2,
        "test_a_loop_is_shared_by_tests[1]": 1,
        "test_a_loop_is_shared_by_tests[2]": 2,
        "test_odd_names[a_b_c]-2acf85e1": 1,
        "test_odd_names[_xe9_n_]-d8aa0d79": 1,
        f"test_odd_names[{'x' * 105}-9dcf6ce7": 1,
        "test_that_asks_for_the_fixture_late": 1,
        "test_fixtures_are_part_of_it": 2,
        "test_commands": 2,
        "test_a_command_that_is_not_instrumented": 1,
        "test_within_budget": 1,
        "TestLimits.test_the_nearest_holds": 2,
    }


def test_the_files_are_what_llmtrace_reads(ran, module_suite):
    (line,) = module_suite.read("spans/test_agent.py/test_content_is_recorded.jsonl").splitlines()
    assert list(json.loads(line)) == ["resourceSpans"]
