import os
import sys

import duckdb
import pyarrow  # noqa: F401: DuckDB would import it while the first query is timed


class Duck:
    def __init__(self, folder):
        self.connection = duckdb.connect(os.path.join(folder, "duck.db"))
        self.connection.execute(f"SET threads = {os.cpu_count()}")
        self.connection.execute("SET TimeZone = 'UTC'")
        # It would be drawn on standard output, between the answers.
        self.connection.execute("SET enable_progress_bar = false")

    def version(self):
        return duckdb.__version__

    def run(self, sql):
        self.connection.execute(sql)

    def rows(self, sql):
        return self.connection.execute(sql).fetchall()

    def materialise(self, sql):
        self.connection.sql(sql).to_arrow_table()


engine = Duck(sys.argv[1])
