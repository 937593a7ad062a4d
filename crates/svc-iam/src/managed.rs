//! The managed policies of AWS that are known here. What they say is ours, cut to the services that are served; their names and
//! paths are AWS's (AWS Managed Policy Reference Guide).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use millpond_policy::PolicyKind;
use millpond_types::Timestamp;

use crate::state::{Document, ManagedPolicy, PolicyVersion};

/// When the first of AWS's managed policies came (2015-02-06): shown as the date of all of them.
const CREATED: u64 = 1_423_180_800;

/// Path, name, unique id, description, document. The ids are ours; none is used again.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// `document!("Name")`: the file of that name.
macro_rules! document {
    ($name:literal) => {
        include_str!(concat!("managed/", $name, ".json"))
    };
}

const TABLE: &[Row] = &[
    (
        "/",
        "AWSCloudTrail_ReadOnlyAccess",
        "ANPAMILLPONDAWS000001",
        "Reads the events of AWS CloudTrail.",
        document!("AWSCloudTrail_ReadOnlyAccess"),
    ),
    (
        "/",
        "AWSKeyManagementServicePowerUser",
        "ANPAMILLPONDAWS000002",
        "Creates keys and aliases and describes all of them; what a key may be used for is left to its policy.",
        document!("AWSKeyManagementServicePowerUser"),
    ),
    (
        "/service-role/",
        "AWSLambdaBasicExecutionRole",
        "ANPAMILLPONDAWS000003",
        "Writes the logs of a function.",
        document!("AWSLambdaBasicExecutionRole"),
    ),
    (
        "/",
        "AdministratorAccess",
        "ANPAMILLPONDAWS000004",
        "Everything on everything.",
        document!("AdministratorAccess"),
    ),
    ("/", "AmazonS3FullAccess", "ANPAMILLPONDAWS000005", "Everything in Amazon S3.", document!("AmazonS3FullAccess")),
    (
        "/",
        "AmazonS3ReadOnlyAccess",
        "ANPAMILLPONDAWS000006",
        "Reads and lists everything in Amazon S3.",
        document!("AmazonS3ReadOnlyAccess"),
    ),
    ("/", "IAMFullAccess", "ANPAMILLPONDAWS000007", "Everything in IAM.", document!("IAMFullAccess")),
    (
        "/",
        "IAMReadOnlyAccess",
        "ANPAMILLPONDAWS000008",
        "Reads and lists everything in IAM.",
        document!("IAMReadOnlyAccess"),
    ),
    (
        "/",
        "PowerUserAccess",
        "ANPAMILLPONDAWS000009",
        "Everything but the administration of users, groups, roles and accounts.",
        document!("PowerUserAccess"),
    ),
    ("/", "ReadOnlyAccess", "ANPAMILLPONDAWS000010", "Reads and lists everything.", document!("ReadOnlyAccess")),
];

fn all() -> &'static BTreeMap<String, Arc<ManagedPolicy>> {
    static ALL: OnceLock<BTreeMap<String, Arc<ManagedPolicy>>> = OnceLock::new();
    ALL.get_or_init(|| TABLE.iter().map(|row| (row.1.to_ascii_lowercase(), Arc::new(policy_of(row)))).collect())
}

fn policy_of((path, name, id, description, text): &Row) -> ManagedPolicy {
    let created = Timestamp::from_seconds(CREATED);
    let document = Document::stored((*text).to_owned(), PolicyKind::Identity, BTreeMap::new());
    ManagedPolicy {
        account: None,
        name: (*name).to_owned(),
        path: (*path).to_owned(),
        id: (*id).to_owned(),
        description: Some((*description).to_owned()),
        created,
        updated: created,
        tags: Vec::new(),
        default: 1,
        next: 2,
        versions: BTreeMap::from([(1, PolicyVersion { created, document })]),
    }
}

/// All of them, by name in lower case.
pub(crate) fn policies() -> impl Iterator<Item = (&'static str, &'static Arc<ManagedPolicy>)> {
    all().iter().map(|(folded, policy)| (folded.as_str(), policy))
}

/// One by its ARN.
pub(crate) fn policy(arn: &str) -> Option<&'static Arc<ManagedPolicy>> {
    static BY_ARN: OnceLock<HashMap<String, &'static Arc<ManagedPolicy>>> = OnceLock::new();
    if !is_aws(arn) {
        return None;
    }
    BY_ARN.get_or_init(|| all().values().map(|policy| (policy.arn(), policy)).collect()).get(arn).copied()
}

/// Whether an ARN names a managed policy of AWS, known here or not.
pub(crate) fn is_aws(arn: &str) -> bool {
    arn.starts_with("arn:aws:iam::aws:policy/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_compile_and_have_names_of_their_own() {
        let mut ids = std::collections::BTreeSet::new();
        for (path, name, id, ..) in TABLE {
            let arn = format!("arn:aws:iam::aws:policy{path}{name}");
            let found = policy(&arn).unwrap();
            found.document().unwrap().policy().unwrap();
            assert_eq!((found.arn(), found.name.as_str()), (arn, *name));
            assert!(id.len() == 21 && ids.insert(id), "{id}");
        }
        assert_eq!(policies().count(), TABLE.len());
        assert!(policy("arn:aws:iam::aws:policy/Nonsense").is_none());
    }
}
