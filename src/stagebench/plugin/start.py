"""The start of a session: options become its settings."""

from __future__ import annotations

import pytest

from stagebench.frameworks import FRAMEWORKS
from stagebench.plugin.options import GROUPS, NONE, PRESET, WHAT, add_option
from stagebench.plugin.session_options import SETTINGS, OptionError, SessionOptions


def pytest_addoption(parser: pytest.Parser) -> None:
    for about, options in GROUPS.items():
        for option in options:
            add_option(parser, about, option.flag, **option.arguments)
    add_option(parser, WHAT, PRESET.flag, **PRESET.arguments)


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[SETTINGS] = SessionOptions.resolve(config.getoption)
    except OptionError as error:
        raise pytest.UsageError(str(error)) from None
    if config.getoption("frameworks") == (NONE,) and not config.stash[SETTINGS].environments:
        raise pytest.UsageError(f"--frameworks={NONE} needs --env, which says where else a framework is")
    reasons = [environment.missing() for environment in config.stash[SETTINGS].environments.values()]
    if all(reasons):
        commands = " or ".join(f.install for f in FRAMEWORKS.values() if f.install)
        told = "; ".join(reason for reason in reasons if reason)
        raise pytest.UsageError(told or f"no framework is installed here; try: {commands}")


def pytest_report_header(config: pytest.Config) -> list[str]:
    versions = [
        " ".join([name, *environment.versions().values()][:2])
        for name, environment in config.stash[SETTINGS].environments.items()
        if not environment.missing()
    ]
    missing = [f.missing() for f in FRAMEWORKS.values() if f.missing()]
    return [f"stagebench: {', '.join(versions) or 'no framework'}", *(f"  {reason}" for reason in missing)]
