//! Who may ask who it is: everybody who signs, and nobody else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "authorization/iam.rs"]
mod iam;

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method};
use millpond_kernel::{
    Payload, PayloadSource, Principal, RequestHead, ResponseBody, Service, ServiceError, ServiceRequest, Step, testing,
};
use millpond_svc_iam::Sts;

const OWNER: &str = "123456789012";
const STRANGER: &str = "210987654321";
const VERSION: &str = "Version=2011-06-15";

struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut Context<'_>) -> Poll<Result<Step, ServiceError>> {
        Poll::Ready(Ok(self.0.take().map_or(Step::End(Vec::new()), Step::Chunk)))
    }
}

fn send(principal: Principal, form: &str) -> Result<String, String> {
    let sts = Sts::new(Arc::new(testing::kernel(OWNER.parse().unwrap()).unwrap()));
    let head = RequestHead {
        method: Method::POST,
        path: "/".to_owned(),
        query: String::new(),
        headers: HeaderMap::new(),
        host_bucket: None,
    };
    let caller = testing::caller(principal);
    let operation = sts.identify(&head).unwrap();
    let payload = Payload::new(Box::new(Whole(Some(Bytes::from(form.to_owned())))), None);
    let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
    match futures_util::FutureExt::now_or_never(sts.call(request)).unwrap() {
        Ok(response) => match response.body {
            ResponseBody::Full(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        },
        Err(error) => Err(error.code.into_owned()),
    }
}

#[test]
fn get_caller_identity() {
    let form = format!("Action={}&{VERSION}", "GetCallerIdentity");
    for account in [OWNER, STRANGER] {
        let answer = send(Principal::Root(account.parse().unwrap()), &form).unwrap();
        assert!(answer.contains(&format!("<Arn>arn:aws:iam::{account}:root</Arn>")), "{answer}");
    }
    assert_eq!(send(Principal::Anonymous, &form), Err("MissingAuthenticationToken".to_owned()));
}

#[test]
fn refusals() {
    let root = Principal::Root(OWNER.parse().unwrap());
    for (form, code) in [
        ("", "MissingAction"),
        ("Version=2011-06-15", "MissingAction"),
        ("Action=GetCallerIdentity", "InvalidAction"),
        ("Action=GetCallerIdentity&Version=2010-05-08", "InvalidAction"),
        ("Action=Nonsense&Version=2011-06-15", "InvalidAction"),
        ("Action=AssumeRole&Version=2011-06-15", "NotImplemented"),
        ("Action=%FF&Version=2011-06-15", "ValidationError"),
    ] {
        assert_eq!(send(root.clone(), form), Err(code.to_owned()), "{form}");
    }
}
