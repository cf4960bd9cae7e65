"""The rules engine of `llmtrace check`.

`load` reads a rule file by the definition in `keys`, `engine.check` judges files of spans with it, group by group, and
gives a `report.Report` that `check/formats` puts in words.
"""
