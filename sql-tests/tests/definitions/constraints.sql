create table t (a int check (a > 0), b int constraint bpos check (b > 0), c int, check (a < b), constraint cc check (c <> 5 or c is null))
insert into t values (1, 2, 3)
insert into t values (0, 2, 3)
insert into t values (3, 2, 3)
insert into t values (null, null, null)
insert into t values (1, -1, 3)
insert into t values (1, 5, 5)
update t set a = 10 where a = 1
update t set c = 5
select conname, contype, conkey from pg_constraint where conrelid = 't'::regclass order by 1
create table bad (a int check (b > 0))
create table bad (a int check (a + 1))
create table bad (a int check ((select true)))
create table bad (a int check (sum(a) > 1))
create table bad (a int constraint x check (a > 0), b int constraint x check (b > 0))
create table n (a int check (a > 0) check (a < 10), b int, check (a > b), check (b > a))
select conname from pg_constraint where conrelid='n'::regclass order by 1
insert into n values (20, 5)
insert into t values (1,5,6) on conflict do nothing
select count(*) from t
create table u (a int, b int, c int, unique (a, b), unique (b, c))
insert into u values (1,1,1),(1,2,1),(2,1,2)
insert into u values (1,1,5)
insert into u values (1,null,5),(1,null,5)
create table p (id int primary key, x int unique)
create table c (id int primary key, pid int references p, px int references p(x) on delete cascade on update cascade)
insert into p values (1, 10), (2, 20)
insert into c values (1, 1, 10), (2, null, null)
insert into c values (3, 9, 10)
insert into c values (3, 1, 99)
delete from p where id = 1
update p set id = 5 where id = 1
delete from p where id = 2
update c set pid = 7 where id = 1
update p set x = 11 where id = 1
select * from c order by id
update c set pid = null
delete from p where id = 1
select * from c order by id
drop table p
truncate p
truncate p, c
truncate p cascade
insert into p values (1,1),(2,2)
insert into c values (1,1,1)
drop table p cascade
insert into c values (9, 9, 9)
create table tree (id int primary key, parent int references tree on delete cascade)
insert into tree values (1, 2), (2, null), (3, 1), (4, 3)
insert into tree values (5, 99)
delete from tree where id = 2
select count(*) from tree
create table par (a int, b int, primary key (a, b))
create table chi (x int, y int, foreign key (x, y) references par on delete set null on update set null, z int default 3)
create table chi2 (x int default 0, y int default 0, foreign key (x, y) references par match full on delete set default)
insert into par values (1,1),(0,0),(2,2)
insert into chi values (1,1),(1,null),(null,7)
insert into chi2 values (1,1)
insert into chi2 values (1,null)
delete from par where a = 1
select * from chi order by x, y
select * from chi2
delete from par where a = 0
update par set a = 3 where a = 2
create table bad (a int references nope)
create table bad (a int references par)
create table bad (a int, b int, foreign key (a, b) references par (b, b))
create table bad (a text references tree)
create table bad (a int references tree(parent))
create table bad (a int, foreign key (zz) references tree)
create view v as select 1 as a
create table bad (a int references v)
alter table chi add constraint fk2 foreign key (z) references tree
alter table chi add constraint fk2 foreign key (z) references tree not valid
insert into chi values (null,null,4)
alter table chi validate constraint fk2
insert into tree values (3,null)
alter table chi validate constraint fk2
alter table chi drop constraint fk2
select conname, contype, confupdtype, confdeltype, confmatchtype, conkey, confkey from pg_constraint where contype='f' order by 1
alter table tree drop constraint tree_pkey
alter table tree drop constraint tree_pkey cascade
begin
create table aa (id int primary key)
create table bb (id int references aa)
insert into aa values (1)
insert into bb values (1)
delete from aa
rollback
create table q (id int primary key)
create table r (id int primary key references q on delete restrict)
insert into q values (1)
insert into r values (1)
delete from q
update q set id = 2
insert into q values (2) on conflict do nothing
insert into r values (2) on conflict do nothing
insert into r values (77) on conflict do nothing
drop table chi, chi2, par, q, r
create table dp (id int primary key)
create table dc (id int primary key, p int constraint dcfk references dp deferrable initially deferred, q int references dp deferrable)
begin
insert into dc values (1, 5, null)
insert into dp values (5)
commit
begin
insert into dc values (2, 6, null)
commit
select count(*) from dc
insert into dc values (2, 6, null)
insert into dc values (3, null, 6)
begin
set constraints all deferred
insert into dc values (3, null, 6)
insert into dp values (6)
commit
begin
insert into dc values (4, 7, null)
set constraints dcfk immediate
rollback
begin
insert into dc values (4, 7, null)
set constraints all immediate
commit
begin
savepoint a
insert into dc values (4, 7, null)
rollback to a
commit
begin
delete from dp where id = 5
insert into dp values (5)
commit
delete from dp where id = 5
begin
delete from dp where id = 5
update dc set p = null where p = 5
commit
set constraints nope immediate
set constraints dc_pkey immediate
set constraints dc_q_fkey deferred
select conname, condeferrable, condeferred from pg_constraint where contype = 'f' and conrelid = 'dc'::regclass order by 1
create table bad (a int references dp not deferrable initially deferred)
alter table dc add constraint dc2 foreign key (q) references dp deferrable initially deferred
drop table dc, dp
