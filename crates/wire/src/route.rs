//! Which operation a request is for.

use http::{HeaderMap, Method};

use crate::{Label, QueryPairs, percent_decode};

/// The outcome of routing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route<O> {
    /// An operation with a handler.
    Served(O),
    /// An operation of the service that has none yet, by its name: to be answered `NotImplemented`.
    Unserved(&'static str),
    /// No operation of the service.
    Unknown,
}

/// What a route leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<O> {
    /// An operation with a handler.
    Served(O),
    /// An operation without.
    Unserved(&'static str),
}

impl<O> From<Target<O>> for Route<O> {
    fn from(target: Target<O>) -> Self {
        match target {
            Target::Served(operation) => Route::Served(operation),
            Target::Unserved(name) => Route::Unserved(name),
        }
    }
}

/// The name in a target, for logs; `served` tells that of an operation.
pub fn target_name<O: Copy>(target: Target<O>, served: impl Fn(O) -> &'static str) -> &'static str {
    match target {
        Target::Served(operation) => served(operation),
        Target::Unserved(name) => name,
    }
}

/// One segment of a path template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Segment {
    /// This text.
    Literal(&'static str),
    /// Any one segment.
    Label(&'static str),
    /// All that is left up to the segments that follow, at least one.
    Greedy(&'static str),
}

/// One operation's way in.
#[derive(Debug)]
pub struct RouteEntry<O: 'static> {
    /// The operation.
    pub target: Target<O>,
    /// Query parameters of the template, with the value they must have, if any (`list-type=2`, `acl`).
    pub literals: &'static [(&'static str, Option<&'static str>)],
    /// Required query parameters.
    pub query: &'static [&'static str],
    /// Required headers, in lower case.
    pub headers: &'static [&'static str],
}

/// The operations that share a method and a path template.
#[derive(Debug)]
pub struct RouteGroup<O: 'static> {
    /// The method.
    pub method: Method,
    /// The path template.
    pub path: &'static [Segment],
    /// The operations, those with more literals first.
    pub entries: &'static [RouteEntry<O>],
}

/// Picks among operations of one method and path. Literals must all be there, and those with the most of them win.
/// Among equals, the one wins of whose required parameters and headers the most are there. Where only some of the required
/// *query parameters* are there, the operation is still taken, so that it is refused for what it lacks instead of being
/// mistaken for one that ignores them (`PUT ?partNumber=1` must never store an object).
fn pick<O>(
    entries: &'static [RouteEntry<O>],
    query: &QueryPairs<'_>,
    headers: &HeaderMap,
) -> Option<&'static RouteEntry<O>> {
    let literal = |(name, value): &(&str, Option<&str>)| match value {
        Some(value) => query.get(name) == Some(*value),
        None => query.has(name),
    };
    let most = entries.iter().find(|entry| entry.literals.iter().all(literal))?.literals.len();
    // How many requirements are met, whether all are, and how few there are.
    type Rank = (usize, bool, usize);
    let mut best: Option<(Rank, &RouteEntry<O>)> = None;
    let mut fallback: Option<(usize, &RouteEntry<O>)> = None;
    for entry in entries.iter().filter(|e| e.literals.len() == most && e.literals.iter().all(literal)) {
        let in_query = entry.query.iter().filter(|name| query.has(name)).count();
        let in_headers = entry.headers.iter().filter(|name| headers.contains_key(**name)).count();
        let needed = entry.query.len() + entry.headers.len();
        let complete = in_query + in_headers == needed;
        if complete || in_query > 0 {
            let rank = (in_query + in_headers, complete, usize::MAX - needed);
            if best.as_ref().is_none_or(|(top, _)| rank > *top) {
                best = Some((rank, entry));
            }
        } else if most > 0 && fallback.as_ref().is_none_or(|(least, _)| needed < *least) {
            fallback = Some((needed, entry));
        }
    }
    best.map(|(_, entry)| entry).or(fallback.map(|(_, entry)| entry))
}

/// Routes a request of a service that is addressed by bucket and key. A sub-resource (`?acl`) that the service knows at
/// this place, but not for this operation, makes the request unknown: `DELETE /bucket/key?acl` must not delete the object.
pub fn route_by_shape<O: Copy>(
    groups: &'static [RouteGroup<O>],
    method: &Method,
    has_bucket: bool,
    has_key: bool,
    query: &QueryPairs<'_>,
    headers: &HeaderMap,
) -> Route<O> {
    let segments = usize::from(has_bucket) + usize::from(has_bucket && has_key);
    let Some(group) = groups.iter().find(|group| group.method == *method && group.path.len() == segments) else {
        return Route::Unknown;
    };
    let Some(entry) = pick(group.entries, query, headers) else { return Route::Unknown };
    let is_foreign = |name: &str| {
        entry.literals.iter().all(|(own, _)| *own != name)
            && groups
                .iter()
                .filter(|group| group.path.len() == segments)
                .flat_map(|group| group.entries.iter().flat_map(|entry| entry.literals))
                .any(|(known, value)| value.is_none() && *known == name)
    };
    if query.iter().any(|(name, _)| is_foreign(name)) { Route::Unknown } else { entry.target.into() }
}

/// Routes by the name of an operation (`Action`, `X-Amz-Target`).
pub fn route_by_name<O: Copy>(name: &str, served: Option<O>, unserved: &'static [&'static str]) -> Route<O> {
    match served {
        Some(operation) => Route::Served(operation),
        None => unserved.iter().find(|known| **known == name).map_or(Route::Unknown, |known| Route::Unserved(known)),
    }
}

/// Routes a REST request by its path, percent-encoded as it came, and gives the labels' values.
/// A literal segment wins over a label, a label over a greedy one, from the left.
pub fn match_path<O: Copy>(
    groups: &'static [RouteGroup<O>],
    method: &Method,
    path: &str,
    query: &QueryPairs<'_>,
    headers: &HeaderMap,
) -> (Route<O>, Vec<Label>) {
    let segments: Vec<&str> = match path.strip_prefix('/').unwrap_or(path) {
        "" => Vec::new(),
        path => path.split('/').collect(),
    };
    let mut best: Option<(Vec<u8>, Target<O>, Vec<Label>)> = None;
    for group in groups.iter().filter(|group| group.method == *method) {
        let Some((rank, labels)) = match_template(group.path, &segments) else { continue };
        if best.as_ref().is_some_and(|(top, ..)| rank <= *top) {
            continue;
        }
        if let Some(entry) = pick(group.entries, query, headers) {
            best = Some((rank, entry.target, labels));
        }
    }
    best.map_or((Route::Unknown, Vec::new()), |(_, target, labels)| (target.into(), labels))
}

/// The labels of a path that fits the template, and how specific each segment was.
fn match_template(template: &[Segment], path: &[&str]) -> Option<(Vec<u8>, Vec<Label>)> {
    let mut labels = Vec::new();
    let mut rank = Vec::with_capacity(template.len());
    let mut at = 0;
    for (index, segment) in template.iter().enumerate() {
        match segment {
            Segment::Literal(text) => {
                if percent_decode(path.get(at)?)? != *text {
                    return None;
                }
                rank.push(2);
                at += 1;
            }
            Segment::Label(name) => {
                let value = percent_decode(path.get(at).filter(|text| !text.is_empty())?)?.into_owned();
                labels.push(Label { name, value });
                rank.push(1);
                at += 1;
            }
            Segment::Greedy(name) => {
                let end = path.len().checked_sub(template.len() - index - 1).filter(|end| *end > at)?;
                let value = percent_decode(&path[at..end].join("/"))?.into_owned();
                labels.push(Label { name, value });
                rank.push(0);
                at = end;
            }
        }
    }
    (at == path.len()).then_some((rank, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn entry(
        name: &'static str,
        literals: &'static [(&'static str, Option<&'static str>)],
        query: &'static [&'static str],
        headers: &'static [&'static str],
    ) -> RouteEntry<()> {
        RouteEntry { target: Target::Unserved(name), literals, query, headers }
    }

    static GROUPS: &[RouteGroup<()>] = &[
        RouteGroup {
            method: Method::PUT,
            path: &[Segment::Label("Bucket"), Segment::Greedy("Key")],
            entries: &[
                entry("PutAcl", &[("acl", None)], &[], &[]),
                entry("UploadPartCopy", &[], &["partNumber", "uploadId"], &["x-amz-copy-source"]),
                entry("UploadPart", &[], &["partNumber", "uploadId"], &[]),
                entry("Copy", &[], &[], &["x-amz-copy-source"]),
                entry("Put", &[], &[], &[]),
            ],
        },
        RouteGroup {
            method: Method::GET,
            path: &[Segment::Label("Bucket")],
            entries: &[
                entry("ListV2", &[("list-type", Some("2"))], &[], &[]),
                entry("GetAnalytics", &[("analytics", None)], &["id"], &[]),
                entry("ListAnalytics", &[("analytics", None)], &[], &[]),
                entry("Attributes", &[("attributes", None)], &[], &["x-amz-object-attributes"]),
                entry("List", &[], &[], &[]),
            ],
        },
        RouteGroup {
            method: Method::GET,
            path: &[Segment::Literal("jobs"), Segment::Label("id")],
            entries: &[entry("GetJob", &[], &[], &[])],
        },
        RouteGroup {
            method: Method::GET,
            path: &[Segment::Greedy("all"), Segment::Literal("tags")],
            entries: &[entry("Tags", &[], &[], &[])],
        },
    ];

    #[test]
    fn the_most_specific_operation_wins() {
        for (method, key, query, copy, expected) in [
            (Method::PUT, true, "", false, "Put"),
            (Method::PUT, true, "x-id=PutObject", false, "Put"),
            (Method::PUT, true, "", true, "Copy"),
            (Method::PUT, true, "partNumber=1&uploadId=u", false, "UploadPart"),
            (Method::PUT, true, "partNumber=1&uploadId=u", true, "UploadPartCopy"),
            (Method::PUT, true, "partNumber=1", false, "UploadPart"),
            (Method::PUT, true, "uploadId=1", true, "UploadPartCopy"),
            (Method::PUT, true, "acl", true, "PutAcl"),
            (Method::GET, false, "", false, "List"),
            (Method::GET, false, "list-type=2&prefix=a", false, "ListV2"),
            (Method::GET, false, "list-type=1", false, "List"),
            (Method::GET, false, "analytics", false, "ListAnalytics"),
            (Method::GET, false, "analytics&id=1", false, "GetAnalytics"),
            (Method::GET, false, "attributes", false, "Attributes"),
        ] {
            let mut headers = HeaderMap::new();
            if copy {
                headers.insert("x-amz-copy-source", http::HeaderValue::from_static("b/k"));
            }
            let pairs = QueryPairs::parse(query).unwrap();
            let route = route_by_shape(GROUPS, &method, true, key, &pairs, &headers);
            assert_eq!(route, Route::Unserved(expected), "{method} {query} {copy}");
        }
        let none = QueryPairs::default();
        // A sub-resource of another operation, or of another method.
        let route = |query| {
            route_by_shape(GROUPS, &Method::GET, true, false, &QueryPairs::parse(query).unwrap(), &HeaderMap::new())
        };
        assert_eq!(route("analytics&attributes"), Route::Unknown);
        assert_eq!(route("acl"), Route::Unserved("List"), "known of keys, not of buckets");
        let acl = QueryPairs::parse("acl").unwrap();
        assert_eq!(route_by_shape(GROUPS, &Method::DELETE, true, true, &acl, &HeaderMap::new()), Route::Unknown);
        assert_eq!(route_by_shape(GROUPS, &Method::PATCH, true, true, &none, &HeaderMap::new()), Route::Unknown);
        assert_eq!(route_by_shape(GROUPS, &Method::GET, false, false, &none, &HeaderMap::new()), Route::Unknown);
    }

    #[test]
    fn paths_are_matched_segment_by_segment() {
        let none = QueryPairs::default();
        let matched = |path: &str| match_path(GROUPS, &Method::GET, path, &none, &HeaderMap::new());
        for (path, name, label) in [
            ("/jobs/a%2Fb", "GetJob", Some(("id", "a/b"))),
            ("/x/y/tags", "Tags", Some(("all", "x/y"))),
            ("/jobs/tags", "GetJob", Some(("id", "tags"))),
            ("/anything", "List", Some(("Bucket", "anything"))),
        ] {
            let (route, labels) = matched(path);
            assert_eq!(route, Route::Unserved(name), "{path}");
            let first = labels.first().map(|label| (label.name, label.value.as_str()));
            assert_eq!(first, label, "{path}");
        }
        for path in ["", "/", "/a/b", "/tags/", "//", "/jobs/", "/jobs/%FF"] {
            assert_eq!(matched(path).0, Route::Unknown, "{path}");
        }
    }
}
