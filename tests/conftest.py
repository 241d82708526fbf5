"""Property tests: the same examples every time in `make test`, fresh ones in `make fuzz`, which takes the profile `fuzz`.

Neither keeps a database of examples: what a run finds depends on the code, the tests that were chosen and the seed, never
on what an earlier run left on this machine, nor on how busy it is.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fuzz", settings.get_profile("fixed"), derandomize=False)
settings.load_profile("fixed")
