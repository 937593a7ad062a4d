//! Everything in memory: topics and subscriptions, kept true by every commit that changes one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use millpond_types::AccountId;

use crate::model::{Protocol, Subscription, Topic};

/// What a commit changes.
pub(crate) enum Change {
    Topic(Arc<Topic>),
    /// A topic with its subscriptions.
    NoTopic(AccountId, String),
    Subscription(Arc<Subscription>),
    NoSubscription(u128, u128),
}

/// The subscriptions of a topic.
#[derive(Default)]
pub(crate) struct Subscribers {
    /// By turn, which is how messages are delivered.
    by_turn: BTreeMap<u32, Arc<Subscription>>,
    by_id: BTreeMap<u128, u32>,
    by_endpoint: HashMap<(Protocol, String), u32>,
    pending: usize,
    filters: usize,
}

impl Subscribers {
    fn put(&mut self, subscription: Arc<Subscription>) {
        self.remove(subscription.id);
        let turn = subscription.facts.turn;
        self.pending += usize::from(subscription.is_pending());
        self.filters += usize::from(subscription.filter.is_some());
        self.by_id.insert(subscription.id, turn);
        self.by_endpoint.insert((subscription.protocol, subscription.facts.endpoint.clone()), turn);
        self.by_turn.insert(turn, subscription);
    }

    fn remove(&mut self, id: u128) -> Option<Arc<Subscription>> {
        let turn = self.by_id.remove(&id)?;
        let subscription = self.by_turn.remove(&turn)?;
        self.pending -= usize::from(subscription.is_pending());
        self.filters -= usize::from(subscription.filter.is_some());
        self.by_endpoint.remove(&(subscription.protocol, subscription.facts.endpoint.clone()));
        Some(subscription)
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn pending(&self) -> usize {
        self.pending
    }

    /// How many have a filter policy.
    pub fn filters(&self) -> usize {
        self.filters
    }

    pub fn get(&self, id: u128) -> Option<&Arc<Subscription>> {
        self.by_turn.get(self.by_id.get(&id)?)
    }

    pub fn to(&self, protocol: Protocol, endpoint: &str) -> Option<&Arc<Subscription>> {
        self.by_turn.get(self.by_endpoint.get(&(protocol, endpoint.to_owned()))?)
    }

    /// The turn of the next one; `None` when there were too many.
    pub fn next_turn(&self) -> Option<u32> {
        self.by_turn.keys().next_back().map_or(Some(0), |last| last.checked_add(1).filter(|next| *next < u32::MAX))
    }

    /// Those that get messages, from a turn on, at most `limit`.
    pub fn from(&self, turn: u32, limit: usize) -> Vec<Arc<Subscription>> {
        let active = self.by_turn.range(turn..).map(|(_, subscription)| subscription);
        active.filter(|subscription| !subscription.is_pending()).take(limit).cloned().collect()
    }

    /// By id, after one.
    pub fn after(&self, id: Option<u128>) -> impl Iterator<Item = &Arc<Subscription>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = id.map_or(Unbounded, Excluded);
        self.by_id.range((from, Unbounded)).filter_map(|(_, turn)| self.by_turn.get(turn))
    }
}

/// Everything.
#[derive(Default)]
pub(crate) struct Maps {
    topics: BTreeMap<(AccountId, String), Arc<Topic>>,
    by_id: HashMap<u128, Arc<Topic>>,
    subscribers: HashMap<u128, Subscribers>,
    /// (owner, topic, subscription).
    owned: BTreeSet<(AccountId, u128, u128)>,
}

impl Maps {
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Topic(topic) => {
                self.subscribers.entry(topic.id).or_default();
                self.by_id.insert(topic.id, Arc::clone(&topic));
                self.topics.insert((topic.account, topic.name.clone()), topic);
            }
            Change::NoTopic(account, name) => {
                let Some(topic) = self.topics.remove(&(account, name)) else { return };
                self.by_id.remove(&topic.id);
                for subscription in self.subscribers.remove(&topic.id).into_iter().flat_map(|s| s.by_turn.into_values())
                {
                    self.owned.remove(&(subscription.owner, topic.id, subscription.id));
                }
            }
            Change::Subscription(subscription) => {
                self.owned.insert((subscription.owner, subscription.topic, subscription.id));
                self.subscribers.entry(subscription.topic).or_default().put(subscription);
            }
            Change::NoSubscription(topic, id) => {
                let removed = self.subscribers.get_mut(&topic).and_then(|subscribers| subscribers.remove(id));
                if let Some(subscription) = removed {
                    self.owned.remove(&(subscription.owner, topic, id));
                }
            }
        }
    }

    pub fn topic(&self, account: AccountId, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(&(account, name.to_owned()))
    }

    pub fn by_id(&self, id: u128) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    pub fn all_topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    pub fn subscribers(&self, topic: u128) -> Option<&Subscribers> {
        self.subscribers.get(&topic)
    }

    pub fn subscription(&self, topic: u128, id: u128) -> Option<&Arc<Subscription>> {
        self.subscribers.get(&topic)?.get(id)
    }

    /// An account's topics by name, after one.
    pub fn topics_of(&self, account: AccountId, after: Option<&str>) -> impl Iterator<Item = &Arc<Topic>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = match after {
            Some(name) => Excluded((account, name.to_owned())),
            None => Included((account, String::new())),
        };
        let all = self.topics.range((from, Unbounded));
        all.take_while(move |((owner, _), _)| *owner == account).map(|(_, topic)| topic)
    }

    /// An account's subscriptions to anybody's topics, after one.
    pub fn owned_by(
        &self,
        account: AccountId,
        after: Option<(u128, u128)>,
    ) -> impl Iterator<Item = &Arc<Subscription>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = match after {
            Some((topic, id)) => Excluded((account, topic, id)),
            None => Included((account, 0, 0)),
        };
        let all = self.owned.range((from, Unbounded)).take_while(move |(owner, _, _)| *owner == account);
        all.filter_map(|(_, topic, id)| self.subscription(*topic, *id))
    }
}
