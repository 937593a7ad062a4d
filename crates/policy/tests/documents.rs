//! What a policy document may not say, and what is told about it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use millpond_policy::{Fault, Policy, PolicyKind, limits};

fn bucket() -> PolicyKind {
    PolicyKind::Bucket { name: "b".into() }
}

/// A document with one statement, on its second line.
fn with(statement: &str) -> String {
    format!("{{\"Version\":\"2012-10-17\",\"Statement\":[\n{statement}]}}")
}

#[test]
fn refusals_name_the_rule_and_the_place() {
    let allow = r#""Effect":"Allow","Action":"s3:GetObject""#;
    let all = r#""Effect":"Allow","Action":"s3:GetObject","Resource":"*""#;
    let cases: Vec<(PolicyKind, String, Fault, &str)> = vec![
        (PolicyKind::Identity, String::new(), Fault::Json, ""),
        (PolicyKind::Identity, "[]".into(), Fault::Json, ""),
        (PolicyKind::Identity, r#"{"Version":"2012-10-17","Version":"2012-10-17"}"#.into(), Fault::Json, ""),
        (PolicyKind::Identity, r#"{"Version":"2012-10-17"}"#.into(), Fault::Missing("Statement"), ""),
        (PolicyKind::Identity, r#"{"Version":"2012-10-17","Statement":[]}"#.into(), Fault::NoStatement, "Statement"),
        (PolicyKind::Identity, r#"{"Version":"2012-10-17","Statements":[]}"#.into(), Fault::Syntax, ""),
        (PolicyKind::Identity, format!(r#"{{"Statement":{{{all}}}}}"#), Fault::Version, "Version"),
        (
            PolicyKind::Identity,
            format!(r#"{{"Version":"2008-10-17","Statement":{{{all}}}}}"#),
            Fault::Version,
            "Version",
        ),
        (bucket(), format!(r#"{{"Version":"2020-01-01","Statement":{{{all}}}}}"#), Fault::Version, "Version"),
        (PolicyKind::Identity, with("3"), Fault::Syntax, "Statement[0]"),
        (PolicyKind::Identity, with(r#"{"Action":"s3:Get","Resource":"*"}"#), Fault::Missing("Effect"), "Statement[0]"),
        (
            PolicyKind::Identity,
            with(r#"{"Effect":"allow","Action":"s3:Get","Resource":"*"}"#),
            Fault::Effect,
            "Statement[0].Effect",
        ),
        (PolicyKind::Identity, with(r#"{"Effect":"Allow","Resource":"*"}"#), Fault::Missing("Action"), "Statement[0]"),
        (
            PolicyKind::Identity,
            with(r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#),
            Fault::Missing("Action"),
            "Statement[0].Action",
        ),
        (
            PolicyKind::Identity,
            with(r#"{"Effect":"Allow","Action":"GetObject","Resource":"*"}"#),
            Fault::Action,
            "Statement[0].Action",
        ),
        (
            PolicyKind::Identity,
            with(r#"{"Effect":"Allow","Action":"s3:Get","NotAction":"s3:Put","Resource":"*"}"#),
            Fault::Syntax,
            "Statement[0]",
        ),
        (PolicyKind::Identity, with(&format!("{{{allow}}}")), Fault::Missing("Resource"), "Statement[0]"),
        (
            PolicyKind::Identity,
            with(&format!(r#"{{{allow},"Resource":"bucket"}}"#)),
            Fault::Resource,
            "Statement[0].Resource",
        ),
        (
            PolicyKind::Identity,
            with(&format!(r#"{{{allow},"Resource":"arn:aws:*:::b"}}"#)),
            Fault::Resource,
            "Statement[0].Resource",
        ),
        (
            PolicyKind::Identity,
            with(&format!(r#"{{{allow},"Resource":"arn:b:s3:::b"}}"#)),
            Fault::Resource,
            "Statement[0].Resource",
        ),
        (PolicyKind::Identity, with(&format!(r#"{{{all},"Principal":"*"}}"#)), Fault::Principal, "Statement[0]"),
        (PolicyKind::Identity, with(&format!(r#"{{{all},"Sid":"a b"}}"#)), Fault::Sid, "Statement[0].Sid"),
        (
            PolicyKind::Identity,
            with(&format!("{{{all},\"Sid\":\"a\"}},{{{all},\"Sid\":\"a\"}}")),
            Fault::Sid,
            "Statement[1].Sid",
        ),
        (PolicyKind::Identity, with(&format!(r#"{{{all},"Conditions":{{}}}}"#)), Fault::Syntax, "Statement[0]"),
        (
            PolicyKind::Identity,
            with(&format!(r#"{{{all},"Condition":{{"StringEqual":{{"a":"b"}}}}}}"#)),
            Fault::Condition,
            "Statement[0].Condition.StringEqual.a",
        ),
        (
            PolicyKind::Identity,
            with(&format!(r#"{{{all},"Condition":{{"IpAddress":{{"aws:SourceIp":"10.0.0.0/64"}}}}}}"#)),
            Fault::Condition,
            "Statement[0].Condition.IpAddress.aws:SourceIp",
        ),
        (PolicyKind::Identity, with(&format!(r#"{{{all},"Sid":"日本"}}"#)), Fault::Syntax, ""),
        (bucket(), with(&format!("{{{all}}}")), Fault::Missing("Principal"), "Statement[0]"),
        (bucket(), with(&format!(r#"{{{all},"Principal":"*"}}"#)), Fault::Resource, "Statement[0].Resource"),
        (
            bucket(),
            with(&format!(r#"{{{allow},"Resource":"arn:aws:s3:::bb/*","Principal":"*"}}"#)),
            Fault::Resource,
            "Statement[0].Resource",
        ),
        (
            bucket(),
            with(&format!(r#"{{{allow},"Resource":"arn:aws:s3:::b/*","Principal":{{"AWS":"bob"}}}}"#)),
            Fault::Principal,
            "Statement[0].Principal.AWS",
        ),
        (
            bucket(),
            with(&format!(r#"{{{allow},"Resource":"arn:aws:s3:::b/*","NotPrincipal":"*"}}"#)),
            Fault::Principal,
            "Statement[0].NotPrincipal",
        ),
        (
            bucket(),
            with(r#"{"Effect":"Allow","Principal":"*","Action":"kms:Decrypt","Resource":"arn:aws:s3:::b"}"#),
            Fault::Action,
            "Statement[0].Action",
        ),
        (
            PolicyKind::Trust,
            with(r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject"}"#),
            Fault::Action,
            "Statement[0].Action",
        ),
        (
            PolicyKind::Trust,
            with(r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole","Resource":"*"}"#),
            Fault::Resource,
            "Statement[0]",
        ),
        (
            PolicyKind::Trust,
            with(r#"{"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}"#),
            Fault::Principal,
            "Statement[0].NotPrincipal",
        ),
        (PolicyKind::Identity, " ".repeat(limits::ANY + 1), Fault::TooLarge, ""),
    ];
    for (kind, text, fault, place) in cases {
        let shown: String = text.chars().take(300).collect();
        let error = Policy::parse(&text, kind).map(|_| ()).expect_err(&shown);
        assert_eq!((error.fault, error.place.as_str()), (fault, place), "{shown}: {error}");
        let line = if place.starts_with("Statement[") { 2 } else { 1 };
        assert_eq!(error.at.line, line, "{shown}: {error}");
    }
}

#[test]
fn a_buckets_policy_names_what_s3_has() {
    let of = |action: &str, resource: &str| {
        with(&format!(r#"{{"Effect":"Deny","Principal":"*",{action},"Resource":{resource}}}"#))
    };
    let (bucket_arn, objects) = (r#""arn:aws:s3:::b""#, r#""arn:aws:s3:::b/*""#);
    let both = r#"["arn:aws:s3:::b","arn:aws:s3:::b/*"]"#;
    let if_key = |key: &str| format!(r#""Action":"s3:*","Condition":{{"StringEquals":{{"{key}":"x"}}}}"#);
    for (action, resource, expected) in [
        (r#""Action":"s3:DeleteObject""#.to_owned(), objects, None),
        (r#""Action":"S3:deleteobject""#.into(), objects, None),
        (r#""Action":"s3:DeleteObjekt""#.into(), objects, Some((Fault::Action, "Action"))),
        (r#""Action":["s3:GetObject","s3:Objekt*"]"#.into(), objects, Some((Fault::Action, "Action"))),
        (r#""NotAction":"s3:DeleteObjekt""#.into(), objects, Some((Fault::Action, "NotAction"))),
        (r#""Action":"s3:ListAllMyBuckets""#.into(), both, Some((Fault::Action, "Action"))),
        (r#""Action":"*""#.into(), bucket_arn, None),
        (r#""Action":"s3:Get*""#.into(), bucket_arn, None),
        (r#""Action":"s3:List*""#.into(), objects, None),
        (r#""Action":"s3:Replicate*""#.into(), bucket_arn, Some((Fault::NoResource, "Action"))),
        (r#""Action":"s3:ListBucket""#.into(), objects, Some((Fault::NoResource, "Action"))),
        (r#""Action":"s3:GetObject""#.into(), bucket_arn, Some((Fault::NoResource, "Action"))),
        (r#""Action":["s3:GetObject","s3:ListBucket"]"#.into(), objects, Some((Fault::NoResource, "Action"))),
        (r#""Action":["s3:GetObject","s3:ListBucket"]"#.into(), both, None),
        // A resource without an action is none of AWS's errors.
        (r#""Action":"s3:GetObject""#.into(), both, None),
        (r#""Action":["s3:GetObject","s3:ListBucket"]"#.into(), r#""arn:aws:s3:::b*""#, None),
        (r#""Action":"s3:ListBucket""#.into(), r#""arn:aws:s3:::b*/x""#, Some((Fault::NoResource, "Action"))),
        (r#""NotAction":"s3:ListBucket""#.into(), objects, None),
        (if_key("s3:x-amz-server-side-encryption"), objects, None),
        (if_key("s3:existingobjecttag/team"), objects, None),
        (if_key("aws:PrincipalOrgID"), objects, None),
        (
            if_key("s3:x-amz-server-side-encription"),
            objects,
            Some((Fault::Condition, "Condition.StringEquals.s3:x-amz-server-side-encription")),
        ),
    ] {
        let text = of(&action, resource);
        // What is kept is read all the same.
        let policy = Policy::parse(&text, bucket()).unwrap();
        let found = policy.check_names().err().map(|error| (error.fault, error.place, error.at.line));
        let expected = expected.map(|(fault, below)| (fault, format!("Statement[0].{below}"), 2));
        assert_eq!(found, expected, "{text}");
    }
    let text = with(r#"{"Effect":"Deny","Principal":"*","Action":"s3:ListBucket","NotResource":"arn:aws:s3:::b/*"}"#);
    assert_eq!(Policy::parse(&text, bucket()).unwrap().check_names(), Ok(()));
    let text = with(r#"{"Effect":"Deny","Action":"s3:DeleteObjekt","Resource":"*"}"#);
    assert_eq!(Policy::parse(&text, PolicyKind::Identity).unwrap().check_names(), Ok(()));
}

#[test]
fn a_buckets_policy_may_name_any_key() {
    let text = with(r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/日本/*"}"#);
    assert!(Policy::parse(&text, bucket()).is_ok());
    assert_eq!(Policy::parse(&text, PolicyKind::Key).map(|_| ()).unwrap_err().fault, Fault::Syntax);
}

#[test]
fn white_space_does_not_count() {
    assert_eq!(limits::counted(" {\n\t\"a b\" : 1 }\r\n"), 8);
}

#[test]
fn what_is_kept() {
    let text = r#"{"Version":"2012-10-17","Id":"x","Statement":{"Sid":"One","Effect":"Deny","Principal":{"AWS":["arn:aws:iam::111122223333:user/bob",
        "111122223333"]},"Action":["s3:Get*","s3:PutObject"],"Resource":"arn:aws:s3:::b/${aws:username}",
        "Condition":{"StringLike":{"s3:prefix":"${aws:PrincipalTag/team}/*"},"Bool":{"aws:SecureTransport":false}}}}"#;
    let policy = Policy::parse(text, bucket()).unwrap();
    assert_eq!(policy.text(), text);
    let [statement] = policy.statements() else { panic!("one statement") };
    assert_eq!((statement.sid.as_deref(), statement.effect.name(), statement.start.line), (Some("One"), "Deny", 1));
    assert_eq!(policy.principals().into_iter().collect::<Vec<_>>(), ["arn:aws:iam::111122223333:user/bob"]);
    let keys: Vec<_> = policy.condition_keys().into_iter().collect();
    assert_eq!(keys, ["aws:PrincipalTag/team", "aws:SecureTransport", "aws:username", "s3:prefix"]);
}
