//! Names, ARNs and URLs of queues.

use millpond_kernel::{Caller, RequestHead};
use millpond_types::{AccountId, Arn, Region};

use crate::errors::{SqsError, parameter};

/// What a FIFO queue's name ends with.
pub(crate) const FIFO: &str = ".fifo";
/// Characters of a name.
const MAX_NAME: usize = 80;

/// Checks a new queue's name (API reference, CreateQueue).
pub(crate) fn check(name: &str, fifo: bool) -> Result<(), SqsError> {
    let bare = if fifo { name.strip_suffix(FIFO) } else { Some(name) };
    let good =
        |bare: &str| !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if name.len() <= MAX_NAME && bare.is_some_and(good) {
        return Ok(());
    }
    let rule = if fifo {
        "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 \
         in length."
    } else {
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
    };
    Err(parameter(name, "QueueName", rule))
}

/// A queue's ARN.
pub(crate) fn arn(region: &Region, account: AccountId, name: &str) -> Arn {
    Arn::new("sqs", region.as_str(), account.as_str(), name)
}

/// Account and name of the queue that an ARN means in this region.
pub(crate) fn of_arn(arn: &str, region: &Region) -> Option<(AccountId, String)> {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", "aws", "sqs", of, account, name] = fields.as_slice() else { return None };
    if *of != region.as_str() || name.is_empty() || name.contains(':') {
        return None;
    }
    Some((account.parse().ok()?, (*name).to_owned()))
}

/// Account and name of the queue that a URL means. Whatever its host is: clients see the server under many names.
pub(crate) fn of_url(url: &str) -> Result<(AccountId, &str), SqsError> {
    let invalid = || SqsError::Address(url.chars().take(256).collect());
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').ok_or_else(invalid)?.1,
        None => url.strip_prefix('/').ok_or_else(invalid)?,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let (account, name) = path.rsplit_once('/').ok_or_else(invalid)?;
    let account = account.rsplit('/').next().unwrap_or_default();
    if name.is_empty() {
        return Err(invalid());
    }
    Ok((account.parse().map_err(|_| invalid())?, name))
}

/// What the URLs of queues begin with for a client: the address by which it called.
pub(crate) fn base(head: &RequestHead, caller: &Caller) -> String {
    let scheme = if caller.transport().secure { "https" } else { "http" };
    let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// A queue's URL.
pub(crate) fn url(base: &str, account: AccountId, name: &str) -> String {
    format!("{base}/{account}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "a".repeat(80);
        for (name, fifo, good) in [
            ("a", false, true),
            ("A-b_9", false, true),
            (long.as_str(), false, true),
            ("", false, false),
            ("a.b", false, false),
            ("a.fifo", false, false),
            ("a.fifo", true, true),
            (".fifo", true, false),
            ("a", true, false),
            ("\u{e4}", false, false),
        ] {
            assert_eq!(check(name, fifo).is_ok(), good, "{name} {fifo}");
        }
        assert!(check(&"a".repeat(81), false).is_err());
    }

    #[test]
    fn urls() {
        for (url, expected) in [
            ("http://localhost:9000/111122223333/q", Some(("111122223333", "q"))),
            ("https://sqs.us-east-1.amazonaws.com/111122223333/q.fifo", Some(("111122223333", "q.fifo"))),
            ("http://h/queue/111122223333/q/", Some(("111122223333", "q"))),
            ("/111122223333/q", Some(("111122223333", "q"))),
            ("http://h/111122223333/q?Action=x", Some(("111122223333", "q"))),
            ("q", None),
            ("http://h/q", None),
            ("http://h/1/q", None),
            ("http://h/111122223333/", None),
            ("", None),
        ] {
            let found = of_url(url).ok().map(|(account, name)| (account.to_string(), name.to_owned()));
            assert_eq!(found, expected.map(|(account, name)| (account.to_owned(), name.to_owned())), "{url}");
        }
    }

    #[test]
    fn arns() {
        let region: Region = "us-east-1".parse().unwrap();
        let account: AccountId = "111122223333".parse().unwrap();
        let own = arn(&region, account, "q");
        assert_eq!(of_arn(own.as_str(), &region), Some((account, "q".to_owned())));
        for other in [
            "arn:aws:sqs:eu-west-1:111122223333:q",
            "arn:aws:sns:us-east-1:111122223333:q",
            "q",
            "arn:aws:sqs:us-east-1:1:q",
        ] {
            assert_eq!(of_arn(other, &region), None, "{other}");
        }
    }
}
