"""However a program ends, each span that had ended is in the file and at the collector; the ending stays the same."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

ENDINGS = {
    "the end of the script": ("", 0),
    "an uncaught exception": ("raise ValueError('boom')", 1),
    "sys.exit": ("import sys; sys.exit(7)", 7),
    "os._exit": ("os._exit(8)", 8),
    "os._exit by keyword": ("os._exit(status=8)", 8),
    "SIGTERM": ("import signal; os.kill(os.getpid(), signal.SIGTERM); signal.pause()", -signal.SIGTERM),
    "SIGINT": (  # a shell's background jobs inherit that it is ignored
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); os.kill(os.getpid(), signal.SIGINT)",
        -signal.SIGINT,
    ),
    "the program's own SIGTERM handler": (
        "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(9)); os.kill(os.getpid(), signal.SIGTERM)",
        9,
    ),
    "os.execv": ("os.execv('/bin/sh', ['sh', '-c', 'exit 5'])", 5),
    "os.execvpe through PATH": ("os.execvpe('sh', ['sh', '-c', 'exit $CODE'], {'CODE': '6', **os.environ})", 6),
}


@pytest.fixture
def both(collector):
    """The variables that send spans to the file and, in batches, to the collector."""
    return {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces"}


@pytest.mark.parametrize(("ending", "returncode"), ENDINGS.values(), ids=ENDINGS)
def test_an_ending_keeps_every_span_and_the_exit_status(run, collector, both, ending, returncode):
    ended = run(f"span('first'); span('second')\n{ending}", **both)
    expected = Counter(first=1, second=1)
    assert (ended.names, collector.names, ended.returncode) == (expected, expected, returncode)


CHILDREN = {
    "os.fork": """
        span('parent')
        if child := os.fork():
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        else:
            span('child')
            os._exit(3)
    """,
    "multiprocessing": """
        import multiprocessing
        def work(method):
            span(method)
        if __name__ == '__main__':
            span('parent')
            for method in ('fork', 'spawn', 'forkserver'):
                child = multiprocessing.get_context(method).Process(target=work, args=(method,))
                child.start()
                child.join()
                assert child.exitcode == 0
    """,
    "a terminated multiprocessing child": """
        import multiprocessing, signal
        def work(ready):
            span('child')
            ready.set()
            signal.pause()
        if __name__ == '__main__':
            context = multiprocessing.get_context('fork')
            ready = context.Event()
            span('parent')
            child = context.Process(target=work, args=(ready,))
            child.start()
            ready.wait()
            child.terminate()
            child.join()
            assert child.exitcode == -signal.SIGTERM
    """,
    "ProcessPoolExecutor": """
        from concurrent.futures import ProcessPoolExecutor
        import multiprocessing
        if __name__ == '__main__':
            span('parent')
            with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('fork')) as pool:
                list(pool.map(span, ['child', 'other child']))
    """,
    "asyncio": """
        import asyncio
        async def work(name):
            await asyncio.sleep(0)
            span(name)
        async def main():
            await asyncio.gather(work('one'), work('two'))
        asyncio.run(main())
    """,
    "a script run by subprocess": """
        import subprocess, sys
        span('parent')
        code = "from opentelemetry import trace; trace.get_tracer('child').start_span('child').end()"
        subprocess.run([sys.executable, '-c', code], check=True)
    """,
}
EXPECTED = {
    "os.fork": ["parent", "child"],
    "multiprocessing": ["parent", "fork", "spawn", "forkserver"],
    "a terminated multiprocessing child": ["parent", "child"],
    "ProcessPoolExecutor": ["parent", "child", "other child"],
    "asyncio": ["one", "two"],
    "a script run by subprocess": ["parent", "child"],
}


@pytest.mark.parametrize("children", CHILDREN)
def test_children_keep_every_span(run, collector, both, children):
    ended = run(CHILDREN[children], **both)
    expected = Counter(EXPECTED[children])
    assert (ended.stderr, ended.returncode) == ("", 0)
    assert (ended.names, collector.names) == (expected, expected)
