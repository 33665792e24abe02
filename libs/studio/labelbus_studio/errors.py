"""What a call to Studio may raise, split by what the caller can do.

StudioError
├── StudioUnavailable   wait: network, timeout, 429, 5xx; `retry_after_s` where Studio said when
├── StudioConfused      wait: the answer is not JSON or not of the promised shape, such as a gateway's page
└── StudioRefused       do not repeat: Studio answered that it will not do this
    ├── SampleNotFound  drop the sample
    ├── JobNotFound     name another job of Studio
    └── KeyRefused      stop the job: the API key is wrong, expired or may not do this

`StudioUnavailable` and `StudioConfused` are raised after the client's own short retries. No text contains
the API key. Foreign exceptions are mapped in `calls` and are not chained: their frames hold the key.
"""


class StudioError(Exception):
    """The root of this package's errors. Messages say fact, subject, remedy."""


class StudioUnavailable(StudioError):
    """Studio cannot be reached or is too busy; the same call may succeed in `retry_after_s`, or later."""

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class StudioConfused(StudioError):
    """The answer cannot be read: not JSON, cut short, or not of the promised shape."""


class StudioRefused(StudioError):
    """Studio understood and refused. `status` is the HTTP status, 200 for `success: false`."""

    def __init__(self, text: str, status: int = 200) -> None:
        super().__init__(text)
        self.status = status


class SampleNotFound(StudioRefused):
    """The sample is not in the project."""


class JobNotFound(StudioRefused):
    """The project has no such job of Studio."""


class KeyRefused(StudioRefused):
    """The API key is unknown, expired or lacks the permission. It concerns every sample of the job."""
