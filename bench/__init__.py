"""The figures of bench/RESULTS.md, one measure a file, each a ratio measured in one run with the floors beside it.

Nothing here is a test: it measures what a real gateway, a real simulated customs and real callers do on
this machine now. `measures` says which figures there are.
"""
