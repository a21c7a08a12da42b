"""The one exception that means "the user can mend this"."""


class LrfaceError(Exception):
    """A mistake in the input, the recipe or the environment.

    The message is one line that says what is wrong, where, and what to do. The command line prints it as
    ``error: ...`` and exits with status 2; a library caller may catch it. Anything else that escapes is a bug.
    """
