# Answers requests, one line of JSON each: {"op", "sql", "seconds"} -> {"ok"} or {"error"}. `engine` comes from the file before.
import datetime
import decimal
import json
import sys
import time


def text(value):
    if value is None:
        return "NULL"
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ")
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


def timed(sql):
    begin = time.perf_counter()
    engine.materialise(sql)
    return (time.perf_counter() - begin) * 1000


def answer(request):
    op, sql = request["op"], request.get("sql")
    if op == "version":
        return engine.version()
    if op == "run":
        return engine.run(sql)
    if op == "rows":
        return [[text(value) for value in row] for row in engine.rows(sql)]
    if op == "time":
        end = time.perf_counter() + request["seconds"]
        times = [timed(sql)]
        while time.perf_counter() < end:
            times.append(timed(sql))
        return times
    raise ValueError("unknown request " + op)


for line in sys.stdin:
    try:
        reply = {"ok": answer(json.loads(line))}
    except Exception as e:
        reply = {"error": " ".join(str(e).split())[:500]}
    print(json.dumps(reply), flush=True)
