"""A request that is not answered with codes, and why."""

from aach_lightning.errors import AachError


class RequestError(AachError):
    """What is wrong with a request, in the terms of HTTP.

    Args:
        status: HTTP status, 4xx or 5xx.
        reason: One word for programs, such as `bad_image`.
        message: One sentence for people.
        retry_after: Seconds after which the same request may succeed; None where it never will.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.retry_after = status, reason, message, retry_after
