//! Processes that may do little: what is not theirs they do not see, and what they use is bounded.
//!
//! A process runs in user, mount, pid, network, ipc and uts namespaces of its own, on a read-only tree of bind mounts, with a filter of system
//! calls (seccomp), Landlock where the kernel has it, no new privileges, resource limits, and a control group where one may be made. It is made
//! without privileges; when the server has them, they are given up first.
//!
//! Three processes are involved. The server starts the *helper*, which is its own binary with a hidden argument ([`ARGUMENT`]), and hands it a
//! [`Spec`] over a socket. The helper enters the namespaces, makes the listeners inside and hands them out, and forks *init*, process 1 of the new pid
//! namespace. Init builds the tree, gives up everything, starts the program and waits. When the socket's other end closes, init ends, and with it
//! everything in its namespace: nothing outlives the server, whatever it died of.
//!
//! This keeps mistakes apart. It is **no boundary against hostile tenants**: they share a kernel.

mod control;
mod group;
mod helper;
mod limits;
mod namespaces;
mod process;
mod restrict;
mod root;
mod spec;
mod tree;

pub use control::Exit;
pub use group::Groups;
pub use helper::{ARGUMENT, main};
pub use process::{Process, SpawnError, Spawner, Waiter};
pub use spec::{Bind, Limits, Spec};
pub use tree::{Memory, Tree};
