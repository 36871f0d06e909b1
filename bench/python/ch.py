import json
import os
import sys

import chdb
import chdb.session
import pyarrow


class ClickHouse:
    def __init__(self, folder):
        self.session = chdb.session.Session(os.path.join(folder, "ch"))
        self.run(f"SET max_threads = {os.cpu_count()}")

    def version(self):
        return self.session.query("SELECT version()", "TabSeparated").data().strip()

    def run(self, sql):
        self.session.query(sql)

    def rows(self, sql):
        # Arrow has no name for ClickHouse's DateTime; JSON has its text.
        lines = self.session.query(sql, "JSONCompactEachRow").data().splitlines()
        return [json.loads(line) for line in lines]

    def materialise(self, sql):
        data = self.session.query(sql, "Arrow").bytes()
        pyarrow.ipc.open_file(pyarrow.BufferReader(data)).read_all()


engine = ClickHouse(sys.argv[1])
