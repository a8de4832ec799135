"""
What can go wrong between a caller and the service.

    KembarError
    ├── BadAddress               the base URL cannot be used, or what is asked does not fit into an address
    ├── Closed                   the client was closed before the call
    ├── NoAnswer                 nothing came back; what became of a write is unknown
    │   ├── Unreachable          no connection; nothing was sent
    │   ├── ConnectionLost       the connection broke before the answer was whole
    │   └── TimedOut             no answer within the time limit
    ├── Refused                  the service answered with a problem document
    │   ├── NotFound             404
    │   ├── PreconditionFailed   412
    │   ├── NotAllowed           401, 403
    │   ├── Unusable             every other 4xx: the request must be another one
    │   ├── Overloaded           429, 503: the same request may do later
    │   └── ServiceFault         every other status: the service failed
    └── BadAnswer                an answer that the interface does not promise
"""

from kembar_client.answers import Problem


class KembarError(Exception):
    """
    Something went wrong.

    `problem` is what the service says about it, `retry_after_s` how long it asks to wait; None where it does not.
    """

    problem: Problem | None = None
    retry_after_s: float | None = None


class BadAddress(KembarError):
    """The base URL cannot be used, or what is asked does not fit into an address."""


class Closed(KembarError):
    """The client was closed before the call."""


class NoAnswer(KembarError):
    """Nothing came back; what became of a write is unknown."""


class Unreachable(NoAnswer):
    """No connection could be made; nothing was sent."""


class ConnectionLost(NoAnswer):
    """The connection broke before the answer was whole."""


class TimedOut(NoAnswer):
    """No answer came within the time limit."""


class Refused(KembarError):
    """The service refused; `problem` says why."""

    problem: Problem

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        super().__init__(problem, retry_after_s)
        self.problem = problem
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        problem = self.problem
        return f"{problem.status} {problem.title}" + (f": {problem.detail}" if problem.detail else "")


class NotFound(Refused):
    """No such posting or path."""


class PreconditionFailed(Refused):
    """The stored revision is another one than the request demanded."""


class NotAllowed(Refused):
    """No key, a wrong key or one without the scope."""


class Unusable(Refused):
    """The request cannot be used as it is; sending it again gives the same answer."""


class Overloaded(Refused):
    """The service has too much to do or is not ready; the same request may do later."""


class ServiceFault(Refused):
    """The service failed."""


class BadAnswer(KembarError):
    """The answer is not what the interface promises."""


_REFUSALS: dict[int, type[Refused]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    412: PreconditionFailed,
    429: Overloaded,
    503: Overloaded,
}


def refused(problem: Problem, retry_after_s: float | None = None) -> Refused:
    """The exception for a problem, of the kind that its status stands for."""
    otherwise = Unusable if 400 <= problem.status < 500 else ServiceFault
    return _REFUSALS.get(problem.status, otherwise)(problem, retry_after_s)
