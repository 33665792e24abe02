"""What the ledger raises, beside the runtime's `Unavailable` (away, locked, full: wait and try again).

LabelbusError
├── Unavailable              the runtime's: locked, away, disk full, deadlock; it passes
├── SettingsError
│   └── LedgerError          the ledger cannot be used as it is configured
│       ├── LedgerNotFound       no such directory, database or host name; a URL that says nothing
│       ├── LedgerRefused        the server does not let us in
│       ├── LedgerReadOnly       we may read, but not write
│       ├── NotALedger           the file is no SQLite database, is damaged, or belongs to another program
│       ├── LedgerNotMigrated    PostgreSQL without our tables, or with older ones
│       └── LedgerTooNew         a newer Labelbus has changed it past what we understand
└── SecretUnavailable        a secret's name leads nowhere, or its seal cannot be opened
"""

from labelbus_runtime.errors import LabelbusError, SettingsError


class LedgerError(SettingsError):
    """The ledger cannot be used as it is configured."""


class LedgerNotFound(LedgerError):
    """There is no such directory, database or server name."""


class LedgerRefused(LedgerError):
    """The server does not accept our user or password."""


class LedgerReadOnly(LedgerError):
    """The ledger can be read, not written."""


class NotALedger(LedgerError):
    """The file is no SQLite database, is damaged, or belongs to another program."""


class LedgerNotMigrated(LedgerError):
    """The database lacks tables or columns that this version needs."""


class LedgerTooNew(LedgerError):
    """A newer version has changed the ledger past what this one understands."""


class SecretUnavailable(LabelbusError):
    """A secret's name leads nowhere, or its seal cannot be opened with the keys at hand."""
