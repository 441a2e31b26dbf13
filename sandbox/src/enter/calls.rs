//! The system calls that ordinary programs make. What is not in the list does not exist: `ptrace`, `mount`, `bpf`, keys, modules, namespaces,
//! `io_uring`, and memory that no limit counts (`memfd_create`, System V shared memory). New calls of new kernels are not in it either.

use libc::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// The same on every machine.
#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    // Files.
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2,
    SYS_openat, SYS_openat2, SYS_close, SYS_close_range, SYS_lseek, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs,
    SYS_getdents64, SYS_getcwd, SYS_chdir, SYS_fchdir, SYS_readlinkat, SYS_faccessat, SYS_faccessat2, SYS_mkdirat, SYS_unlinkat,
    SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_fchmod, SYS_fchmodat, SYS_fchmodat2, SYS_fchown, SYS_fchownat, SYS_utimensat,
    SYS_truncate, SYS_ftruncate, SYS_fallocate, SYS_fadvise64, SYS_readahead, SYS_sync, SYS_fsync, SYS_fdatasync, SYS_syncfs,
    SYS_sync_file_range, SYS_copy_file_range, SYS_sendfile, SYS_splice, SYS_tee, SYS_flock, SYS_umask, SYS_mknodat, SYS_dup, SYS_dup3,
    SYS_fcntl, SYS_pipe2, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr, SYS_llistxattr, SYS_flistxattr,
    SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch,
    // Waiting.
    SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_eventfd2, SYS_signalfd4,
    SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_nanosleep, SYS_clock_nanosleep, SYS_futex, SYS_futex_waitv,
    SYS_get_robust_list, SYS_set_robust_list, SYS_restart_syscall, SYS_rseq, SYS_membarrier,
    // Memory.
    SYS_brk, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_msync, SYS_mincore, SYS_mlock, SYS_mlock2, SYS_munlock,
    // Processes and threads of its own.
    SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid, SYS_set_tid_address, SYS_gettid, SYS_getpid, SYS_getppid,
    SYS_getpgid, SYS_setpgid, SYS_getsid, SYS_setsid, SYS_kill, SYS_tkill, SYS_tgkill, SYS_pidfd_open, SYS_pidfd_send_signal,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending, SYS_rt_sigsuspend, SYS_rt_sigtimedwait,
    SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_sigaltstack, SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_setaffinity,
    SYS_sched_getparam, SYS_sched_getscheduler, SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_getpriority,
    SYS_setpriority, SYS_getrusage, SYS_prlimit64, SYS_getrlimit, SYS_setrlimit, SYS_prctl, SYS_capget, SYS_getcpu,
    // Who and when.
    SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid, SYS_getresgid, SYS_getgroups, SYS_setuid, SYS_setgid,
    SYS_setresuid, SYS_setresgid, SYS_setreuid, SYS_setregid, SYS_setfsuid, SYS_setfsgid, SYS_gettimeofday, SYS_clock_gettime,
    SYS_clock_getres, SYS_times, SYS_getitimer, SYS_setitimer, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime,
    SYS_timer_getoverrun, SYS_timer_delete, SYS_uname, SYS_sysinfo, SYS_getrandom,
    // Talk between its own processes; `socket` itself is below.
    SYS_socketpair, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_connect, SYS_shutdown, SYS_sendto, SYS_recvfrom, SYS_sendmsg,
    SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_setsockopt,
];

/// The older forms, which newer machines do not have.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLDER: &[c_long] = &[
    SYS_open, SYS_creat, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_getdents, SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_rename,
    SYS_renameat, SYS_link, SYS_symlink, SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat, SYS_mknod, SYS_dup2,
    SYS_pipe, SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_signalfd, SYS_inotify_init, SYS_alarm,
    SYS_pause, SYS_time, SYS_fork, SYS_vfork, SYS_getpgrp, SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[SYS_renameat];

/// Shuts the door: from here on this process and its children make no other calls.
pub fn restrict(program: &Result<BpfProgram, seccompiler::BackendError>) -> Result<(), String> {
    let program = program.as_ref().map_err(|error| format!("compile the filter: {error}"))?;
    seccompiler::apply_filter(program).map_err(|error| error.to_string())
}

/// The filter. It takes a millisecond, so it is made before there is an order.
pub fn compile() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();
    let when = |argument, operator, value: u64| SeccompCondition::new(argument, Dword, operator, value);
    // Threads and processes, but no namespaces. Its newer form hides its flags in memory, where a filter cannot look: it does not exist.
    let spaces = CLONE_NEWUSER
        | CLONE_NEWNS
        | CLONE_NEWPID
        | CLONE_NEWNET
        | CLONE_NEWIPC
        | CLONE_NEWUTS
        | CLONE_NEWCGROUP;
    rules
        .insert(SYS_clone, vec![SeccompRule::new(vec![when(0, SeccompCmpOp::MaskedEq(spaces as u64), 0)?])?]);
    // Sockets of files only: no network of any family, no kernel interfaces.
    rules.insert(SYS_socket, vec![SeccompRule::new(vec![when(0, SeccompCmpOp::Eq, AF_UNIX as u64)?])?]);
    // Everything a terminal can do but type into somebody's shell.
    let typing = [when(1, SeccompCmpOp::Ne, TIOCSTI)?, when(1, SeccompCmpOp::Ne, TIOCLINUX)?];
    rules.insert(SYS_ioctl, vec![SeccompRule::new(typing.into())?]);
    // "No such call" and not "forbidden": then libraries fall back to the older forms.
    let absent = SeccompAction::Errno(ENOSYS as u32);
    SeccompFilter::new(rules, absent, SeccompAction::Allow, arch()?)?.try_into()
}

fn arch() -> Result<TargetArch, seccompiler::BackendError> {
    std::env::consts::ARCH.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_and_lists_no_call_twice() {
        compile().expect("a program");
        let mut calls: Vec<_> =
            ALLOWED.iter().chain(OLDER).chain(&[SYS_clone, SYS_socket, SYS_ioctl]).collect();
        calls.sort_unstable();
        assert!(calls.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
