//! The patterns of "Reducing custom code by using advanced rules in Amazon EventBridge" (AWS Compute Blog, 2020), each as it is printed there
//! (with plain quotes), beside events that it is about.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::sync::Arc;

use millpond_pattern::{Event, Pattern, RuleSet};
use serde_json::{Value, json};

fn matches(pattern: &Value, event: &Value) -> bool {
    let pattern = Arc::new(Pattern::parse(&pattern.to_string()).unwrap());
    let text = event.to_string();
    let simple = pattern.matches(&Event::parse(text.as_bytes()).unwrap());
    let mut list = Vec::new();
    RuleSet::build([((), pattern)]).matching_bytes(text.as_bytes(), &mut list).unwrap();
    assert_eq!(simple, !list.is_empty());
    simple
}

/// The table of operators: field and pattern, values that match, values that do not (`"absent"` for none).
#[test]
fn comparisons() {
    let absent = json!("absent");
    for (field, wanted, good, bad) in [
        ("UserID", json!([null]), vec![json!(null)], vec![json!("u1"), json!(""), json!(0)]),
        ("LastName", json!([""]), vec![json!("")], vec![json!("Doe"), json!(null)]),
        ("Name", json!(["Alice"]), vec![json!("Alice")], vec![json!("alice"), json!("Alice ")]),
        ("PaymentType", json!(["Credit", "Debit"]), vec![json!("Credit"), json!("Debit")], vec![json!("Cash")]),
        ("Weather", json!([{"anything-but": ["Raining"]}]), vec![json!("Sunny"), json!(1)], vec![json!("Raining")]),
        ("Price", json!([{"numeric": ["=", 100]}]), vec![json!(100), json!(100.0)], vec![json!(101), json!("100")]),
        (
            "Price",
            json!([{"numeric": [">", 10, "<=", 20]}]),
            vec![json!(10.5), json!(20)],
            vec![json!(10), json!(20.1), json!("15")],
        ),
        (
            "ProductName",
            json!([{"exists": true}]),
            vec![json!("x"), json!(null)],
            vec![absent.clone(), json!({"y": 1})],
        ),
        ("ProductName", json!([{"exists": false}]), vec![absent.clone(), json!({"y": 1})], vec![json!("x")]),
        ("Region", json!([{"prefix": "us-"}]), vec![json!("us-east-1")], vec![json!("eu-central-1"), json!("US-")]),
    ] {
        let pattern = json!({ field: wanted });
        for (values, expected) in [(good, true), (bad, false)] {
            for value in values {
                let event = if value == absent { json!({"Other": 1}) } else { json!({ field: value }) };
                assert_eq!(matches(&pattern, &event), expected, "{pattern} {event}");
            }
        }
    }
    let both = json!({"Location": ["New York"], "Day": ["Monday"]});
    assert!(matches(&both, &json!({"Location": "New York", "Day": "Monday"})));
    assert!(!matches(&both, &json!({"Location": "New York", "Day": "Tuesday"})));
}

fn withdrawal(changes: &Value) -> Value {
    let mut detail = json!({
        "action": "withdrawal", "location": "NY-NYC-001", "amount": 300, "result": "approved", "transactionId": "123456",
        "cardPresent": true, "partnerBank": "Example Bank", "remainingFunds": 722.34,
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(detail.as_object_mut().unwrap().remove(name)),
            value => detail[name] = value.clone(),
        }
    }
    json!({"version": "0", "source": "custom.myATMapp", "detail-type": "transaction", "detail": detail})
}

#[test]
fn cash_machines() {
    let all = json!({"source": ["custom.myATMapp"]});
    assert!(matches(&all, &withdrawal(&json!({}))) && !matches(&all, &json!({"source": "custom.other"})));
    let about =
        |detail: Value| json!({"source": ["custom.myATMapp"], "detail-type": ["transaction"], "detail": detail});
    let large = about(json!({"amount": [{"numeric": [">", 300]}]}));
    let city = about(json!({"location": [{"prefix": "NY-NYC-"}]}));
    let partner = about(json!({"partnerBank": [{"exists": true}]}));
    let combined = about(json!({
        "result": ["approved"], "partnerBank": [{"exists": false}], "location": [{"anything-but": "NY-NYC-002"}],
    }));
    for (changes, expected) in [
        (json!({}), [false, true, true, false]),
        (json!({"amount": 301}), [true, true, true, false]),
        (json!({"location": "NY-BUF-001"}), [false, false, true, false]),
        (json!({"partnerBank": null}), [false, true, false, true]),
        (json!({"partnerBank": null, "location": "NY-NYC-002"}), [false, true, false, false]),
        (json!({"partnerBank": null, "result": "denied", "amount": 300.01}), [true, true, false, false]),
    ] {
        let event = withdrawal(&changes);
        let got = [&large, &city, &partner, &combined].map(|pattern| matches(pattern, &event));
        assert_eq!(got, expected, "{changes}");
    }
}

fn call(name: &str, bucket: &str, agent: &str) -> Value {
    json!({
        "version": "0", "source": "aws.s3", "detail-type": "AWS API Call via CloudTrail", "region": "us-east-1", "resources": [],
        "detail": {
            "eventVersion": "1.11", "eventSource": "s3.amazonaws.com", "eventName": name, "userAgent": agent,
            "requestParameters": {"bucketName": bucket, "key": "a.jpg", "Host": "127.0.0.1:9000"},
            "resources": [{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/a.jpg"}, {"type": "AWS::S3::Bucket"}],
        },
    })
}

#[test]
fn buckets_through_cloudtrail() {
    let puts = json!({
        "source": ["aws.s3"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "eventSource": ["s3.amazonaws.com"],
            "eventName": ["PutObject"],
            "requestParameters": {"bucketName": [{"prefix": "myApp-"}]},
        },
    });
    let gets = json!({
        "source": ["aws.s3"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "eventSource": ["s3.amazonaws.com"],
            "eventName": ["GetObject"],
            "userAgent": ["userAgent"],
            "requestParameters": {"bucketName": ["mybucket"]},
        },
    });
    for (event, expected) in [
        (call("PutObject", "myApp-images", "cli"), [true, false]),
        (call("PutObject", "myApp-archive", "cli"), [true, false]),
        (call("PutObject", "other", "cli"), [false, false]),
        (call("GetObject", "mybucket", "userAgent"), [false, true]),
        (call("GetObject", "mybucket", "cli"), [false, false]),
    ] {
        assert_eq!([&puts, &gets].map(|pattern| matches(pattern, &event)), expected, "{event}");
    }
}
