"""The figures of bench/RESULTS.md, one measure a file, each a ratio measured in one run together with the floors.

Nothing here is a test: it measures what a real gateway, a running simulated customs and real callers do on
this machine. `measures` lists the figures.
"""
