# Asks a PostgreSQL 15 at /tmp:54329 for the answers in captured.rs. Run from the repository root.
import subprocess,json
exprs=[]
TS=['2024-01-31 13:14:15.678901','2024-02-29 00:00:00','0044-03-15 01:02:03 BC','1999-12-31 23:59:59.999999','2000-01-01','2021-01-03 12:00','infinity','0001-01-01 00:00','1970-01-01 00:00:01','2024-11-03 06:30:00']
F=['microseconds','milliseconds','second','minute','hour','day','week','month','quarter','year','decade','century','millennium','dow','isodow','doy','isoyear','julian','epoch','timezone','timezone_hour','foo']
q=lambda s:"'"+s+"'"
for t in TS:
    for f in F:
        exprs.append(('extract_timestamp',f,t,f"extract({f} from timestamp {q(t)})"))
        exprs.append(('extract_timestamptz',f,t,f"extract({f} from timestamptz {q(t)})"))
        exprs.append(('extract_date',f,t,f"extract({f} from timestamp {q(t)}::date)"))
    for f in F[:13]+['dow','epoch','foo']:
        exprs.append(('trunc_timestamp',f,t,f"date_trunc({q(f)}, timestamp {q(t)})"))
        exprs.append(('trunc_timestamptz',f,t,f"date_trunc({q(f)}, timestamptz {q(t)})"))
IV=['1 mon','-1 mon','1 year 2 mons 3 days 04:05:06.789','-13 mons 30 days','1 day','24:00','-1 day -25:00:00.5','300000 years','12345 years 6 mons','1.5 days','-100 years']
for i in IV:
    for f in F: exprs.append(('extract_interval',f,i,f"extract({f} from interval {q(i)})"))
    for f in F[:13]+['dow']: exprs.append(('trunc_interval',f,i,f"date_trunc({q(f)}, interval {q(i)})"))
    for t in TS:
        exprs.append(('add_timestamp',i,t,f"timestamp {q(t)} + interval {q(i)}"))
        exprs.append(('add_timestamptz',i,t,f"timestamptz {q(t)} + interval {q(i)}"))
for a in TS:
    for b in TS:
        exprs.append(('difference',a,b,f"timestamp {q(a)} - timestamp {q(b)}"))
        if 'inf' not in a+b: exprs.append(('age',a,b,f"age(timestamp {q(a)}, timestamp {q(b)})"))
for a,b in [('2024-03-30','2024-02-29'),('2024-03-01','2024-01-31'),('2024-02-29','2024-03-30'),('2024-01-31','2024-03-01'),('2023-03-01 01:00','2023-01-31 02:00'),('2023-01-31 02:00','2023-03-01 01:00'),('2024-01-01 12:00','2023-12-31 13:00'),('2020-02-29','2021-02-28'),('2021-02-28','2020-02-29'),('2024-05-31 10:00','2024-04-30 11:00'),('2024-04-30 11:00','2024-05-31 10:00')]:
    exprs.append(('age',a,b,f"age(timestamp {q(a)}, timestamp {q(b)})"))
    exprs.append(('difference',a,b,f"timestamp {q(a)} - timestamp {q(b)}"))
for t in ['04:05:06.789','24:00:00','00:00']:
    for f in F: exprs.append(('extract_time',f,t,f"extract({f} from time {q(t)})"))
prog="""
create or replace function pg_temp.ask(s text) returns text language plpgsql as $f$
declare r text; st text; m text; d text;
begin execute format('select (%s)::text', s) into r; 
  return json_build_array('ok', r)::text;
exception when others then get stacked diagnostics st=returned_sqlstate, m=message_text, d=pg_exception_detail;
 return json_build_array('err', st, m, d)::text; end $f$;
set timezone='America/New_York';
"""
script=prog+"".join(f"select pg_temp.ask($q${e[3]}$q$);\n" for e in exprs)
out=subprocess.run(["psql","-h","/tmp","-p","54329","-U","postgres","-Atq"],input=script,capture_output=True,text=True)
res=[json.loads(l) for l in out.stdout.split("\n") if l]
assert len(res)==len(exprs),(out.stderr[:1000],len(res),len(exprs))
o="//! Date arithmetic as PostgreSQL 15 answers it with TimeZone America/New_York (see `main.rs`): (function, argument, argument, answer).\n\nuse super::Case;\n\n#[rustfmt::skip]\npub static CASES: &[Case] = &[\n"
for e,r in zip(exprs,res):
    x=("None" if r[1] is None else f'Some("{r[1]}")')
    exp=f"Ok({x})" if r[0]=='ok' else 'Err(("%s", "%s"))'%(r[1],r[2].replace('"','\\"'))
    o+=f'    ("{e[0]}", "{e[1]}", "{e[2]}", {exp}),\n'
import os
os.makedirs("types/tests/datetime_pg",exist_ok=True)
open("types/tests/datetime_pg/captured.rs","w").write(o+"];\n")
print(len(exprs))
