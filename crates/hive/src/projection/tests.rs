use proptest::prelude::*;

use super::*;

/// 2024-03-31 12:34:56 UTC
const NOW: i64 = 1_711_888_496_000;

fn projection(properties: &[(&str, &str)]) -> Result<Option<Projection>, ProjectionError> {
    let mut all: BTreeMap<String, String> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.entry(ENABLED.to_owned()).or_insert_with(|| "true".to_owned());
    Projection::of(&all, &["k"], NOW)
}

fn values(properties: &[(&str, &str)]) -> Values {
    let projection = projection(properties).unwrap().unwrap();
    projection.keys().next().unwrap().1.clone()
}

fn texts(properties: &[(&str, &str)]) -> Vec<String> {
    let values = values(properties);
    assert_eq!(values.text(values.count()), None);
    (0..values.count()).map(|at| values.text(at).unwrap()).collect()
}

fn numbers(range: &str, interval: &str, digits: &str) -> Vec<String> {
    let name = |what: &str| format!("projection.k.{what}");
    let (range_name, interval_name, digits_name) = (name("range"), name("interval"), name("digits"));
    texts(&[
        ("projection.k.type", " Integer "),
        (&range_name, range),
        (&interval_name, interval),
        (&digits_name, digits),
    ])
}

fn dates(format: &str, range: &str, every: Option<(&str, &str)>) -> Vec<String> {
    let mut properties =
        vec![("projection.k.type", "date"), ("projection.k.format", format), ("projection.k.range", range)];
    if let Some((count, unit)) = every {
        properties.extend([("projection.k.interval", count), ("projection.k.interval.unit", unit)]);
    }
    texts(&properties)
}

#[test]
fn values_of_each_type() {
    assert_eq!(texts(&[("projection.K.type", "enum"), ("projection.K.values", "A, b,")]), ["A", " b", ""]);
    assert_eq!(numbers(" 1,3", "2", "2"), ["01", "03"]);
    assert_eq!(numbers("-1, 0001", "1", "3"), ["-01", "000", "001"]);
    assert_eq!(numbers("9223372036854775806,9223372036854775807", "5", "1"), ["9223372036854775806"]);
    for (format, range, every, expected) in [
        ("yyyy-MM-dd", "2024-02-28,2024-03-01", None, &["2024-02-28", "2024-02-29", "2024-03-01"][..]),
        ("yyyyMM", "202311,202401", None, &["202311", "202312", "202401"]),
        ("yyyy", "2023,NOW", None, &["2023", "2024"]),
        ("yyyy/MM/dd", "NOW-1DAY,now + 1 days", None, &["2024/03/30", "2024/03/31", "2024/04/01"]),
        // The last day of a shorter month.
        ("yyyy-MM-dd", "NOW-1MONTH,NOW", Some(("4", "weeks")), &["2024-02-29", "2024-03-28"]),
        ("yyyy-MM-dd", "2024-01-31,2024-03-31", Some(("1", "MONTHS")), &["2024-01-31", "2024-02-29", "2024-03-31"]),
        ("yyyy-MM-dd-HH", "NOW-2HOURS,NOW", Some(("1", "HOURS")), &["2024-03-31-10", "2024-03-31-11", "2024-03-31-12"]),
        (
            "dd-MM-yy'T'HH:mm:ss.SSS",
            "31-12-23T23:59:59.999,01-01-24T00:00:00.000",
            Some(("1", "MILLIS")),
            &["31-12-23T23:59:59.999", "01-01-24T00:00:00.000"],
        ),
    ] {
        assert_eq!(dates(format, range, every), expected, "{format} {range}");
    }
}

#[test]
fn which_texts_ascend() {
    let date = |format: &str| {
        let range = "NOW-1DAY,NOW";
        let all = [("projection.k.type", "date"), ("projection.k.format", format), ("projection.k.range", range)];
        values(&[&all[..], &[("projection.k.interval.unit", "HOURS")]].concat()).ascends_as_text()
    };
    for (format, ascends) in [
        ("yyyy/MM/dd", true),
        ("yyyyMMdd'T'HH", true),
        ("dd-MM-yyyy", false),
        ("yyyy-M-d", false),
        ("yyyy-dd", false),
        ("yy-MM", false),
    ] {
        assert_eq!(date(format), ascends, "{format}");
    }
    let number = |range: &str| values(&[("projection.k.type", "integer"), ("projection.k.range", range)]);
    assert!(number("2000,9999").ascends_as_text());
    assert!(!number("1,10").ascends_as_text());
    assert!(!number("-3,3").ascends_as_text());
    let long = number("-9223372036854775808,9223372036854775807");
    assert_eq!((long.count(), long.find_number("0")), (u64::MAX, Some(1 << 63)));
    assert_eq!(number("1,10").find_number("07"), None);
}

#[test]
fn where_partitions_lie() {
    let properties = [("projection.k.type", "injected"), (TEMPLATE, "s3://pond/${K}/x/")];
    let custom = projection(&properties).unwrap().unwrap();
    assert_eq!(custom.location("s3://pond/t", &["a/b".to_owned()]), "s3://pond/a/b/x/");
    let plain = projection(&properties[..1]).unwrap().unwrap();
    assert_eq!(plain.location("s3://pond/t/", &["2024".to_owned()]), "s3://pond/t/k=2024");
    assert_eq!(projection(&[(ENABLED, "FALSE")]).unwrap(), None);
}

#[test]
fn properties_that_mean_nothing_are_named() {
    let integer = ("projection.k.type", "integer");
    let date = ("projection.k.type", "date");
    let days = ("projection.k.format", "yyyy-MM-dd");
    for (properties, words) in [
        (&[][..], "projection.k.type: it is missing"),
        (&[(ENABLED, "yes")], "projection.enabled: \"yes\""),
        (&[("projection.k.type", "float")], "projection.k.type: \"float\" is none of"),
        (&[("projection.k.type", "enum")], "projection.k.values: it is missing"),
        (&[integer], "projection.k.range: it is missing"),
        (&[integer, ("projection.k.range", "1-5")], "projection.k.range: \"1-5\" is no pair"),
        (&[integer, ("projection.k.range", "1,2,3")], "projection.k.range"),
        (&[integer, ("projection.k.range", "5,1")], "projection.k.range: 5 is above 1"),
        (&[integer, ("projection.k.range", "1,5"), ("projection.k.interval", "0")], "projection.k.interval: \"0\""),
        (&[integer, ("projection.k.range", "1,5"), ("projection.k.digits", "99")], "projection.k.digits"),
        (&[date, ("projection.k.range", "NOW,NOW")], "projection.k.format: it is missing"),
        (&[date, ("projection.k.format", "hh"), ("projection.k.range", "1,2")], "projection.k.format"),
        (&[date, ("projection.k.format", "yyyyyyyyyy"), ("projection.k.range", "1,2")], "projection.k.format"),
        (&[date, days, ("projection.k.range", "2024-02-30,NOW")], "projection.k.range: \"2024-02-30\""),
        (&[date, days, ("projection.k.range", "NOW,NOW-1DAY")], "projection.k.range: its second date"),
        (&[date, days, ("projection.k.range", "NOW,NOW+99999999999YEARS")], "projection.k.range"),
        (
            &[date, ("projection.k.format", "yyyy-MM-dd-HH"), ("projection.k.range", "NOW,NOW")],
            "projection.k.interval.unit: it is missing",
        ),
        (
            &[date, days, ("projection.k.range", "NOW,NOW"), ("projection.k.interval.unit", "AGES")],
            "projection.k.interval.unit: \"AGES\"",
        ),
        (
            &[("projection.k.type", "injected"), (TEMPLATE, "s3://pond/x/")],
            "storage.location.template: ${k} is missing",
        ),
        (&[("projection.k.type", "injected"), (TEMPLATE, "s3://pond/${k/")], "storage.location.template"),
        (&[("projection.k.type", "injected"), (TEMPLATE, "s3://pond/${other}/")], "${other} is no partition key"),
    ] {
        let error = projection(properties).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

proptest! {
    #[test]
    fn numbers_are_found_where_they_stand(first in any::<i64>(), beyond in 0i64..100_000, step in 1i64..50, digits in 1usize..19, part in 0.0..1.0) {
        let numbers = Numbers { first, last: first.saturating_add(beyond), step, digits };
        let at = (numbers.count() as f64 * part) as u64;
        let text = numbers.text(at).unwrap();
        prop_assert_eq!(numbers.find(&text), Some(at));
        prop_assert_eq!(numbers.text(numbers.count()), None);
    }

    #[test]
    fn dates_ascend(format in "(yyyy|yy)?[-/]?M{0,2}[-/]?d{0,2}H{0,2}", range in "(NOW)([+-][0-9]{1,4}(DAY|MONTH|YEAR))?,NOW\\+[0-9]{1,3}(DAYS|HOURS)", unit in "(HOURS|DAYS|WEEKS|MONTHS|YEARS)") {
        let properties = [("projection.k.type", "date"), ("projection.k.format", &format), ("projection.k.range", &range), ("projection.k.interval.unit", &unit)];
        if let Ok(Some(projection)) = projection(&properties) {
            let values = projection.keys().next().unwrap().1.clone();
            prop_assert!(values.count() > 0 && values.moment(values.count()).is_none());
            let near = (0..values.count()).take(40);
            let written: Vec<(i64, String)> = near.map(|at| (values.moment(at).unwrap(), values.text(at).unwrap())).collect();
            prop_assert!(written.is_sorted_by_key(|(moment, _)| *moment));
            prop_assert!(!values.ascends_as_text() || written.is_sorted_by_key(|(_, text)| text.clone()));
        }
    }

    #[test]
    fn nothing_panics(kind in "(date|integer|enum|injected)", range in "[0-9NOW+,YEARS -]{0,20}", format in "[yMdHmsS'a-z-]{0,12}", interval in "[0-9]{0,19}", unit in "(YEARS|WEEKS|DAYS|MILLIS|x)") {
        let properties = [("projection.k.type", kind.as_str()), ("projection.k.range", &range), ("projection.k.format", &format), ("projection.k.interval", &interval), ("projection.k.interval.unit", &unit)];
        if let Ok(Some(projection)) = projection(&properties) {
            let values = projection.keys().next().unwrap().1.clone();
            for at in [0, 1, values.count().saturating_sub(1), values.count(), u64::MAX] {
                let _ = (values.text(at), values.moment(at));
            }
        }
    }
}
