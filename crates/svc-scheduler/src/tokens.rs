//! Client tokens: a request that comes again with its token is answered as the first time, and does nothing.

use millpond_kernel::timers::Timers;
use millpond_meta::{Cond, Op};
use millpond_types::AccountId;
use sha2::{Digest, Sha256};

use crate::errors::{Failure, SchedulerError};
use crate::inputs::Input;
use crate::limits::TOKEN_AGE;
use crate::state::{Core, decode};
use crate::tables::{self, TokenRow};

/// What a token means for a request.
pub(crate) enum Token {
    /// It came before: the ARN that was answered.
    Known(String),
    /// It did not: to be kept with what is done. Without a token there is nothing to keep.
    New(Option<(millpond_meta::Key, Vec<u8>)>),
}

impl Core {
    /// Looks a request's token up.
    pub async fn token<I: Input + std::fmt::Debug>(
        &self,
        account: AccountId,
        input: &I,
        token: Option<&str>,
    ) -> Result<Token, Failure> {
        let Some(token) = token else { return Ok(Token::New(None)) };
        let key = tables::token(account, I::NAME, token);
        // The input as it was read, in whatever order it was sent.
        let request = Sha256::digest(format!("{input:?}").as_bytes()).to_vec();
        let Some(raw) = self.kv.get(&key).await? else { return Ok(Token::New(Some((key, request)))) };
        let known: TokenRow = decode(&raw)?;
        if known.request != request {
            let text = "The ClientToken was used before with other parameters.";
            return Err(SchedulerError::Conflict(text.to_owned()).into());
        }
        Ok(Token::Known(known.arn))
    }

    /// Keeps a token with what was made, for some hours.
    pub fn keep_token(
        &self,
        token: Option<(millpond_meta::Key, Vec<u8>)>,
        arn: &str,
        conds: &mut Vec<Cond>,
        ops: &mut Vec<Op>,
    ) {
        let Some((key, request)) = token else { return };
        let due = self.timers.due(self.clock.now().plus(TOKEN_AGE));
        ops.push(Timers::set(due, tables::OWNER, &tables::timer(tables::TOKEN, &key), bytes::Bytes::new()));
        ops.push(Op::Put(key.clone(), tables::encode(&TokenRow { request, arn: arn.to_owned() })));
        conds.push(Cond::Absent(key));
    }
}
