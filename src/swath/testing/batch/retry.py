"""Whether AWS Batch tries a job again."""

from __future__ import annotations

from swath.testing.model import Json


def is_retried(
    strategy: Json,
    n_attempts: int,
    *,
    status_reason: str | None,
    reason: str | None,
    exit_code: int | None,
) -> bool:
    """Tell whether a job that failed is moved to RUNNABLE again.

    The first condition of `evaluateOnExit` all of whose patterns match decides. If none matches,
    the job is retried. A reason or code that there is not reads as an empty text, which ``*``
    matches.

    Parameters
    ----------
    strategy
        `retryStrategy` of the job: ``attempts`` and ``evaluateOnExit``.
    n_attempts
        Attempts that were made so far.

    References
    ----------
    AWS Batch user guide, "Automated job retries".

    Examples
    --------
    >>> spot = {"action": "RETRY", "onStatusReason": "Host EC2*"}
    >>> others = {"action": "EXIT", "onReason": "*"}
    >>> strategy = {"attempts": 3, "evaluateOnExit": [spot, others]}
    >>> reclaimed = "Host EC2 (instance i-0abc) terminated."
    >>> is_retried(strategy, 1, status_reason=reclaimed, reason=None, exit_code=None)
    True
    >>> is_retried(strategy, 1, status_reason="Essential", reason=None, exit_code=1)
    False
    """
    if n_attempts >= strategy.get("attempts", 1):
        return False
    seen = {
        "onStatusReason": status_reason or "",
        "onReason": reason or "",
        "onExitCode": "" if exit_code is None else str(exit_code),
    }
    for condition in strategy.get("evaluateOnExit", ()):
        if all(_matches(condition[key], seen[key]) for key in seen if key in condition):
            return bool(condition["action"] == "RETRY")
    return True


def _matches(pattern: str, text: str) -> bool:
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern
