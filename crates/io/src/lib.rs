//! Our door to files, clock and randomness: a real one, and a simulated one that can tear, drop and fail.
//!
//! Everything that Millpond itself does to a disk goes through [`Disk`] and [`File`], so that a test can take the power
//! away at any moment ([`sim`]). All calls block; callers keep them off the threads that serve sockets, save for short reads.

mod clock;
mod disk;
#[cfg(feature = "testing")]
pub mod faulty;
mod files;
mod folders;
mod random;
mod real;
#[cfg(feature = "testing")]
pub mod sim;

pub use clock::{Clock, ManualClock, MovableClock, SystemClock};
pub use disk::{Disk, File, IoError, OpenMode, SyncPoint};
pub use files::raise_open_files;
pub use folders::{NewFolder, fresh_folder, is_folder, names_in, remove_folder};
pub use random::{Random, SeededRandom, SystemRandom};
pub use real::{LockedFile, RealDisk};
