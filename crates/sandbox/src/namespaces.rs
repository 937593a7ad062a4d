//! Entering namespaces, and the loopback interface inside.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, getegid, geteuid, setgroups, setresgid, setresuid};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};

use crate::spec::Spec;

/// Who the process is inside, as on AWS.
const INSIDE: (u32, u32) = (993, 990);

/// Who the process is outside when the server is the superuser: an id that systemd's table of ids leaves to nobody ("Users, Groups, UIDs and
/// GIDs on systemd Systems").
pub(crate) const OUTSIDE: u32 = 60_993;

/// Enters everything but the pid namespace's first process: that is the next child. Users make a user namespace first, which lets them make the
/// others; the superuser makes those as it is, and [`give_up`]s itself when all is built.
pub(crate) fn enter(spec: &Spec) -> Result<(), String> {
    let mut flags =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if !spec.open_network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    let ids = (geteuid(), getegid());
    if !superuser() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(flags).map_err(|e| format!("namespaces cannot be made (unshare: {e}){}", hint()))?;
    if !superuser() {
        map(ids)?;
    }
    nix::unistd::sethostname("sandbox").map_err(|e| format!("the host name cannot be set: {e}"))
}

/// Whether this is the superuser of the machine, or of the container that the server is in.
pub(crate) fn superuser() -> bool {
    geteuid().is_root()
}

/// Becomes nobody in particular, in a user namespace of its own.
pub(crate) fn give_up() -> Result<(), String> {
    let (uid, gid) = (Uid::from_raw(OUTSIDE), Gid::from_raw(OUTSIDE));
    let become_other = || {
        setgroups(&[])?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        // A change of user makes /proc/self the superuser's, and the maps could not be written.
        nix::sys::prctl::set_dumpable(true)?;
        unshare(CloneFlags::CLONE_NEWUSER)
    };
    become_other().map_err(|e: nix::Error| format!("the superuser's rights cannot be given up: {e}{}", hint()))?;
    map((uid, gid))
}

/// Says who is who in a new user namespace.
fn map((uid, gid): (Uid, Gid)) -> Result<(), String> {
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{} {uid} 1", INSIDE.0))?;
    write("/proc/self/gid_map", &format!("{} {gid} 1", INSIDE.1))
}

/// Why it is most often so.
fn hint() -> &'static str {
    let is = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        "; user namespaces are switched off: sysctl user.max_user_namespaces is 0"
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "; user namespaces are switched off for users: sysctl kernel.unprivileged_userns_clone is 0"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "; AppArmor keeps user namespaces from users: sysctl kernel.apparmor_restrict_unprivileged_userns is 1"
    } else {
        ""
    }
}

#[expect(clippy::disallowed_methods, reason = "these are no files of the disk that tests bend")]
pub(crate) fn write(path: impl AsRef<Path>, text: &str) -> Result<(), String> {
    let path = path.as_ref();
    std::fs::write(path, text).map_err(|e| format!("{} cannot be written: {e}{}", path.display(), hint()))
}

/// Brings the loopback interface up and listens inside.
pub(crate) fn listeners(ports: &[u16]) -> Result<Vec<TcpListener>, String> {
    loopback_up().map_err(|e| format!("the loopback interface cannot be brought up: {e}"))?;
    let listen = |port: &u16| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).map_err(|e| format!("port {port} cannot be listened on: {e}"))
    };
    ports.iter().map(listen).collect()
}

/// The first interface of a network namespace is its loopback.
const LOOPBACK: u32 = 1;
/// rtnetlink(7): change a link.
const RTM_NEWLINK: u16 = 16;
/// netlink(7): a request, to be acknowledged.
const REQUEST_ACK: u16 = 1 | 4;
/// netdevice(7).
const IFF_UP: u32 = 1;
/// netlink(7): an error or, with the number 0, an acknowledgement.
const NLMSG_ERROR: u16 = 2;

/// `ip link set lo up`: one message of rtnetlink(7), a header and an `ifinfomsg` without attributes.
fn loopback_up() -> io::Result<()> {
    // Protocol 0 of the family is NETLINK_ROUTE.
    let netlink = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    let mut message = Vec::with_capacity(32);
    message.extend(32u32.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(REQUEST_ACK.to_ne_bytes());
    message.extend([0; 8]); // sequence number and port
    message.extend([0; 4]); // family, padding, type
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    send(&netlink, &message, SendFlags::empty())?;
    let mut answer = [0u8; 512];
    let (length, _) = recv(&netlink, &mut answer[..], RecvFlags::empty())?;
    let acknowledged = length >= 20 && answer[4..6] == NLMSG_ERROR.to_ne_bytes() && answer[16..20] == [0; 4];
    if acknowledged { Ok(()) } else { Err(io::Error::other("the kernel refused")) }
}
