//! Expressions and queries whose rows, column names and types must equal PostgreSQL's.

use heddle_sql_tests::{Outcome, table};

const SETUP: &str = "SET TimeZone = 'UTC'; \
    CREATE TABLE p (id int PRIMARY KEY, name text, cat char(3), price numeric(8,2), qty int2, added date, \
      seen timestamptz, big int8, w float8, ok bool, tags text[], doc jsonb); \
    INSERT INTO p VALUES \
      (1, 'apple', 'fru', 1.20, 10, '2024-01-01', '2024-01-01 10:00+00', 100, 0.5, true, '{red,round}', '{\"k\": 1}'), \
      (2, 'pear', 'fru', 2.50, 0, '2024-01-15', '2024-01-15 12:30+00', 200, 1.25, false, '{green}', '{\"k\": [1, 2]}'), \
      (3, 'nail', 'har', 0.05, 1000, '2024-02-01', NULL, 9000000000, NULL, true, '{}', 'null'), \
      (4, NULL, NULL, NULL, NULL, NULL, '2024-03-01 00:00+00', NULL, 3, NULL, NULL, NULL), \
      (5, 'saw', 'har', 19.99, 3, '2024-02-01', '2024-02-01 08:00+00', -5, -2.5, true, '{sharp,NULL}', '{\"k\": {\"x\": \"y\"}}'); \
    CREATE TABLE s (pid int, n int, note varchar(20)); \
    INSERT INTO s VALUES (1, 5, 'a'), (1, 7, 'b'), (2, 1, NULL), (9, 9, 'orphan')";

fn form(outcome: &Outcome) -> String {
    match &outcome.error {
        Some(e) => format!("ERROR {}", e.short()),
        None => outcome.full(),
    }
}

#[test]
fn expressions() {
    table::compare(
        SETUP,
        "SELECT 1, 2147483648, 1.5, 'x', NULL, true, 1e3, .5, 9223372036854775808
        SELECT 1 + 1, 7 / 2, -7 / 2, 7 % 3, -7 % 3, 2 ^ 3, 2 ^ 0.5, 5.0 / 2, 1::int8 + 1, 1::int2 + 1::int2
        SELECT 1::int2 + 1::int8, 1 + 1.5, 1 + 1.5::float8, 1.5 + 1.5::float4, 1.10 * 1.1, 1.0 - 1
        SELECT 10 / 3.0, 1 / 3.0, 2 / 3.0, 100000 / 7.0, 1.0 / 7, 0.00001 / 3
        SELECT 5 & 3, 5 | 3, 5 # 3, ~5, 1 << 4, 256 >> 2
        SELECT |/ 16, ||/ 0, @ -5
        SELECT 1 = 1, 1 <> 2, 1 != 1, 1 < 2, 'a' < 'b', 'B' < 'a', NULL = 1, 1.0 = 1
        SELECT 1 BETWEEN 0 AND 2, 1 NOT BETWEEN 0 AND 2, 3 BETWEEN SYMMETRIC 5 AND 1
        SELECT 1 IN (1, 2), 1 NOT IN (2, NULL), NULL IN (1), 1 IN (NULL, 1)
        SELECT true AND NULL, false AND NULL, true OR NULL, NOT NULL::bool
        SELECT 1 IS NULL, NULL IS NOT NULL, true IS TRUE, NULL::bool IS UNKNOWN, NULL IS DISTINCT FROM 1, 1 IS NOT DISTINCT FROM 1
        SELECT CASE WHEN 1 > 2 THEN 'a' ELSE 'b' END, CASE 1 WHEN 1 THEN 2.5 ELSE 3 END, CASE WHEN false THEN 1 END
        SELECT COALESCE(NULL, 1, 2), NULLIF(1, 1), NULLIF(1, 2), GREATEST(1, 2.5, NULL), LEAST('b', 'a')
        SELECT 'a' || 'b', 'a' || 1, 1 || 'a', 'a' || NULL, 'x' || true, 'n' || 1.50
        SELECT 'abc' LIKE 'a%', 'abc' LIKE '_b_', 'ABC' ILIKE 'a%', 'a%c' LIKE 'a\\%c', 'abc' NOT LIKE 'x%', 'a%' LIKE 'a!%' ESCAPE '!'
        SELECT 'abc' ~ 'b', 'abc' ~* 'B', 'abc' !~ 'x', 'abc' SIMILAR TO '(a|b)%'
        SELECT length('zoë'), char_length('abc'), octet_length('zoë'), bit_length('a'), upper('abc'), lower('ABC'), initcap('hello world')
        SELECT substring('abcdef' FROM 2 FOR 3), substring('abcdef', 3), substr('abcdef', -1, 4), left('abc', 2), right('abc', -1), substring('foobar' FROM 'o(.)b')
        SELECT trim('  x '), ltrim('xxa', 'x'), rtrim('axx', 'x'), btrim('xax', 'x'), trim(BOTH 'y' FROM 'yay'), trim(LEADING FROM ' a')
        SELECT lpad('5', 3, '0'), rpad('a', 3), repeat('ab', 2), reverse('abc'), replace('banana', 'a', 'o'), translate('abc', 'ab', 'x')
        SELECT position('b' IN 'abc'), strpos('abc', 'z'), split_part('a,b,c', ',', 2), split_part('a,b,c', ',', -1), overlay('abcdef' PLACING 'XX' FROM 2 FOR 3)
        ~42883 SELECT concat('a', 1, NULL, true), concat_ws('-', 'a', NULL, 'b'), ascii('A'), chr(65), md5('a'), quote_ident('A b'), quote_literal('it''s'), quote_nullable(NULL)
        ~42883 SELECT format('%s %I %L %%', 'a', 'B c', 'd'), starts_with('abc', 'ab'), string_to_array('a,b', ','), array_to_string(ARRAY[1, NULL, 2], ',', 'x')
        SELECT regexp_replace('abc', 'b', 'X'), regexp_replace('aaa', 'a', 'b', 'g'), regexp_match('abc123', '([a-z]+)(\\d+)'), regexp_split_to_array('a b', ' ')
        ~42883 SELECT encode('\\x00ff', 'hex'), decode('00ff', 'hex'), encode('abc', 'base64'), 'abc'::bytea, length('\\x0102'::bytea), to_hex(255)
        SELECT abs(-1), abs(-1.5), sign(-2), ceil(1.2), floor(-1.2), round(2.5), round(1.2345, 2), round(2.5::float8), trunc(1.99), trunc(-1.567, 1)
        SELECT sqrt(2), cbrt(0), exp(1), ln(2), log(100), log(2, 8), power(2, 10), mod(7, 3), div(7, 2), pi()
        ~42883 SELECT sqrt(2.0), exp(1.0), ln(2.0), power(2.0, 0.5), sin(0), cos(0), atan2(1, 1), degrees(pi()), radians(180), gcd(12, 18), lcm(4, 6), factorial(5)
        SELECT width_bucket(5, 0, 10, 5), ceiling(1.5), scale(1.50), min_scale(1.50), trim_scale(1.50)
        SELECT 1::text, 1.50::text, true::text, 'x'::varchar(5), '12'::int, ' 12 '::int, 't'::bool, 1::bool, 0::bool, true::int
        SELECT 1.5::int, 2.5::int, -1.5::int, 2.5::float8::int, 1e3::int, 3.99::numeric::int8, 65::\"char\", '5'::numeric(4,2)
        SELECT 1.23456789::float4, 1.23456789::float4::float8, 16777217::float4, 0.1::float4 + 0.2::float4, 1e15::float8, 1e16::float8, 1e-5::float8, 123456.789::float4
        SELECT 'a'::char(3), 'a'::char(3)::text || '|', 'abc'::char, 'a '::char(2) = 'a'::char(5), 'abc'::name, length('a  '::char(3))
        SELECT date '2024-01-31', date '2024-01-31' + 1, date '2024-03-01' - date '2024-02-01', date '2024-01-31' + interval '1 month', date '2024-01-01' + time '10:00'
        SELECT timestamp '2024-01-01 12:34:56.789', timestamptz '2024-01-01 00:00+02', timestamp '2024-01-01' - timestamp '2023-12-30 12:00', timestamp(0) '2024-01-01 00:00:00.5'
        SELECT interval '1 day', interval '1 year 2 months', interval '36 hours', interval '1 day' * 2.5, interval '1 day' / 2, interval '1 month' - interval '1 day', - interval '1 hour'
        SELECT interval 'P1Y2M3DT4H', interval '1-2', interval '3 4:05:06', interval '2' day, interval '90' minute, interval '1.5 hours'
        SELECT interval '1 day' = interval '24 hours', interval '1 month' = interval '30 days', justify_days(interval '35 days'), justify_hours(interval '27 hours')
        SELECT extract(year FROM date '2024-05-06'), extract(dow FROM date '2024-05-06'), extract(epoch FROM timestamp '2024-01-01'), extract(microseconds FROM time '00:00:01.5'), date_part('month', date '2024-05-06')
        SELECT extract(doy FROM date '2024-12-31'), extract(week FROM date '2024-12-31'), extract(quarter FROM date '2024-05-06'), extract(isodow FROM date '2024-05-05'), extract(day FROM interval '5 days 3 hours')
        SELECT date_trunc('month', timestamp '2024-05-06 10:11:12'), date_trunc('week', date '2024-05-08'), date_trunc('hour', interval '1 day 02:03:04'), date_trunc('day', timestamptz '2024-05-06 23:00+00', 'Asia/Tokyo')
        SELECT timestamptz '2024-07-01 12:00+00' AT TIME ZONE 'Europe/Berlin', timestamp '2024-07-01 12:00' AT TIME ZONE 'Europe/Berlin', age(timestamp '2024-05-06', timestamp '2023-01-01')
        SELECT make_date(2024, 2, 29), make_time(1, 2, 3.5), make_timestamp(2024, 1, 2, 3, 4, 5.5), make_interval(days => 3), to_timestamp(0), date_bin('15 minutes', timestamp '2024-01-01 10:17', timestamp '2024-01-01')
        ~42883 SELECT to_char(timestamp '2024-05-06 07:08:09', 'YYYY-MM-DD HH24:MI:SS'), to_char(1234.5, '9,999.99'), to_char(5, '000'), to_date('06.05.2024', 'DD.MM.YYYY'), to_number('1,234.5', '9,999.9')
        SELECT ARRAY[1, 2, 3], ARRAY['a', NULL], ARRAY[[1, 2], [3, 4]], ARRAY[1, 2.5], ARRAY[]::int[], '{1,2}'::int[]
        ~0A000 SELECT (ARRAY[1, 2, 3])[1], (ARRAY[1, 2, 3])[5], (ARRAY[1, 2, 3])[2:3], ARRAY[1, 2] || 3, 0 || ARRAY[1], ARRAY[1] || ARRAY[2], array_append(ARRAY[1], 2), array_cat(ARRAY[1], ARRAY[2])
        ~42883 SELECT 1 = ANY(ARRAY[1, 2]), 3 > ALL(ARRAY[1, 2]), ARRAY[1, 2] @> ARRAY[1], ARRAY[1] <@ ARRAY[1, 2], ARRAY[1, 2] && ARRAY[2, 3], ARRAY[1, 2] = ARRAY[1, 2], ARRAY[1, 2] < ARRAY[1, 3]
        ~42883 SELECT array_length(ARRAY[1, 2], 1), cardinality(ARRAY[[1], [2]]), array_upper(ARRAY[1, 2], 1), array_position(ARRAY['a', 'b'], 'b'), array_remove(ARRAY[1, 2, 1], 1), array_ndims(ARRAY[[1]]), array_length('{}'::int[], 1)
        SELECT '{\"a\": 1}'::json, '{\"b\": 1, \"a\": 2}'::jsonb, '[1, 2]'::jsonb = '[1,2]'::jsonb, '1.50'::jsonb, '\"x\"'::jsonb
        SELECT 'a0eebc999c0b4ef8bb6d6bb9bd380a11'::uuid, 'pg_class'::regclass, 'pg_class'::regclass::oid, 1259::regclass, 26::oid
        SELECT current_user, session_user, current_schema, current_database(), current_catalog
        SELECT pg_typeof(1), pg_typeof(1.5), pg_typeof('x'), pg_typeof('x'::text), pg_typeof(now()), pg_typeof(ARRAY[1]), pg_typeof(NULL), pg_typeof(1::int2)
        ~0A000 SELECT (1, 'a'), ROW(1, NULL), (1, 2) = (1, 2), (1, 2) < (1, 3), ROW(1, 2) IS NULL, (1, NULL) IS NOT NULL
        SELECT 'x' AS \"Upper\", 1 AS select_, 2 one, 3 AS \"a b\"
        SELECT E'a\\nb', 'it''s', $$dollar$$, $tag$a $$ b$tag$, U&'\\0041', 'a' AS b
        SELECT 1::int4, 2 AS int4, true::bool, cast(1 AS text), '1'::varchar, 1::numeric(5,1), now()::date IS NULL, int '5', 3::int2
        SELECT upper('x'), count(*), max(1), (SELECT 5), (SELECT 6 AS six), EXISTS (SELECT 1), ARRAY(SELECT 1), NOT true, -1, 1 IN (1)
        ~42601 SELECT pg_catalog.upper('x'), 'a'::text COLLATE \"C\", version() LIKE 'PostgreSQL 15%', pg_backend_pid() > 0, clock_timestamp() >= now(), txid_current() > 0
        SELECT 1.0::float8, 100::float8, 1e100::float8, -0.0::float8, 1.0::float4, 'infinity'::float8 > 1, 'NaN'::float8 = 'NaN'::float8, 'NaN'::numeric > 1
        SELECT 12345678901234567890, 123456789012345678901234567890.123456789, 1e-10, 1.0e5, 0.10, 00012, 1.
        SELECT date 'infinity', timestamp '-infinity', date '0044-03-15 BC', timestamptz '2024-01-01 00:00:00.123456+00', date 'epoch', date 'Jan 5, 2024', date '20240105', time '1:02 PM'
        SELECT bool 'yes', bool 'off', bool '1', 'TRUE'::bool, 'n'::bool, true > false, bool_and(true), every(false)
        ~42883 SELECT random() BETWEEN 0 AND 1, gen_random_uuid() IS NOT NULL, setseed(0.5), num_nulls(1, NULL), num_nonnulls(1, NULL)",
        form,
    );
}

#[test]
fn queries() {
    table::compare(
        SETUP,
        "SELECT * FROM p ORDER BY id
        SELECT id, name FROM p WHERE id = 3
        SELECT * FROM p WHERE id = 99
        SELECT p.*, 1 AS one FROM p WHERE id = 1
        SELECT id, id, name AS id FROM p WHERE id = 1
        SELECT name FROM p WHERE price > 1 ORDER BY price DESC
        SELECT name FROM p ORDER BY name
        SELECT name FROM p ORDER BY name DESC
        SELECT name FROM p ORDER BY name NULLS FIRST
        SELECT name, price FROM p ORDER BY 2, 1 LIMIT 2 OFFSET 1
        SELECT id FROM p ORDER BY -id LIMIT 3
        SELECT id FROM p ORDER BY id FETCH FIRST 2 ROWS ONLY
        SELECT id FROM p ORDER BY id LIMIT ALL OFFSET 3
        SELECT id FROM p ORDER BY id LIMIT NULL
        SELECT id FROM p LIMIT 0
        SELECT DISTINCT cat FROM p ORDER BY cat
        SELECT DISTINCT ON (cat) cat, name FROM p ORDER BY cat, name DESC
        SELECT count(*), count(name), count(DISTINCT cat) FROM p
        SELECT sum(qty), sum(id), sum(big), sum(price), sum(w), avg(qty), avg(price), avg(w), avg(big) FROM p
        SELECT min(name), max(name), min(added), max(seen), min(price), max(cat), min(qty) FROM p
        SELECT bool_and(ok), bool_or(ok), string_agg(name, ',' ORDER BY name), array_agg(id ORDER BY id DESC) FROM p
        ~42883 SELECT stddev(price), variance(qty), stddev_pop(w), var_samp(w), corr(w, id), stddev(id) FROM p
        SELECT count(*) FILTER (WHERE ok), sum(id) FILTER (WHERE id > 100) FROM p
        SELECT sum(id), avg(id), max(name), count(id), array_agg(id), string_agg(name, ',') FROM p WHERE false
        SELECT cat, count(*), sum(price) FROM p GROUP BY cat ORDER BY cat
        SELECT cat, count(*) AS n FROM p GROUP BY cat HAVING count(*) > 1 ORDER BY n, cat
        SELECT upper(cat), max(id) FROM p GROUP BY upper(cat) ORDER BY 1
        SELECT cat AS c, count(*) FROM p GROUP BY c ORDER BY c
        SELECT added, cat, count(*) FROM p GROUP BY 1, 2 ORDER BY 1, 2
        SELECT cat, count(*) FROM p GROUP BY ROLLUP (cat) ORDER BY cat, count(*)
        SELECT cat, ok, count(*) FROM p GROUP BY GROUPING SETS ((cat), (ok)) ORDER BY 1, 2, 3
        ~0A000 SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY price) FROM p
        SELECT p.name, s.n FROM p JOIN s ON s.pid = p.id ORDER BY s.n
        SELECT p.name, s.n FROM p LEFT JOIN s ON s.pid = p.id ORDER BY p.id, s.n
        SELECT p.name, s.n FROM p RIGHT JOIN s ON s.pid = p.id ORDER BY s.n
        SELECT p.name, s.n FROM p FULL JOIN s ON s.pid = p.id ORDER BY p.id, s.n
        SELECT count(*) FROM p CROSS JOIN s
        SELECT count(*) FROM p, s WHERE p.id = s.pid
        SELECT a.id, b.id FROM p a JOIN p b ON a.cat = b.cat AND a.id < b.id ORDER BY 1, 2
        SELECT * FROM s JOIN (SELECT id AS pid, name FROM p) x USING (pid) ORDER BY n
        SELECT p.id, x.m FROM p, LATERAL (SELECT max(n) AS m FROM s WHERE s.pid = p.id) x ORDER BY 1
        SELECT id FROM p WHERE id IN (SELECT pid FROM s) ORDER BY id
        SELECT id FROM p WHERE NOT EXISTS (SELECT 1 FROM s WHERE pid = p.id) ORDER BY id
        SELECT id, (SELECT sum(n) FROM s WHERE pid = p.id) FROM p ORDER BY id
        SELECT id FROM p WHERE price > (SELECT avg(price) FROM p)
        SELECT id FROM p WHERE (id, name) IN ((1, 'apple'), (2, 'x'))
        SELECT id FROM p WHERE price >= ALL (SELECT price FROM p WHERE price IS NOT NULL)
        SELECT id FROM p WHERE id = ANY (SELECT pid FROM s) ORDER BY 1
        SELECT * FROM (SELECT cat, count(*) n FROM p GROUP BY cat) x WHERE n > 1 ORDER BY cat
        WITH x AS (SELECT id FROM p WHERE id < 3), y AS (SELECT id + 10 AS id FROM x) SELECT * FROM x UNION ALL SELECT * FROM y ORDER BY 1
        WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r
        SELECT 1 UNION SELECT 2 UNION ALL SELECT 2 ORDER BY 1
        SELECT 1 AS a UNION SELECT 1.5 ORDER BY a
        SELECT 'x' UNION SELECT NULL ORDER BY 1
        SELECT id FROM p EXCEPT SELECT pid FROM s ORDER BY 1
        SELECT cat FROM p INTERSECT SELECT 'fru'
        (SELECT id FROM p ORDER BY id LIMIT 1) UNION ALL (SELECT id FROM p ORDER BY id DESC LIMIT 1) ORDER BY id
        VALUES (1, 'a'), (2, 'b')
        SELECT * FROM (VALUES (1, 'a'), (2, NULL)) v
        SELECT column2 FROM (VALUES (1, 'a')) v
        TABLE s
        ~42883 SELECT id, row_number() OVER (ORDER BY id DESC) FROM p ORDER BY id
        ~42883 SELECT id, rank() OVER (ORDER BY cat), dense_rank() OVER (ORDER BY cat) FROM p ORDER BY id
        ~42883 SELECT id, sum(qty) OVER (PARTITION BY cat ORDER BY id), lag(id) OVER (ORDER BY id), lead(name, 1, 'none') OVER (ORDER BY id) FROM p ORDER BY id
        SELECT id, avg(price) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM p ORDER BY id
        ~42883 SELECT id, first_value(name) OVER w, last_value(name) OVER w, ntile(2) OVER w FROM p WINDOW w AS (ORDER BY id) ORDER BY id
        SELECT generate_series(1, 3)
        SELECT * FROM generate_series(1, 10, 3)
        SELECT g FROM generate_series(5, 1, -2) g
        SELECT * FROM generate_series(timestamp '2024-01-01', '2024-01-03', '1 day')
        SELECT * FROM generate_series(1, 2) WITH ORDINALITY
        SELECT unnest(ARRAY[1, 2]), unnest(ARRAY['a', 'b', 'c'])
        SELECT id, unnest(tags) FROM p WHERE id < 3 ORDER BY 1, 2
        SELECT * FROM unnest(ARRAY['x', 'y']) AS u(v)
        ~0A000 SELECT id, tags[1], array_length(tags, 1) FROM p ORDER BY id
        SELECT id FROM p WHERE 'red' = ANY(tags)
        ~42883 SELECT id FROM p WHERE tags @> '{sharp}'
        SELECT id FROM p WHERE name LIKE '%a%' ORDER BY id
        SELECT id FROM p WHERE name IS NULL
        SELECT id FROM p WHERE ok
        SELECT id FROM p WHERE NOT ok
        SELECT id FROM p WHERE ok IS NOT TRUE ORDER BY id
        SELECT id FROM p WHERE added = '2024-02-01' ORDER BY id
        SELECT id FROM p WHERE added BETWEEN '2024-01-01' AND '2024-01-31' ORDER BY id
        SELECT id FROM p WHERE seen > '2024-01-20' ORDER BY id
        SELECT id FROM p WHERE cat = 'fru' ORDER BY id
        SELECT id FROM p WHERE cat = 'fru  ' ORDER BY id
        SELECT id FROM p WHERE qty = 10.0
        SELECT id FROM p WHERE w = 0.5
        SELECT id FROM p WHERE big > 2147483648
        SELECT id FROM p WHERE id > 1.5 AND id < 3.5 ORDER BY id
        SELECT id FROM p WHERE price IN (1.2, 2.50) ORDER BY id
        SELECT id + 1, price * qty, qty / 3, w * 2, big + id, price / 3, -price, seen - interval '1 day' FROM p ORDER BY id
        SELECT added + 1, added - date '2024-01-01', seen::date, added::timestamp, extract(day FROM added) FROM p ORDER BY id
        SELECT cat || '|', length(cat), cat::text || '|', name || cat FROM p ORDER BY id
        SELECT date_trunc('month', added) AS m, count(*) FROM p GROUP BY m ORDER BY m
        SELECT CASE WHEN price > 2 THEN 'high' WHEN price IS NULL THEN 'none' ELSE 'low' END AS class, count(*) FROM p GROUP BY class ORDER BY class
        ~0A000 SELECT s::text FROM s WHERE pid = 2
        ~0A000 SELECT (p).id FROM p WHERE id = 1
        SELECT p.id AS x, x.* FROM p, (SELECT 5 AS five) x WHERE p.id = 1
        SELECT count(*) FROM (SELECT 1 FROM p LIMIT 3) x
        SELECT FROM p
        SELECT ALL id FROM p WHERE id = 1
        SELECT current_date = now()::date, current_timestamp IS NOT NULL, localtimestamp::date = current_date
        SELECT max(id) + 1 AS next, min(id)::text FROM p
        SELECT name FROM p WHERE id = (SELECT max(id) FROM p)
        SELECT a.n, b.n FROM s a, s b WHERE a.n = b.n AND a.pid <> 50 ORDER BY 1
        SELECT n % 2 AS odd, array_agg(n ORDER BY n), string_agg(note, '+' ORDER BY note) FROM s WHERE pid < 50 GROUP BY odd ORDER BY odd
        UPDATE s SET n = n + 100 WHERE pid = 1 RETURNING *
        UPDATE s SET note = p.name FROM p WHERE p.id = s.pid AND s.pid = 2 RETURNING s.*, p.id
        DELETE FROM s USING p WHERE p.id = s.pid AND p.name = 'pear' RETURNING s.pid
        INSERT INTO s (pid) VALUES (7) RETURNING pid AS x, n, note || 'z'
        INSERT INTO s SELECT id, qty, name FROM p WHERE id = 1 RETURNING n
        INSERT INTO s VALUES (1, DEFAULT, 'd') RETURNING *
        SELECT * FROM s ORDER BY pid, n, note
        SELECT count(*) FROM s; SELECT 1; SELECT 2 AS two
        ~0A000 WITH x AS (INSERT INTO s VALUES (50, 1, 'cte') RETURNING *) SELECT * FROM x
        SHOW server_version_num
        SHOW TimeZone
        EXPLAIN SELECT 1 WHERE false AND nope
        SELECT oid, typname FROM pg_type WHERE typname IN ('int4', 'text', 'bool') ORDER BY 1
        SELECT relname, relkind FROM pg_class WHERE relname IN ('p', 's') ORDER BY 1
        SELECT attname, atttypid, attnotnull, atttypmod FROM pg_attribute WHERE attrelid = 'p'::regclass AND attnum > 0 ORDER BY attnum
        SELECT nspname FROM pg_namespace WHERE nspname IN ('public', 'pg_catalog') ORDER BY 1
        SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 's' ORDER BY ordinal_position",
        form,
    );
}
