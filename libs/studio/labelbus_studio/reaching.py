"""Why a server cannot be reached, in words for whoever can mend it."""

import socket
import ssl
from collections.abc import Iterator


def cause_of(error: BaseException, variable: str) -> str | None:
    """Say what is behind an error of a connection to the address in an environment variable.

    None where nothing is known. Only causes are looked at that know nothing of headers, hence of no key.
    """
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return (
                    "its certificate is not trusted. "
                    "Set SSL_CERT_FILE to the certificates of your organisation."
                )
            case ssl.SSLError():
                return f"it does not speak TLS as https needs it. Check {variable}."
            case socket.gaierror():
                return f"its host is not known. Check {variable} and the network."
            case ConnectionRefusedError():
                return f"nobody listens there. Check {variable}."
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it came from."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
    if (cause := error.__cause__ or error.__context__) is not None:
        yield from _causes(cause)
