"""The working half of the pytest plugin, which the first test that asks for it loads: see `pytest_plugin.py`."""
