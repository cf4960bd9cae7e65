"""Real command-line agents and SDKs, run offline against providers that answer from this machine.

    clis.py          a row for each client: how it is started, and what it sends
    runs.py          runs one command and gives back what it printed and what the providers were asked
    namespace.py     … in a network namespace of its own, so that nothing can leave the machine
    inside.py        what happens in there: the command runs beside
    fake_llm.py      the providers' hosts on 127.0.0.1:443: TLS by certificates.py, HTTP by tests/provider
    websocket.py     and Responses over a WebSocket
    recorded.py      a run that is traced, and the spans of its file
    parents/         instrumented programs that start others, in all ways
    corporate.py, terminal.py, after_kill.py     what some commands are run by

`python scripts/install_clis.py` installs the clients, and `pytest -m interop` runs the tests.
"""
