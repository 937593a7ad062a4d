//! AWS Identity and Access Management: the service.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_iam::{self as api, Operation};
use millpond_kernel::{
    Caller, Kernel, OperationRef, RequestHead, Response, Service, ServiceError, ServiceRequest, SessionKind,
};
use millpond_types::AccountId;
use millpond_wire::{ErrorFormat, ErrorKind, FormPairs, Location, ParseError, Protocol, ResponseParts, Route};

use crate::directory::Accounts;
use crate::errors::IamError;
use crate::operation::{At, Change, On, Output, Read};
use crate::state::{Draft, Identities, StateError};
use crate::{form, limits, simulate};

/// An operation that is not known: its request was refused before its body was read, or it is none of those served.
const UNKNOWN: OperationRef = OperationRef { name: "unknown", index: 0 };

/// The service.
pub struct Iam {
    core: Arc<Core>,
}

/// What every operation works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub identities: Identities,
    accounts: Arc<dyn Accounts>,
    root_key: String,
}

impl Iam {
    /// The service. `root_key` is the id of the access key that the server's root user has by configuration.
    pub fn new(kernel: Arc<Kernel>, identities: Identities, accounts: Arc<dyn Accounts>, root_key: &str) -> Self {
        Self { core: Arc::new(Core { kernel, identities, accounts, root_key: root_key.to_owned() }) }
    }
}

impl Service for Iam {
    fn name(&self) -> &'static str {
        "iam"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query
    }

    fn error_format(&self) -> ErrorFormat {
        api::ERROR_FORMAT
    }

    fn identify(&self, _: &RequestHead) -> Result<OperationRef, ServiceError> {
        // The action stands in the body, which is not read yet.
        Ok(UNKNOWN)
    }

    fn identify_body(&self, head: &RequestHead, body: &[u8]) -> Option<OperationRef> {
        let form = FormPairs::parse(form::form_of(head, body)).ok()?;
        match api::route(form.get("Action")?) {
            Route::Served(operation) => Some(OperationRef { name: operation.name(), index: 1 + operation as u16 }),
            Route::Unserved(_) | Route::Unknown => None,
        }
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        call(&self.core, request).boxed()
    }
}

async fn call(core: &Arc<Core>, mut request: ServiceRequest) -> Result<Response, ServiceError> {
    let body = form::body_of(&mut request).await?;
    let (form, action) = form::parse(&request.head, &body, api::VERSION)?;
    let operation = match api::route(&action) {
        Route::Served(operation) => operation,
        Route::Unserved(name) => return Err(ServiceError::not_implemented(name)),
        Route::Unknown => return Err(form::unknown_action(&action, api::VERSION)),
    };
    let nobody = || IamError::AccessDenied("Services have no identities to manage.".to_owned());
    let account = request.caller.account().ok_or_else(nobody)?;
    // Nobody has an MFA device, without which such sessions are for nothing here (STS API reference, GetSessionToken and GetFederationToken).
    let by = request.caller.session().map(|session| session.by);
    if matches!(by, Some(SessionKind::GetSessionToken | SessionKind::GetFederationToken)) {
        return Err(IamError::Gone.into());
    }
    names_are_ascii(&form).map_err(|error| form::validation(&error, Some(&form)))?;
    form::response(dispatch(core, &request.caller, account, &form, operation).await?)
}

/// Names of users, groups, roles and policies are ASCII; `\w` of a model's pattern is more than that here.
fn names_are_ascii(form: &FormPairs<'_>) -> Result<(), ParseError> {
    const NAMES: [&str; 6] = ["UserName", "NewUserName", "GroupName", "NewGroupName", "RoleName", "PolicyName"];
    for (name, value) in form.iter() {
        if let Some(member) = NAMES.iter().find(|known| **known == name).filter(|_| !value.is_ascii()) {
            let kind = ErrorKind::Pattern { value: value.to_owned(), pattern: "[\\w+=,.@-]+" };
            return Err(ParseError::new(*member, Location::Body, kind));
        }
    }
    Ok(())
}

/// The operations: which read, which change, and which are served elsewhere in this crate.
macro_rules! operations {
    (
        read { $($read:ident: $reads:ident,)* }
        change { $($change:ident: $changes:ident,)* }
        simulation { $($simulated:ident,)* }
    ) => {
        async fn dispatch(
            core: &Arc<Core>,
            caller: &Arc<Caller>,
            account: AccountId,
            form: &FormPairs<'_>,
            operation: Operation,
        ) -> Result<ResponseParts, ServiceError> {
            match operation {
                $(Operation::$read => read::<api::$reads>(core, caller, account, form).await,)*
                $(Operation::$change => change::<api::$changes>(core, caller, account, form).await,)*
                $(Operation::$simulated)|* => {
                    simulate::call(&core.kernel, &core.identities, caller, form, operation).await
                }
            }
        }
    };
}

operations! {
    read {
        GetAccessKeyLastUsed: GetAccessKeyLastUsedInput,
        GetAccountAuthorizationDetails: GetAccountAuthorizationDetailsInput,
        GetAccountPasswordPolicy: GetAccountPasswordPolicyInput,
        GetAccountSummary: GetAccountSummaryInput,
        GetGroup: GetGroupInput,
        GetGroupPolicy: GetGroupPolicyInput,
        GetLoginProfile: GetLoginProfileInput,
        GetPolicy: GetPolicyInput,
        GetPolicyVersion: GetPolicyVersionInput,
        GetRole: GetRoleInput,
        GetRolePolicy: GetRolePolicyInput,
        GetUser: GetUserInput,
        GetUserPolicy: GetUserPolicyInput,
        ListAccessKeys: ListAccessKeysInput,
        ListAccountAliases: ListAccountAliasesInput,
        ListAttachedGroupPolicies: ListAttachedGroupPoliciesInput,
        ListAttachedRolePolicies: ListAttachedRolePoliciesInput,
        ListAttachedUserPolicies: ListAttachedUserPoliciesInput,
        ListEntitiesForPolicy: ListEntitiesForPolicyInput,
        ListGroupPolicies: ListGroupPoliciesInput,
        ListGroups: ListGroupsInput,
        ListGroupsForUser: ListGroupsForUserInput,
        ListInstanceProfiles: ListInstanceProfilesInput,
        ListInstanceProfilesForRole: ListInstanceProfilesForRoleInput,
        ListMFADevices: ListMFADevicesInput,
        ListOpenIDConnectProviders: ListOpenIDConnectProvidersInput,
        ListPolicies: ListPoliciesInput,
        ListPolicyTags: ListPolicyTagsInput,
        ListPolicyVersions: ListPolicyVersionsInput,
        ListRolePolicies: ListRolePoliciesInput,
        ListRoleTags: ListRoleTagsInput,
        ListRoles: ListRolesInput,
        ListSAMLProviders: ListSAMLProvidersInput,
        ListSSHPublicKeys: ListSSHPublicKeysInput,
        ListServerCertificates: ListServerCertificatesInput,
        ListServiceSpecificCredentials: ListServiceSpecificCredentialsInput,
        ListSigningCertificates: ListSigningCertificatesInput,
        ListUserPolicies: ListUserPoliciesInput,
        ListUserTags: ListUserTagsInput,
        ListUsers: ListUsersInput,
        ListVirtualMFADevices: ListVirtualMFADevicesInput,
    }
    change {
        AddUserToGroup: AddUserToGroupInput,
        AttachGroupPolicy: AttachGroupPolicyInput,
        AttachRolePolicy: AttachRolePolicyInput,
        AttachUserPolicy: AttachUserPolicyInput,
        CreateAccessKey: CreateAccessKeyInput,
        CreateGroup: CreateGroupInput,
        CreatePolicy: CreatePolicyInput,
        CreatePolicyVersion: CreatePolicyVersionInput,
        CreateRole: CreateRoleInput,
        CreateUser: CreateUserInput,
        DeleteAccessKey: DeleteAccessKeyInput,
        DeleteGroup: DeleteGroupInput,
        DeleteGroupPolicy: DeleteGroupPolicyInput,
        DeletePolicy: DeletePolicyInput,
        DeletePolicyVersion: DeletePolicyVersionInput,
        DeleteRole: DeleteRoleInput,
        DeleteRolePermissionsBoundary: DeleteRolePermissionsBoundaryInput,
        DeleteRolePolicy: DeleteRolePolicyInput,
        DeleteUser: DeleteUserInput,
        DeleteUserPermissionsBoundary: DeleteUserPermissionsBoundaryInput,
        DeleteUserPolicy: DeleteUserPolicyInput,
        DetachGroupPolicy: DetachGroupPolicyInput,
        DetachRolePolicy: DetachRolePolicyInput,
        DetachUserPolicy: DetachUserPolicyInput,
        PutGroupPolicy: PutGroupPolicyInput,
        PutRolePermissionsBoundary: PutRolePermissionsBoundaryInput,
        PutRolePolicy: PutRolePolicyInput,
        PutUserPermissionsBoundary: PutUserPermissionsBoundaryInput,
        PutUserPolicy: PutUserPolicyInput,
        RemoveUserFromGroup: RemoveUserFromGroupInput,
        SetDefaultPolicyVersion: SetDefaultPolicyVersionInput,
        TagPolicy: TagPolicyInput,
        TagRole: TagRoleInput,
        TagUser: TagUserInput,
        UntagPolicy: UntagPolicyInput,
        UntagRole: UntagRoleInput,
        UntagUser: UntagUserInput,
        UpdateAccessKey: UpdateAccessKeyInput,
        UpdateAssumeRolePolicy: UpdateAssumeRolePolicyInput,
        UpdateGroup: UpdateGroupInput,
        UpdateRole: UpdateRoleInput,
        UpdateRoleDescription: UpdateRoleDescriptionInput,
        UpdateUser: UpdateUserInput,
    }
    simulation {
        GetContextKeysForCustomPolicy,
        GetContextKeysForPrincipalPolicy,
        SimulateCustomPolicy,
        SimulatePrincipalPolicy,
    }
}

impl Core {
    fn at<'a>(&'a self, caller: &'a Caller, account: AccountId) -> At<'a> {
        let account = self.identities.account(account);
        At {
            kernel: &self.kernel,
            identities: &self.identities,
            accounts: &*self.accounts,
            caller,
            root_key: &self.root_key,
            account,
        }
    }
}

async fn read<I: Read>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    form: &FormPairs<'_>,
) -> Result<ResponseParts, ServiceError> {
    let input = I::parse(form).map_err(|error| form::validation(&error, Some(form)))?;
    let at = core.at(caller, account);
    let operation = On::resolve(input, &at)?;
    let authorized = core.kernel.authorize(caller, operation).await.map_err(IamError::from)?;
    Ok(I::run(authorized, &at)?.write(&caller.request_id().to_string()))
}

async fn change<I: Change>(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    form: &FormPairs<'_>,
) -> Result<ResponseParts, ServiceError> {
    let input = I::parse(form).map_err(|error| form::validation(&error, Some(form)))?;
    let (core, caller) = (core.clone(), caller.clone());
    // A request that is dropped midway would leave memory behind the store.
    let task = tokio::spawn(async move {
        let output = changed::<I>(&core, &caller, account, input).await?;
        Ok(output.write(&caller.request_id().to_string()))
    });
    task.await.map_err(|error| {
        tracing::error!(%error, operation = I::NAME, "a change of identities failed");
        ServiceError::internal()
    })?
}

/// Resolves, decides and carries out a change, anew when policies change under it.
async fn changed<I: Change>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    input: I,
) -> Result<I::Output, ServiceError> {
    let changing = core.identities.changing().await;
    for _ in 0..limits::ATTEMPTS {
        let at = core.at(caller, account);
        let operation = On::resolve(input.clone(), &at)?;
        let authorized = core.kernel.authorize(caller, operation).await.map_err(IamError::from)?;
        let (pin, mut draft) = (authorized.pin(), Draft::of(&at.account));
        let output = I::run(authorized, &at, &mut draft)?;
        match core.identities.commit(&changing, draft, pin).await {
            Ok(()) => return Ok(output),
            Err(StateError::Outdated) => {}
            Err(error) => return Err(IamError::from(error).into()),
        }
    }
    Err(IamError::State(StateError::Outdated).into())
}
