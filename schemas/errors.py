"""The errors that a user meets. Their text is one line: what was found, where, and what would be right."""


class BpkdError(Exception):
    """The work failed for a reason outside the user's input."""

    exit_code = 1


class UserError(BpkdError):
    """The user's input is wrong; running it again without a change fails again."""

    exit_code = 2


class SampleError(Exception):
    """One sample cannot be used; it is recorded with this reason and the rest goes on."""
