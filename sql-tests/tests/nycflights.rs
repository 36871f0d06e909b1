//! The real input: nycflights13 through psql `\copy` into four relational tables and a time-series table (weather), PostgreSQL
//! 15's answers (UTC), also after `kill -9`, after CHECKPOINT, and after loading weather again (nothing doubles).

use heddle_sql_tests::{Server, psql, shared, skip};

const TABLES: &str = "
CREATE TABLE airlines (carrier text PRIMARY KEY, name text NOT NULL);
CREATE TABLE airports (faa text PRIMARY KEY, name text, lat float8, lon float8, alt int, tz int, dst text, tzone text);
CREATE TABLE planes (tailnum text PRIMARY KEY, year int, type text, manufacturer text, model text, engines int, seats int,
  speed int, engine text);
CREATE TABLE flights (year int, month int, day int, dep_time int, sched_dep_time int, dep_delay int, arr_time int,
  sched_arr_time int, arr_delay int, carrier text, flight int, tailnum text, origin text, dest text, air_time int,
  distance int, hour int, minute int, time_hour timestamptz);
CREATE TABLE weather (time_hour timestamptz NOT NULL, year int, month int, day int, hour int, temp float8, dewp float8,
  humid float8, wind_dir int, wind_speed float8, wind_gust float8, precip float8, pressure float8, visib float8)
  TAGS (origin text NOT NULL) PRIMARY TAGS (origin) PARTITION INTERVAL 1mon;
";

const LOAD: &str = r"
\copy airlines from 'airlines.csv' with (format csv, header, null 'NA')
\copy airports from 'airports.csv' with (format csv, header, null 'NA')
\copy planes from 'planes.csv' with (format csv, header, null 'NA')
\copy flights from program 'gzip -dc flights.csv.gz' with (format csv, header, null 'NA')
";

const LOAD_WEATHER: &str = r"
\copy weather (origin, year, month, day, hour, temp, dewp, humid, wind_dir, wind_speed, wind_gust, precip, pressure, visib, time_hour) from program 'gzip -dc weather.csv.gz' with (format csv, header, null 'NA')
";

const FACTS: &str = "
SET TimeZone = 'UTC';
SELECT count(*), count(dep_delay), count(DISTINCT tailnum) FROM flights;
SELECT count(*) FROM weather;
SELECT count(*) FROM planes;
SELECT count(*) FROM airports;
SELECT count(*) FROM airlines;
SELECT a.name, count(*) AS flights, round(avg(f.dep_delay), 2) AS delay, round(avg(w.wind_speed)::numeric, 2) AS wind
  FROM flights f JOIN weather w ON f.origin = w.origin AND f.time_hour = w.time_hour JOIN airlines a ON a.carrier = f.carrier
  WHERE w.precip > 0 AND f.dep_delay IS NOT NULL GROUP BY a.name ORDER BY flights DESC LIMIT 5;
SELECT temp, wind_dir, time_hour FROM weather WHERE origin = 'EWR' AND time_hour = '2013-01-01 06:00:00+00';
SELECT min(time_hour), max(time_hour) FROM flights;
SELECT origin, time_bucket('1 month', time_hour)::date AS m, round(avg(temp)::numeric, 2)
  FROM weather WHERE time_hour >= '2013-07-01' AND time_hour < '2013-09-01' GROUP BY origin, m ORDER BY origin, m;
SELECT time_bucket('1 month', time_hour) AS m, count(*) FROM weather WHERE origin = 'JFK' GROUP BY m ORDER BY m LIMIT 2;
";

const ANSWERS: &str = "\
336776|328521|4043
26115
3322
1458
16
United Air Lines Inc.|4041|24.63|11.02
JetBlue Airways|3482|30.56|13.20
Delta Air Lines Inc.|3097|29.67|12.63
ExpressJet Airlines Inc.|3080|44.68|10.72
American Airlines Inc.|2055|23.19|12.75
39.02|270|2013-01-01 06:00:00+00
2013-01-01 10:00:00+00|2014-01-01 04:00:00+00
EWR|2013-07-01|80.71
EWR|2013-08-01|74.50
JFK|2013-07-01|78.73
JFK|2013-08-01|73.80
LGA|2013-07-01|80.76
LGA|2013-08-01|75.02
2013-01-01 00:00:00+00|737
2013-02-01 00:00:00+00|671
";

#[test]
fn nycflights_by_copy_survives_kill_and_checkpoint() {
    let Some(data) = shared().map(|s| s.join("data/nycflights13")).filter(|d| d.is_dir()) else {
        skip("../shared/data/nycflights13 is absent");
        return;
    };
    if !psql::available() {
        return;
    }
    let mut server = Server::start();
    psql::ok(server.address(), TABLES, &data);
    psql::ok(server.address(), LOAD, &data);
    psql::ok(server.address(), LOAD_WEATHER, &data);
    let check = |server: &Server, when: &str| {
        assert_eq!(psql::ok(server.address(), FACTS, &data), ANSWERS, "{when}");
    };
    check(&server, "after the load");
    server.kill();
    server.restart();
    check(&server, "after kill -9");
    psql::ok(server.address(), "CHECKPOINT;", &data);
    check(&server, "after CHECKPOINT");
    server.kill();
    server.restart();
    check(&server, "after CHECKPOINT and kill -9");
    assert_eq!(server.terminate(), Some(0));
    server.restart();
    check(&server, "after SIGTERM");
    psql::ok(server.address(), LOAD_WEATHER, &data);
    check(&server, "after loading weather again");
    psql::ok(server.address(), "CHECKPOINT;", &data);
    psql::ok(server.address(), LOAD_WEATHER, &data);
    check(&server, "after loading weather over its checkpoint");
    server.kill();
    server.restart();
    check(&server, "after that and kill -9");
    let duplicate =
        psql::run(server.address(), "postgres", r"\copy airlines from 'airlines.csv' with (format csv, header)", &data);
    assert!(
        duplicate.err.contains("duplicate key value violates unique constraint \"airlines_pkey\""),
        "{}",
        duplicate.err
    );
    assert!(duplicate.err.contains("DETAIL:  Key (carrier)=(9E) already exists."), "{}", duplicate.err);
    assert!(duplicate.err.contains("CONTEXT:  COPY airlines, line 2"), "{}", duplicate.err);
}
