"""Every error that T-MESH raises on purpose: one ``except TMeshError`` catches them all.

::

    TMeshError
    ├── InvalidInput (ValueError)       an argument, file or received bytes break a rule
    │   ├── InvalidEvent                an event that no honest agent signed
    │   │   └── InvalidSignature
    │   ├── InvalidMessage              a message of reconciliation that cannot be decoded
    │   ├── InvalidCertificate          a certificate that proves nothing
    │   ├── InvalidProof                a fraud proof that shows no fault
    │   └── CorruptJournal              damage to a journal that no interrupted write explains
    ├── FileError (OSError)             a result, journal or cache that cannot be read or written
    ├── NotSupported (RuntimeError)     a block that this configuration lacks
    ├── EngineError (RuntimeError)      a core that refuses a command, or that is another build
    ├── LinkError (ConnectionError)     a board that is gone or does not answer
    ├── SimulationError (RuntimeError)  a simulation that stops making progress
    └── ToolError (RuntimeError)        a compiler, simulator or synthesis tool that fails

Each also derives from the built-in exception in parentheses, so code that knows only that one still
works. Any other exception is a bug in T-MESH.
"""


class TMeshError(Exception):
    """The root: anything that T-MESH raises on purpose."""


class InvalidInput(TMeshError, ValueError):
    """An argument, a user's file or received bytes break a rule.

    The message names the argument or file, the rule and the value that breaks it.
    """


class InvalidEvent(InvalidInput):
    """An event that no honest agent signed, or whose bytes are not those of an event."""


class InvalidSignature(InvalidEvent):
    """An event without a valid signature of an agent that it names."""


class InvalidMessage(InvalidInput):
    """A message of reconciliation that no honest agent sends."""


class InvalidCertificate(InvalidInput):
    """Bytes or signatures that prove nothing."""


class InvalidProof(InvalidInput):
    """A fraud proof that shows no fault of its author."""


class CorruptJournal(InvalidInput):
    """Damage to a journal that no interrupted write explains; the file is left untouched."""


class FileError(TMeshError, OSError):
    """A result, journal or cache cannot be read or written; the message says which, and why."""

    @classmethod
    def of(cls, error: OSError, path: object) -> "FileError":
        """From the operating system's error about `path`; `errno` stays."""
        made = cls(f"{path}: {error.strerror or error}")
        made.errno = error.errno
        return made


class NotSupported(TMeshError, RuntimeError):
    """The configuration or installation lacks the block or package that a call needs."""


class EngineError(TMeshError, RuntimeError):
    """The engine refused a command, or is not the one that was expected."""


class LinkError(TMeshError, ConnectionError):
    """The board is gone, or does not answer as a board does; `Link.connect` begins again."""


class SimulationError(TMeshError, RuntimeError):
    """A simulation stopped making progress, or cannot go on."""


class ToolError(TMeshError, RuntimeError):
    """A compiler, simulator or synthesis tool is missing or failed; the message has the remedy."""
