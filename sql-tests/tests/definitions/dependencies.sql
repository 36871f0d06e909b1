create table t (a int, b int)
create view v as select a from t
create view w as select * from v
create view x as select b from t
drop table t
drop view v
alter table t drop column a
alter table t drop column b cascade
select count(*) from x
alter table t alter a type bigint
alter table t add column c int default 5
select * from w
insert into t values (1, 2)
alter table t rename column a to aa
select * from v
select * from w
alter table t rename to tt
select * from v
alter view v rename to vv
select * from w
alter view vv rename column a to z
select * from vv
select * from w
create schema s
alter table tt set schema s
select * from w
alter schema s rename to s2
select * from w
drop schema s2
drop schema s2 cascade
select * from w
create table st (a int, b text)
create view sv as select * from st
create view sv2 as select st.*, 1 as one from st where b = 'x'
create view sv3 as select s.* from (select * from st) s join st x using (a)
alter table st add column c int default 9
insert into st values (1,'x',2)
select * from sv
select * from sv2
select * from sv3
alter table st rename b to bee
select * from sv
select * from sv2
select * from sv3
select column_name from information_schema.columns where table_name = 'sv' order by ordinal_position
create table one (id int primary key)
create table two (id int references one)
create view three as select one.id from one join two using (id)
drop table one
drop table one, two
drop table one cascade
drop table two
comment on table st is 'a table'
comment on column st.a is 'col a'
comment on view sv is 'a view'
comment on schema public is 'pub'
create index sti on st(a)
comment on index sti is 'idx'
create sequence sq
comment on sequence sq is 'seq'
alter table st add constraint ch check (a > 0)
comment on constraint ch on st is 'chk'
comment on database postgres is 'db'
select objoid::regclass, objsubid, description from pg_description where objoid in ('st'::regclass,'sv'::regclass,'sti'::regclass,'sq'::regclass) order by objoid::regclass::text, objsubid
select obj_description('st'::regclass), obj_description('st'::regclass,'pg_class'), col_description('st'::regclass, 1), obj_description('public'::regnamespace,'pg_namespace')
select obj_description(oid, 'pg_constraint') from pg_constraint where conname='ch'
select shobj_description(oid, 'pg_database') from pg_database where datname='postgres'
comment on table st is null
select obj_description('st'::regclass)
comment on table nope is 'x'
comment on column st.zz is 'x'
comment on column zz is 'x'
comment on view st is 'x'
comment on table sv is 'x'
comment on constraint zz on st is 'x'
comment on schema zz is 'x'
comment on database zz is 'x'
comment on index st is 'i'
comment on sequence st is 's'
comment on table st is 5
comment on table st
comment table st is 'x'
alter table st drop column a cascade
select count(*) from pg_description where objoid = 'st'::regclass
comment on database postgres is null
comment on schema public is null
drop view sv
drop table st cascade
drop sequence sq
create table dd (id serial)
select deptype, objid::regclass, refobjid::regclass, refobjsubid from pg_depend where refobjid='dd'::regclass and classid='pg_class'::regclass order by 1,2
drop table dd
