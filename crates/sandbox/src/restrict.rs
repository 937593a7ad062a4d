//! What a process gives up for good: capabilities, new privileges, system calls, and files by Landlock.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope, path_beneath_rules,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// System calls that no function needs, and through which kernels were broken: mounts and namespaces (what is inside must stay inside), tracing,
/// keys, modules, performance counters, rings, and whatever sets the machine.
const REFUSED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
];

/// Kinds of namespaces that clone(2) makes.
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// Families of sockets that there are; others reach past the network namespace (AF_VSOCK) or are seldom looked at.
const FAMILIES: &[libc::c_int] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Set in the numbers of the x32 ABI, which kernels may serve beside those of x86-64 (syscall(2)).
const X32: u32 = 0x4000_0000;

/// Gives everything up. Not to be undone, and inherited.
pub(crate) fn all() -> Result<(), String> {
    nix::sys::prctl::set_no_new_privs().map_err(|e| format!("new privileges cannot be given up: {e}"))?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .map_err(|e| format!("capabilities cannot be given up: {e}"))?;
    // Nobody inside looks into init.
    nix::sys::prctl::set_dumpable(false).map_err(|e| format!("init cannot be closed: {e}"))?;
    landlock().map_err(|e| format!("Landlock refused: {e}"))?;
    if cfg!(target_arch = "x86_64") {
        let set = seccompiler::apply_filter(&no_x32());
        set.map_err(|e| format!("the filter of system calls cannot be set: {e}"))?;
    }
    for filter in filters().map_err(|e| format!("the filter of system calls: {e}"))? {
        seccompiler::apply_filter(&filter).map_err(|e| format!("the filter of system calls cannot be set: {e}"))?;
    }
    Ok(())
}

/// Writing only below /tmp and to devices, and no signals or abstract sockets to the outside; as far as the kernel knows it.
fn landlock() -> Result<(), landlock::RulesetError> {
    let known = ABI::V6;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(known))?
        .scope(Scope::from_all(known))?
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(known)))?
        .add_rules(path_beneath_rules(["/tmp", "/dev", "/proc"], AccessFs::from_all(known)))?
        .restrict_self()?;
    Ok(())
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn filters() -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let mut refused: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let mut clone = Vec::new();
    for kind in NAMESPACES {
        let bits = u64::from(kind.cast_unsigned());
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bits), bits)?;
        clone.push(SeccompRule::new(vec![condition])?);
    }
    refused.insert(libc::SYS_clone, clone);
    let other = FAMILIES
        .iter()
        .map(|family| {
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(family.cast_unsigned()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    refused.insert(libc::SYS_socket, vec![SeccompRule::new(other)?]);
    // Its flags lie in memory, where no filter can look; libraries take clone(2) when it is not there.
    let missing: Rules = [(libc::SYS_clone3, Vec::new())].into();
    Ok(vec![program(refused, libc::EPERM)?, program(missing, libc::ENOSYS)?])
}

/// Refuses all of the x32 ABI: some of its calls have numbers of their own, and nothing that functions are written in needs any. In the words of
/// seccomp(2), since rules name single calls.
fn no_x32() -> BpfProgram {
    let step = |code: u32, jf: u8, k: u32| seccompiler::sock_filter { code: code as u16, jt: 0, jf, k };
    vec![
        // The number is the first field of `seccomp_data`.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, X32),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn program(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let answer = SeccompAction::Errno(errno.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, answer, arch)?.try_into()
}
