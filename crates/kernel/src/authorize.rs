//! The only way to an [`Authorized`] operation.

use millpond_types::AccountId;

use crate::{Access, Caller, Operation, Principal};

/// An operation that its caller may carry out. Made by [`Kernel::authorize`] alone.
#[derive(Debug)]
pub struct Authorized<O> {
    operation: O,
}

impl<O> Authorized<O> {
    /// The operation.
    pub fn get(&self) -> &O {
        &self.operation
    }

    /// The operation, to be carried out.
    pub fn into_inner(self) -> O {
        self.operation
    }
}

/// Why a caller may not.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{principal} is not authorized to perform: {} on resource: \"{}\" because {reason}", access.action, access.resource.arn)]
pub struct Denied {
    /// Who asked, as an ARN or `anonymous`.
    pub principal: String,
    /// Which access was refused.
    pub access: Access,
    /// Why, in words.
    pub reason: &'static str,
}

/// What decides for every service.
#[derive(Debug)]
pub struct Kernel {
    account: AccountId,
}

impl Kernel {
    /// A kernel for a server whose resources belong to `account`.
    pub fn new(account: AccountId) -> Self {
        Self { account }
    }

    /// The account that owns what is created here.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Decides whether `caller` may carry out `operation`: every one of its accesses must be allowed.
    ///
    /// There are no policies yet, so the decision is that of an account without any: its root user may do everything to
    /// what the account owns, and nobody else may do anything.
    pub async fn authorize<O: Operation>(&self, caller: &Caller, operation: O) -> Result<Authorized<O>, Denied> {
        for access in operation.accesses() {
            if let Err(reason) = decide(caller, &access) {
                return Err(Denied { principal: caller.arn(), access, reason });
            }
        }
        Ok(Authorized { operation })
    }
}

fn decide(caller: &Caller, access: &Access) -> Result<(), &'static str> {
    match &caller.principal {
        Principal::Root(account) if *account == access.resource.owner => Ok(()),
        Principal::Root(_) => {
            Err("the resource belongs to another account and no resource-based policy allows the action")
        }
        Principal::Anonymous => Err("no resource-based policy allows the action"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Resource, Transport};
    use millpond_types::{Arn, RequestId, Timestamp};

    #[derive(Debug)]
    struct Touch(Vec<&'static str>);

    impl Operation for Touch {
        const NAME: &'static str = "Touch";

        fn accesses(&self) -> Vec<Access> {
            self.0
                .iter()
                .map(|owner| Access {
                    action: "s3:GetObject",
                    resource: Resource { arn: Arn::s3("bucket", Some("key")), owner: owner.parse().unwrap() },
                })
                .collect()
        }

        fn context(&self, _: &Access, _: &mut Context) {}
    }

    #[test]
    fn root_may_everything_in_its_account_and_nobody_else_anything() {
        const MINE: &str = "123456789012";
        const THEIRS: &str = "210987654321";
        let kernel = Kernel::new(MINE.parse().unwrap());
        let root = Principal::Root(MINE.parse().unwrap());
        let stranger = Principal::Root(THEIRS.parse().unwrap());
        for (principal, owners, allowed) in [
            (&root, vec![MINE], true),
            (&root, vec![MINE, MINE], true),
            (&root, vec![MINE, THEIRS], false),
            (&root, vec![THEIRS, MINE], false),
            (&stranger, vec![MINE], false),
            (&Principal::Anonymous, vec![MINE], false),
        ] {
            let caller = Caller {
                principal: principal.clone(),
                access_key_id: None,
                auth: crate::AuthType::None,
                transport: Transport::internal(),
                request_id: RequestId(1),
                received: Timestamp(0),
                causes: Vec::new(),
            };
            let decision =
                futures_util::FutureExt::now_or_never(kernel.authorize(&caller, Touch(owners.clone()))).unwrap();
            assert_eq!(decision.is_ok(), allowed, "{principal:?} {owners:?}");
        }
    }
}
