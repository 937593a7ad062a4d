//! Whether those whom policies and grants name exist, and binding them to who they are now.

use millpond_kernel::DirectoryError;
use millpond_policy::{Policy, PolicyKind, limits};
use millpond_types::AccountId;

use crate::errors::KmsError;
use crate::load;
use crate::model::Bound;
use crate::state::Core;

/// What a name in a policy must be.
const NOBODY: &str = "Policy contains a statement with one or more invalid principals.";

impl Core {
    /// Whether an account exists here.
    fn knows(&self, account: AccountId) -> bool {
        let directory = self.kernel.directory();
        account == self.kernel.account() || directory.is_some_and(|directory| directory.account_exists(account))
    }

    /// The unique id of a user or role; `None` when there is none of that ARN.
    async fn unique_id(&self, arn: &str) -> Result<Option<String>, KmsError> {
        let Some(directory) = self.kernel.directory() else { return Ok(None) };
        match directory.unique_id(arn).await {
            Ok(id) => Ok(id),
            Err(DirectoryError::Gone) => Ok(None),
            Err(DirectoryError::Failed(reason)) => Err(KmsError::Internal(reason)),
        }
    }

    /// A key's policy, parsed, and bound to whom it names: their ids are in the order of their ARNs. Refuses whom there is not.
    pub async fn policy(&self, text: &str) -> Result<(Policy, Vec<String>), KmsError> {
        if text.len() > limits::KEY {
            return Err(KmsError::Limit(format!("The key policy is larger than {} bytes.", limits::KEY)));
        }
        let mut policy = Policy::parse(text, PolicyKind::Key)?;
        let mut ids = Vec::new();
        for arn in policy.principals() {
            ids.push(self.unique_id(arn).await?.ok_or_else(|| KmsError::Policy(NOBODY.to_owned()))?);
        }
        if !policy.accounts().into_iter().all(|account| self.knows(account)) {
            return Err(KmsError::Policy(NOBODY.to_owned()));
        }
        load::bind(&mut policy, &ids);
        Ok((policy, ids))
    }

    /// The principal of a grant: an account, a user, a role, or a session of one. Refuses whom there is not.
    pub async fn principal(&self, arn: &str) -> Result<Bound, KmsError> {
        let nobody = || KmsError::InvalidArn(format!("ARN does not refer to a valid principal: {arn}"));
        let fields: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", "aws", service, "", account, resource] = fields.as_slice() else { return Err(nobody()) };
        let account: AccountId = account.parse().map_err(|_| nobody())?;
        let id = match (*service, resource.split('/').collect::<Vec<_>>().as_slice()) {
            ("iam", ["root"]) => None,
            ("iam", ["user" | "role", ..]) => Some(self.unique_id(arn).await?.ok_or_else(nobody)?),
            // Their ARNs do not tell the path of the role: one with a path is not found, and its session not bound.
            ("sts", ["assumed-role", role, session]) if !role.is_empty() && !session.is_empty() => {
                self.unique_id(&format!("arn:aws:iam::{account}:role/{role}")).await?
            }
            ("sts", ["federated-user", name]) if !name.is_empty() => None,
            _ => return Err(nobody()),
        };
        if !self.knows(account) {
            return Err(nobody());
        }
        Ok(Bound { arn: arn.to_owned(), id })
    }
}
