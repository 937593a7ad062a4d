//! Statistics, units, bytes of numbers, and formats.

use crate::functions::{are, fail, have_types};

#[tokio::test]
async fn probabilities() {
    are(&[
        ("normal_cdf(0, 1, 1.96)", "0.9750021048517796"),
        ("normal_cdf(3, 2, 3)", "0.5"),
        ("inverse_normal_cdf(0, 1, 0.5)", "0.0"),
        ("round(inverse_normal_cdf(0, 1, 0.3), 12)", "-0.524400512708"),
        ("round(inverse_normal_cdf(0, 1, 0.975), 12)", "1.95996398454"),
        ("round(inverse_normal_cdf(0, 1, 1e-300), 6)", "-37.047096"),
        ("round(wilson_interval_lower(1250, 1310, 1.96e0), 12)", "0.94148837254"),
        ("round(wilson_interval_upper(1250, 1310, 1.96e0), 12)", "0.964252471714"),
        ("round(kurtosis(x), 9) FROM (VALUES 1e0, 2e0, 3e0, 4e0, 9e0) t(x)", "2.67509831"),
        ("round(skewness(x), 9) FROM (VALUES 1e0, 2e0, 3e0, 4e0, 9e0) t(x)", "1.039188922"),
        ("kurtosis(x) FROM (VALUES 1, 2, 3) t(x)", "NULL"),
        ("skewness(x) FROM (VALUES 1, 2) t(x)", "NULL"),
        ("entropy(x) FROM (VALUES 1, 1, 1, 1) t(x)", "2.0"),
        ("entropy(x) FROM (VALUES 5) t(x)", "0.0"),
        ("entropy(x) FROM (VALUES CAST(NULL AS bigint)) t(x)", "0.0"),
    ])
    .await;
    fail(&[
        ("normal_cdf(0, 0, 1)", "standardDeviation must be > 0"),
        ("inverse_normal_cdf(0, 1, 1)", "p must be 0 > p > 1"),
        ("wilson_interval_lower(2, 1, 1.96)", "number of successes must not be larger than number of trials"),
        ("entropy(x) FROM (VALUES -1) t(x)", "Entropy count argument must be non-negative"),
    ])
    .await;
}

#[tokio::test]
async fn units() {
    are(&[
        ("human_readable_seconds(96)", "1 minute, 36 seconds"),
        ("human_readable_seconds(3762)", "1 hour, 2 minutes, 42 seconds"),
        ("human_readable_seconds(56363463)", "93 weeks, 1 day, 8 hours, 31 minutes, 3 seconds"),
        ("human_readable_seconds(535333.9513888889)", "6 days, 4 hours, 42 minutes, 14 seconds"),
        ("human_readable_seconds(0)", "0 seconds"),
        ("to_milliseconds(parse_duration('42.8ms'))", "43"),
        ("to_milliseconds(parse_duration('3.81 d'))", "329184000"),
        ("to_milliseconds(parse_duration('5m'))", "300000"),
        ("to_milliseconds(INTERVAL '2' DAY)", "172800000"),
        ("to_milliseconds(INTERVAL '1' SECOND)", "1000"),
        ("parse_data_size('1B')", "1"),
        ("parse_data_size('1kB')", "1024"),
        ("parse_data_size('2.3MB')", "2411724"),
        ("parse_presto_data_size('1YB')", "1208925819614629174706176"),
        ("parse_data_size(NULL)", "NULL"),
    ])
    .await;
    fail(&[
        ("parse_duration('5')", "duration is not a valid data duration string: 5"),
        ("parse_duration('5y')", "Unknown time unit: y"),
        ("parse_data_size('1KB')", "Invalid data size: '1KB'"),
        ("parse_data_size('B')", "Invalid data size: 'B'"),
        ("human_readable_seconds(infinity())", "Invalid argument found"),
    ])
    .await;
}

#[tokio::test]
async fn bytes_of_numbers() {
    are(&[
        ("to_hex(to_big_endian_32(258))", "00000102"),
        ("from_big_endian_32(to_big_endian_32(-7))", "-7"),
        ("from_big_endian_64(to_big_endian_64(-7))", "-7"),
        ("to_hex(to_ieee754_32(CAST(1.5 AS real)))", "3FC00000"),
        ("to_hex(to_ieee754_64(1.5e0))", "3FF8000000000000"),
        ("from_ieee754_32(to_ieee754_32(CAST(1.5 AS real)))", "1.5"),
        ("from_ieee754_64(to_ieee754_64(-2.5e0))", "-2.5"),
        ("to_hex(murmur3(to_utf8('hello')))", "029BBD41B3A7D8CB191DAE486A901E5B"),
        ("to_hex(murmur3(to_utf8('')))", "00000000000000000000000000000000"),
        ("to_hex(hmac_md5(to_utf8('a'), to_utf8('k')))", "DDCF3D210049E7135F61AFFAE73731CD"),
        ("bit_count(9, 64)", "2"),
        ("bit_count(-7, 8)", "6"),
        ("luhn_check('79927398713')", "true"),
        ("soundex('Robert')", "R163"),
        ("normalize('a\u{308}')", "ä"),
        ("length(normalize('ä', NFD))", "2"),
        ("normalize('ﬁ', NFKC)", "fi"),
        ("to_hex(checksum(x)) FROM (VALUES CAST(NULL AS bigint)) t(x)", "87CAEB85B179379E"),
        ("checksum(x) FROM (VALUES 1) t(x) WHERE x > 1", "NULL"),
    ])
    .await;
    fail(&[
        ("to_big_endian_32(2147483648)", "Out of range for integer"),
        ("from_big_endian_32(X'00')", "expected 4-byte input, but got instead: 1"),
        ("bit_count(200, 8)", "cannot be represented with 8 bits"),
        ("luhn_check('12a')", "non-digit"),
        ("normalize('a', NFX)", "SYNTAX_ERROR: line 1:23: NFX is no normal form"),
        ("checksum(ARRAY[1])", "NOT_SUPPORTED: checksum of array"),
    ])
    .await;
}

#[tokio::test]
async fn formats() {
    are(&[
        ("format('%s%%', 123)", "123%"),
        ("format('%.4f', pi())", "3.1416"),
        ("format('%03d', 8)", "008"),
        ("format('%-7s,%7s', 'hello', 'world')", "hello  ,  world"),
        ("format('%b %B %b', true, false, NULL)", "true FALSE false"),
        ("format('%S %S %S', true, false, NULL)", "TRUE FALSE NULL"),
        ("format('%2$s %3$s %1$s', 'a', 'b', 'c')", "b c a"),
        ("format('%s %s %<s %<s', 'a', 'b', 'c', 'd')", "a b b b"),
        ("format('%2$s %s %<s %s', 'a', 'b', 'c', 'd')", "b a a b"),
        ("format('%,.2f', 1234567.89)", "1,234,567.89"),
        ("format('%1$s %1$f %1$.2f', DECIMAL '9.12345678')", "9.12345678 9.123457 9.12"),
        ("format('%1$d %1$x %1$X %1$o', 1234)", "1234 4d2 4D2 2322"),
        ("format('%,d|%(d|%+d|% d|%08d', 1234567, -5, 5, 5, -42)", "1,234,567|(5)|+5| 5|-0000042"),
        ("format('%x|%#x', -1, 255)", "ffffffffffffffff|0xff"),
        ("format('%e|%.2E|%e', 12345.678e0, 0.00123e0, 0e0)", "1.234568e+04|1.23E-03|0.000000e+00"),
        ("format('%.1f|%.0f|%.2f|%f', 0.25e0, 0.5e0, 0.999e0, infinity())", "0.3|1|1.00|Infinity"),
        ("format('%s|%.3s|%s', 1e0, 'abcdef', 1e10)", "1.0|abc|1.0E10"),
        ("format('%1$s %1$tF %1$tY-%1$tm-%1$td', DATE '2001-08-22')", "2001-08-22 2001-08-22 2001-08-22"),
        ("format('%1$tA, %1$tB %1$te, %1$tY', DATE '2006-07-04')", "Tuesday, July 4, 2006"),
        ("format('%1$s %1$tF %1$tT', TIMESTAMP '1969-07-20 16:17:00')", "1969-07-20T16:17 1969-07-20 16:17:00"),
        ("format('%1$s %1$tr', TIMESTAMP '1969-07-20 16:17:03.5')", "1969-07-20T16:17:03.500 04:17:03 PM"),
        (
            "format('%1$s %1$tc', TIMESTAMP '1969-07-20 16:17:00 America/New_York')",
            "1969-07-20T16:17-04:00[America/New_York] Sun Jul 20 16:17:00 EDT 1969",
        ),
        ("format('%s', JSON '[123,\"abc\",true]')", "[123,\"abc\",true]"),
        ("format('a%nb', 1)", "a\nb"),
        ("format(NULL, 1)", "NULL"),
        ("format('%s', ARRAY['x'][1]) FROM (VALUES 1, 2) t(n) LIMIT 1", "x"),
    ])
    .await;
    fail(&[
        ("format('%.4d', 8)", "INVALID_FUNCTION_ARGUMENT: Invalid format string: %.4d (IllegalFormatPrecision: 4)"),
        ("format('%-02d', 8)", "(IllegalFormatFlags: Flags = '-0')"),
        ("format('%--2d', 8)", "(DuplicateFormatFlags: Flags = '-')"),
        ("format('%+s', 8)", "(FormatFlagsConversionMismatch: Conversion = s, Flags = +)"),
        ("format('%-s', 8)", "(MissingFormatWidth: %-s)"),
        ("format('%5n', 8)", "(IllegalFormatWidth: 5)"),
        ("format('%s %d', 8)", "(MissingFormatArgument: Format specifier '%d')"),
        ("format('%d', DECIMAL '8')", "(IllegalFormatConversion: d != java.math.BigDecimal)"),
        ("format('%d', 'x')", "(IllegalFormatConversion: d != java.lang.String)"),
        ("format('%f', 8)", "(IllegalFormatConversion: f != java.lang.Long)"),
        ("format('%c', 8)", "(IllegalFormatConversion: c != java.lang.Long)"),
        ("format('%tT', 'x')", "(IllegalFormatConversion: T != java.lang.String)"),
        ("format('%tH', DATE '2001-08-22')", "(IllegalFormatConversion: H != java.time.LocalDate)"),
        ("format('%', 8)", "(UnknownFormatConversion: Conversion = '%')"),
        ("format('%q', 8)", "(UnknownFormatConversion: Conversion = 'q')"),
        ("format('%g', 8e0)", "NOT_SUPPORTED: format: the conversion %g is not carried out"),
        ("format('%99999999d', 8)", "IllegalFormatWidth"),
        ("format('%s', ARRAY[8])", "Unexpected parameters (varchar, array) for function format"),
        ("format(5, 8)", "Unexpected parameters"),
    ])
    .await;
}

#[tokio::test]
async fn types_and_sessions() {
    are(&[
        ("typeof(1)", "integer"),
        ("typeof(3000000000)", "bigint"),
        ("typeof(1.5)", "decimal(2,1)"),
        ("typeof(1e0)", "double"),
        ("typeof('cat')", "varchar"),
        ("typeof(NULL)", "unknown"),
        ("typeof(true)", "boolean"),
        ("typeof(cos(2) + 1.5)", "double"),
        ("typeof(ARRAY[1, 2])", "array(integer)"),
        ("typeof(map(ARRAY['a'], ARRAY[ARRAY[1e0]]))", "map(varchar, array(double))"),
        ("typeof(CAST(ROW(1, 'x') AS ROW(a bigint, b varchar)))", "row(a bigint, b varchar)"),
        ("typeof((1, 'x'))", "row(integer, varchar)"),
        ("typeof(JSON '1')", "json"),
        ("typeof(DATE '2019-01-01')", "date"),
        ("typeof(now())", "timestamp(3) with time zone"),
        ("typeof(X'00')", "varbinary"),
        ("typeof(count(*))", "bigint"),
        ("timezone(from_unixtime(0) AT TIME ZONE 'Asia/Tokyo')", "Asia/Tokyo"),
        ("timezone(TIMESTAMP '2019-01-01 00:00:00 +05:30')", "+05:30"),
        ("current_catalog", "awsdatacatalog"),
        ("current_schema", "db"),
        ("CURRENT_SCHEMA || '.x'", "db.x"),
    ])
    .await;
    fail(&[("current_user", "NOT_SUPPORTED: line 1:8: Function 'current_user' is not carried out")]).await;
    have_types(&[("typeof(1)", "varchar")]).await;
}
