"""The exception for problems that the user can solve."""


class LrfaceError(Exception):
    """A mistake in the input, the recipe or the environment.

    The message is one line that says what is wrong, where, and what to do. The command line prints it as ``error: ...`` and
    exits with status 2. Users of the library may catch it. Any other exception is a bug.
    """
