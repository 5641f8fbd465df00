"""Makes a pytest-benchmark suite of the stages; each module that is named here has hooks or fixtures.

PYTEST_DONT_REWRITE: there is no assertion here, and conftest.py imports from this folder before it loads it.
"""

pytest_plugins = [
    f"{__name__}.{module}"
    for module in (
        *("start", "refusals", "comparing", "collection", "other_plugins"),
        *("fixtures", "saved_run", "summary", "resume"),
    )
]
