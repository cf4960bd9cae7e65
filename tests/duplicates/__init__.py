"""One call, one inference span, whatever else is installed: every other instrumentation together with ours.

peers.py      the table: who they are, what to install, how they start
program.py    runs in a peer's own environment: loads it and ours, makes the calls, writes down what was exported
calls.py      the calls
runs.py       starts the program, and says what is wrong with what it wrote down
environments.py, page.py   where the program runs, and docs/duplicates.md, for `scripts/duplicates.py`
"""
