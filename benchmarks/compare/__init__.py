"""The same calls under every instrumentation, side by side.

peers       who is compared, and what is installed for each
cases       the rows: which calls, of which size, with content or without
workloads   how a call is made, its transport in memory                      (in the measured process)
starts      how each peer is switched on                                     (in the measured process)
child       the measured process: reads jobs, runs them, tells what they took
runner      starts such processes, has them take turns, counts instructions
figures     what was found: medians, ratios to a bare span, who adds the least
startup     what a program pays that makes no call at all
budget      what a call of ours may cost
results     a run's figures as a file, with machine, versions and date
page, plot  the documentation's page, and its pictures
"""
