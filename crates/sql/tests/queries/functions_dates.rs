//! Dates and times.

use crate::functions::{are, fail, have_types};

#[tokio::test]
async fn texts() {
    are(&[
        ("date_parse('2022/10/20/05', '%Y/%m/%d/%H')", "2022-10-20 05:00:00.000"),
        ("date_parse('1/2/99 3:04 PM', '%c/%e/%y %l:%i %p')", "1999-01-02 15:04:00.000"),
        ("date_parse('Oct 5, 2020', '%b %e, %Y')", "2020-10-05 00:00:00.000"),
        ("date_parse('20190102', '%Y%m%d')", "2019-01-02 00:00:00.000"),
        ("date_parse('2019-01-02 03:04:05.678', '%Y-%m-%d %H:%i:%s.%f')", "2019-01-02 03:04:05.678"),
        ("date_format(TIMESTAMP '2022-10-20 05:10:00', '%m-%d-%Y %H')", "10-20-2022 05"),
        ("date_format(DATE '2022-10-05', '%a %b %e %y %j %W %M')", "Wed Oct 5 22 278 Wednesday October"),
        (
            "date_format(TIMESTAMP '2001-08-22 13:04:05.321', '%r %T %k %l %f %v %x %%')",
            "01:04:05 PM 13:04:05 13 1 321000 34 2001 %",
        ),
        ("format_datetime(TIMESTAMP '2001-08-22 03:04:05', 'yyyy-MM-dd HH:mm:ss')", "2001-08-22 03:04:05"),
        ("format_datetime(DATE '2001-08-22', 'EEE EEEE MMM MMMM d D w ''o''')", "Wed Wednesday Aug August 22 234 34 o"),
        ("parse_datetime('2001-08-22 03:04:05', 'yyyy-MM-dd HH:mm:ss')", "2001-08-22 03:04:05.000 UTC"),
        ("parse_datetime('22/Aug/2001:03:04:05 +0200', 'dd/MMM/yyyy:HH:mm:ss Z')", "2001-08-22 01:04:05.000 UTC"),
        ("from_iso8601_timestamp('2019-01-01T01:02:03Z')", "2019-01-01 01:02:03.000 UTC"),
        ("from_iso8601_timestamp('2019-01-01')", "2019-01-01 00:00:00.000 UTC"),
        ("from_iso8601_timestamp('2019-01-01T01:02:03.456+01:00')", "2019-01-01 00:02:03.456 UTC"),
        ("from_iso8601_date('2020-W10')", "2020-03-02"),
        ("from_iso8601_date('2020-123')", "2020-05-02"),
        ("from_iso8601_date('2020-05-11')", "2020-05-11"),
        ("to_iso8601(TIMESTAMP '2001-08-22 03:04:05.321')", "2001-08-22T03:04:05.321"),
        ("to_iso8601(from_unixtime(0))", "1970-01-01T00:00:00.000Z"),
        ("to_iso8601(DATE '2001-08-22')", "2001-08-22"),
    ])
    .await;
    fail(&[
        ("date_parse('2019-13-01', '%Y-%m-%d')", "INVALID_FUNCTION_ARGUMENT: Invalid format: \"2019-13-01\""),
        ("date_parse('2019-01-01x', '%Y-%m-%d')", "INVALID_FUNCTION_ARGUMENT"),
        ("date_parse('2019', '%D')", "%D not supported"),
        ("from_iso8601_timestamp('2019-01-01 00:00')", "INVALID_FUNCTION_ARGUMENT"),
        ("date('x')", "INVALID_CAST_ARGUMENT"),
    ])
    .await;
}

#[tokio::test]
async fn fields() {
    are(&[
        ("year(DATE '2019-05-06')", "2019"),
        ("quarter(DATE '2019-05-06')", "2"),
        ("month(TIMESTAMP '2019-05-06 07:08:09')", "5"),
        ("day(DATE '2019-05-06')", "6"),
        ("day_of_week(DATE '2019-05-06')", "1"),
        ("dow(DATE '2019-05-12')", "7"),
        ("day_of_year(DATE '2019-02-01')", "32"),
        ("week(DATE '2021-01-03')", "53"),
        ("year_of_week(DATE '2021-01-03')", "2020"),
        ("hour(TIMESTAMP '2019-05-06 07:08:09.123')", "7"),
        ("minute(TIMESTAMP '2019-05-06 07:08:09.123')", "8"),
        ("second(TIMESTAMP '2019-05-06 07:08:09.123')", "9"),
        ("millisecond(TIMESTAMP '2019-05-06 07:08:09.123')", "123"),
        ("EXTRACT(YEAR FROM DATE '2019-05-06')", "2019"),
        ("extract(dow FROM DATE '2019-05-06')", "1"),
        ("year(NULL)", "NULL"),
        ("last_day_of_month(DATE '2020-02-03')", "2020-02-29"),
        ("date(TIMESTAMP '2019-05-06 07:08:09')", "2019-05-06"),
        ("date('2019-05-06')", "2019-05-06"),
    ])
    .await;
}

#[tokio::test]
async fn sums() {
    are(&[
        ("date_trunc('month', DATE '2001-08-22')", "2001-08-01"),
        ("date_trunc('hour', TIMESTAMP '2001-08-22 03:04:05.321')", "2001-08-22 03:00:00.000"),
        ("date_trunc('week', TIMESTAMP '2001-08-22 03:04:05.321')", "2001-08-20 00:00:00.000"),
        ("date_trunc('quarter', TIMESTAMP '2001-08-22 03:04:05.321')", "2001-07-01 00:00:00.000"),
        ("date_add('second', 86, TIMESTAMP '2020-03-01 00:00:00')", "2020-03-01 00:01:26.000"),
        ("date_add('hour', 9, TIMESTAMP '2020-03-01 00:00:00')", "2020-03-01 09:00:00.000"),
        ("date_add('day', -1, TIMESTAMP '2020-03-01 00:00:00 UTC')", "2020-02-29 00:00:00.000 UTC"),
        ("date_add('month', 1, DATE '2020-01-31')", "2020-02-29"),
        ("date_diff('second', TIMESTAMP '2020-03-01 00:00:00', TIMESTAMP '2020-03-02 00:00:00')", "86400"),
        ("date_diff('hour', TIMESTAMP '2020-03-01 00:00:00 UTC', TIMESTAMP '2020-03-02 00:00:00 UTC')", "24"),
        ("date_diff('day', DATE '2020-03-01', DATE '2020-03-02')", "1"),
        ("date_diff('month', DATE '2020-01-31', DATE '2020-02-29')", "1"),
        ("date_diff('month', DATE '2020-01-15', DATE '2020-03-14')", "1"),
        ("date_diff('year', DATE '2021-01-15', DATE '2020-01-16')", "0"),
        ("DATE '2012-08-08' + INTERVAL '2' DAY", "2012-08-10"),
        ("TIMESTAMP '2012-08-08 01:00' + INTERVAL '29' HOUR", "2012-08-09 06:00:00.000"),
        ("TIMESTAMP '2012-10-31 01:00' + INTERVAL '1' MONTH", "2012-11-30 01:00:00.000"),
        ("DATE '2012-08-08' - INTERVAL '1' MONTH", "2012-07-08"),
        ("current_date - INTERVAL '7' DAY", "2021-02-25"),
    ])
    .await;
    fail(&[
        ("date_trunc('hour', DATE '2001-08-22')", "'hour' is not a valid DATE field"),
        ("date_add('fortnight', 1, DATE '2001-08-22')", "'fortnight' is not a valid"),
    ])
    .await;
}

#[tokio::test]
async fn zones_and_the_querys_time() {
    are(&[
        ("now()", "2021-03-04 05:06:07.890 UTC"),
        ("current_timestamp", "2021-03-04 05:06:07.890 UTC"),
        ("current_date", "2021-03-04"),
        ("localtimestamp", "2021-03-04 05:06:07.890"),
        ("from_unixtime(1546300800)", "2019-01-01 00:00:00.000 UTC"),
        ("from_unixtime(1546300800.5)", "2019-01-01 00:00:00.500 UTC"),
        ("from_unixtime(1546300800, 'Asia/Tokyo')", "2019-01-01 09:00:00.000 Asia/Tokyo"),
        ("to_unixtime(TIMESTAMP '2019-01-01 00:00:00')", "1.5463008E9"),
        (
            "TIMESTAMP '2012-10-31 01:00 UTC' AT TIME ZONE 'America/Los_Angeles'",
            "2012-10-30 18:00:00.000 America/Los_Angeles",
        ),
        ("at_timezone(from_unixtime(0), '+05:30')", "1970-01-01 05:30:00.000 +05:30"),
        ("with_timezone(TIMESTAMP '2021-08-01 00:00:00', 'Europe/Berlin')", "2021-08-01 00:00:00.000 Europe/Berlin"),
        ("hour(from_unixtime(0) AT TIME ZONE 'Asia/Tokyo')", "9"),
        ("date_trunc('day', from_unixtime(0) AT TIME ZONE 'Asia/Tokyo')", "1970-01-01 00:00:00.000 Asia/Tokyo"),
        ("to_unixtime(with_timezone(TIMESTAMP '1970-01-01 09:00:00', 'Asia/Tokyo'))", "0.0"),
        (
            "format_datetime(from_unixtime(0) AT TIME ZONE 'Asia/Tokyo', 'HH:mm Z ZZ ZZZ')",
            "09:00 +0900 +09:00 Asia/Tokyo",
        ),
    ])
    .await;
    have_types(&[
        ("now()", "timestamp with time zone"),
        ("year(now())", "bigint"),
        ("date_parse('2019', '%Y')", "timestamp"),
        ("from_unixtime(1)", "timestamp with time zone"),
        ("to_unixtime(now())", "double"),
    ])
    .await;
    fail(&[("at_timezone(now(), 'Mars/Base')", "'Mars/Base' is not a valid time zone")]).await;
}
