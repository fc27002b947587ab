"""What the stores take from the settings and the environment, read once and again when it changes.

A worker on another machine gets its settings as environment variables, so they are looked up here
and not handed down through every call.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from swath.settings import load_settings

Environment = tuple[tuple[str, str], ...]

_OF_SETTINGS = ("SWATH_", "XDG_", "HOME")
_OF_CLOUDS = ("AWS_", "AZURE_", "GOOGLE_")


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How stores are reached.

    Parameters
    ----------
    requester_pays
        Whether this user pays for what is read from buckets of others (S3).
    anonymous
        Whether requests are sent without credentials, as public data may ask for.
    patience_s
        Seconds to wait, all waits of one operation together, for a service that fails or throttles.
    cache_gib
        Limit of the cache of downloads, in GiB.
    cache_folder
        Where that cache is.
    region, profile
        Region and profile of the AWS configuration; None: what the configuration itself says.
    environment
        Variables of the clouds, so that a change of them makes new connections. It holds secrets,
        and is left out where these options are shown.
    """

    requester_pays: bool
    anonymous: bool
    patience_s: int
    cache_gib: int
    cache_folder: Path
    region: str | None
    profile: str | None
    environment: Environment = field(repr=False)

    def variable(self, *names: str) -> str | None:
        """Return the value of the first of these environment variables that is set."""
        variables = dict(self.environment)
        return next((variables[name] for name in names if variables.get(name)), None)


def store_options() -> StoreOptions:
    """Return the options as they are now.

    Raises
    ------
    ConfigError
        If a settings file cannot be read, or a setting is wrong.
    """
    return _options(_variables(_OF_SETTINGS), _variables(_OF_CLOUDS), os.getcwd())  # noqa: PTH109


def _variables(prefixes: tuple[str, ...]) -> Environment:
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(prefixes)))


@lru_cache(maxsize=8)
def _options(settings_from: Environment, clouds: Environment, folder: str) -> StoreOptions:
    variables = dict(settings_from)
    settings = load_settings(environment=variables, folder=Path(folder))
    base = variables.get("XDG_CACHE_HOME") or "~/.cache"
    cache_folder = settings["store.cache_folder"] or f"{base}/swath/objects"
    region, profile = settings["aws.region"], settings["aws.profile"]
    return StoreOptions(
        requester_pays=settings.is_on("store.requester_pays"),
        anonymous=settings.is_on("store.anonymous"),
        patience_s=settings.count("store.patience_s", 60),
        cache_gib=settings.count("store.cache_gib", 20),
        cache_folder=Path(str(cache_folder)).expanduser(),
        region=None if region is None else str(region),
        profile=None if profile is None else str(profile),
        environment=clouds,
    )
