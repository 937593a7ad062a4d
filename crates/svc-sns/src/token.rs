//! Tokens of links: sealed, so that nothing is kept of them and nobody can make one.

use millpond_io::Random;
use millpond_seal::{Purpose, Vault};
use millpond_types::Timestamp;
use prost::Message;

use crate::errors::SnsError;
use crate::rows::{self, SubscriptionRow, TokenRow};

/// What a token is good for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Token {
    /// Confirms a subscription, until then.
    Confirm { topic: u128, subscription: u128, until: Timestamp },
    /// Ends a subscription.
    End { topic: u128, subscription: u128 },
    /// Subscribes anew what was unsubscribed, until then.
    Renew { topic: u128, was: Box<SubscriptionRow>, until: Timestamp },
}

const AAD: &[u8] = b"sns";

impl Token {
    fn row(&self) -> TokenRow {
        let row = |kind, topic: u128, subscription: u128, until: Timestamp| TokenRow {
            kind,
            topic: rows::id_bytes(topic),
            subscription: rows::id_bytes(subscription),
            until: until.0,
            was: None,
        };
        match self {
            Self::Confirm { topic, subscription, until } => row(1, *topic, *subscription, *until),
            Self::End { topic, subscription } => row(2, *topic, *subscription, Timestamp(0)),
            Self::Renew { topic, was, until } => TokenRow { was: Some((**was).clone()), ..row(3, *topic, 0, *until) },
        }
    }

    /// Hexadecimal, as AWS's.
    pub fn seal(&self, vault: &Vault, random: &dyn Random) -> Result<String, SnsError> {
        let sealed = vault.seal(random, Purpose::SubscriptionToken, AAD, &self.row().encode_to_vec());
        sealed.map(hex::encode).map_err(|error| SnsError::Internal(error.to_string()))
    }

    /// The token of a text, if it is one and still good.
    pub fn open(vault: &Vault, text: &str, now: Timestamp) -> Option<Self> {
        let sealed = hex::decode(text).ok()?;
        let opened = vault.open(Purpose::SubscriptionToken, AAD, &sealed).ok()?;
        let row = TokenRow::decode(opened.as_slice()).ok()?;
        let (topic, subscription) = (rows::id_of(&row.topic)?, rows::id_of(&row.subscription)?);
        let until = Timestamp(row.until);
        match row.kind {
            1 if now < until => Some(Self::Confirm { topic, subscription, until }),
            2 => Some(Self::End { topic, subscription }),
            3 if now < until => Some(Self::Renew { topic, was: Box::new(row.was?), until }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;

    use super::*;

    #[test]
    fn tokens_come_back_until_their_time_and_no_others_are_taken() {
        let vault = Vault::for_tests();
        let until = Timestamp::from_seconds(10);
        let was = Box::new(SubscriptionRow { endpoint: "http://e".to_owned(), ..SubscriptionRow::default() });
        for (token, late) in [
            (Token::Confirm { topic: 1, subscription: 2, until }, false),
            (Token::End { topic: 1, subscription: 2 }, true),
            (Token::Renew { topic: 1, was, until }, false),
        ] {
            let text = token.seal(&vault, &SystemRandom).unwrap();
            assert_eq!(Token::open(&vault, &text, Timestamp::from_seconds(9)), Some(token));
            assert_eq!(Token::open(&vault, &text, Timestamp::from_seconds(10)).is_some(), late);
            let mut other = text.clone().into_bytes();
            other[60] ^= 1;
            assert_eq!(Token::open(&vault, std::str::from_utf8(&other).unwrap(), Timestamp(0)), None);
        }
        for text in ["", "zz", "00"] {
            assert_eq!(Token::open(&vault, text, Timestamp(0)), None);
        }
    }
}
