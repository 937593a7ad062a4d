//! Time zones by their IANA names, and what clocks in them show.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use millpond_types::Timestamp;

/// A time zone of the IANA database that comes along.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this name, as the IANA database writes it (`Europe/Berlin`, `UTC`).
    pub fn named(name: &str) -> Option<Self> {
        if name == "UTC" {
            return Some(Self::utc());
        }
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        // The database would also find `europe/berlin`.
        (zone.iana_name() == Some(name)).then_some(Self(zone))
    }

    /// Coordinated Universal Time, which is also what a schedule without a zone is in.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// What clocks show at a time. `None` past the years that they know.
    pub(crate) fn local(&self, time: Timestamp) -> Option<DateTime> {
        let time = jiff::Timestamp::from_nanosecond(i128::from(time.0)).ok()?;
        Some(self.0.to_datetime(time))
    }

    /// When clocks show this first; `None` when they skip it.
    pub(crate) fn first(&self, local: DateTime) -> Option<Timestamp> {
        let ambiguous = self.0.to_ambiguous_timestamp(local);
        if matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
            return None;
        }
        timestamp(ambiguous.earlier().ok()?)
    }

    /// When clocks show this first; when they skip it, as much later as they skip. What is due once must not be skipped.
    pub(crate) fn moved(&self, local: DateTime) -> Option<Timestamp> {
        timestamp(self.0.to_ambiguous_timestamp(local).compatible().ok()?)
    }
}

fn timestamp(time: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}
