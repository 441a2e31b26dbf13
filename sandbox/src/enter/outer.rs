//! The outer half: becomes an unprivileged user, enters the namespaces, starts the inner half as process 1 of them, waits for its order, and watches. It ends
//! everything when the deadline is over or when the other end of its line is closed, which happens also when the caller is killed.

use super::INNER;
use crate::{
    layer::Layer,
    outcome::Ended,
    wire::{self, Order, Standings, Word},
};
use nix::sched::{CloneFlags, unshare};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        DumpableBehavior, Pid, Signal, getegid, geteuid, kill_process_group, set_dumpable_behavior, setsid,
    },
    thread::{
        CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities,
        set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::CommandExt},
    process::{Child, Command},
    time::{Duration, Instant},
};

/// A user and group that own nothing on any usual machine. Not `nobody` (65534): other services run as that, our own Postgres among
/// them, and the kernel shows it as the owner of whatever it has no number for.
const NO_ONE: u32 = 65533;

pub fn run() -> io::Result<()> {
    close_inherited()?;
    // No terminal, and no Ctrl-C of ours: the caller says when it is over.
    let _ = setsid();
    let caller = wire::socket_on_stdin()?;
    let left_out = std::env::args().nth(2).unwrap_or_default();
    let left_out: BTreeSet<Layer> = serde_json::from_str(&left_out)?;
    let standings = enter(&left_out);
    let mut inner = Inner::start()?;
    // All this may have been done ahead; the time of the script begins with its order.
    let order: Order = match wire::receive(&caller) {
        Ok(order) => order,
        Err(error) => {
            end(&mut inner.child)?;
            return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) };
        }
    };
    let deadline = Instant::now() + order.limits.deadline;
    let words = watch(&caller, inner, &order, standings, deadline)?;
    // Nobody of the script is left. Our own end takes a while, for which nobody has to wait.
    for output in [1, 2] {
        let _ = nix::unistd::close(output);
    }
    for word in words {
        wire::send(&caller, &word)?;
    }
    caller.shutdown(Shutdown::Write)
}

/// Whatever our caller inherited and did not mark is no business of the script.
fn close_inherited() -> io::Result<()> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // The folder itself was among them and is closed by now.
        let _ = nix::unistd::close(fd);
    }
    Ok(())
}

/// Becomes an unprivileged user and enters the namespaces.
fn enter(left_out: &BTreeSet<Layer>) -> Standings {
    let mut standings = Standings::default();
    let said = |what: &'static str| move |error: Errno| format!("{what}: {error}");
    // When memory runs out, the kernel should take the script, not us. Only an offer: no wall.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    standings.put_up(left_out, Layer::UnprivilegedUser, || {
        become_no_one().map_err(said("become an unprivileged user"))
    });
    standings.put_up(left_out, Layer::UserNamespace, user_namespace);
    let rest = [
        (Layer::MountNamespace, CloneFlags::CLONE_NEWNS),
        (Layer::PidNamespace, CloneFlags::CLONE_NEWPID),
        (Layer::NetworkNamespace, CloneFlags::CLONE_NEWNET),
        (Layer::IpcNamespace, CloneFlags::CLONE_NEWIPC),
        (Layer::UtsNamespace, CloneFlags::CLONE_NEWUTS),
    ];
    for (layer, flag) in rest {
        standings.put_up(left_out, layer, || unshare(flag).map_err(|error| format!("unshare: {error}")));
    }
    if standings.stands(Layer::UserNamespace) {
        keep_for_inner().unwrap_or_else(|error| {
            standings.remarks.push(format!("keep rights for the inner half: {error}"))
        });
    }
    standings
}

/// Gives up root for good. Whoever is somebody else already stays that: its rights outside are what the other walls are for.
fn become_no_one() -> rustix::io::Result<()> {
    use rustix::process::{Gid, Uid};
    if !geteuid().is_root() {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(NO_ONE), Gid::from_raw(NO_ONE));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    // The kernel hides a process that changed its user from that user, and we still have to write our own maps below /proc/self.
    set_dumpable_behavior(DumpableBehavior::Dumpable)
}

/// A user namespace in which our user is itself and nobody else exists. Anyone may make that map, root or not.
fn user_namespace() -> Result<(), String> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| match error {
        nix::Error::EPERM | nix::Error::ENOSPC | nix::Error::EINVAL | nix::Error::ENOSYS => {
            format!("this kernel or container forbids user namespaces ({error}); see docs/SANDBOX.md")
        }
        error => format!("unshare: {error}"),
    })?;
    // Without this the kernel refuses the group map of the unprivileged: else they could drop a group that takes rights away.
    fs::write("/proc/self/setgroups", "deny").map_err(|error| format!("deny setgroups: {error}"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
        .map_err(|error| format!("map the group: {error}"))?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))
        .map_err(|error| format!("map the user: {error}"))
}

/// The inner half has to mount and to drop rights, but an exec of somebody who is not root in the namespace loses all capabilities; ambient
/// ones stay. They are valid only in our namespace, and the inner half drops them before the script.
fn keep_for_inner() -> rustix::io::Result<()> {
    let mut sets = capabilities(None)?;
    sets.inheritable = CapabilitySet::SYS_ADMIN | CapabilitySet::SETPCAP;
    set_capabilities(None, sets)?;
    configure_capability_in_ambient_set(CapabilitySet::SYS_ADMIN, true)?;
    configure_capability_in_ambient_set(CapabilitySet::SETPCAP, true)
}

/// The inner half, which waits to be told.
struct Inner {
    child: Child,
    line: UnixStream,
}

impl Inner {
    fn start() -> io::Result<Inner> {
        let (line, theirs) = UnixStream::pair()?;
        let child = Command::new("/proc/self/exe")
            .arg(INNER)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .process_group(0)
            .spawn()?;
        Ok(Inner { child, line })
    }
}

/// Tells the inner half what to do and stays until it is over, one way or another.
fn watch(
    caller: &UnixStream,
    inner: Inner,
    order: &Order,
    standings: Standings,
    deadline: Instant,
) -> io::Result<Vec<Word>> {
    let Inner { mut child, line } = inner;
    // Only after it says that it will not outlive us does it hear what to do.
    let told = wire::receive::<()>(&line).and_then(|()| wire::send(&line, &(order, standings)));
    let mut heard = Vec::new();
    let over = match told {
        Ok(()) => listen(caller, line, deadline, &mut heard)?,
        Err(_) => Over::Inner,
    };
    let status = end(&mut child)?;
    let mut words: Vec<Word> =
        heard.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    if !words.iter().any(|word| matches!(word, Word::Ended(_))) {
        words.push(match over {
            Over::Deadline => Word::Ended(Ended::Deadline),
            Over::Caller => Word::Stopped,
            Over::Inner => {
                Word::Ended(Ended::NotStarted(format!("the inner half of the sandbox ended early: {status}")))
            }
        });
    }
    Ok(words)
}

/// Why it is over.
enum Over {
    Inner,
    Caller,
    Deadline,
}

/// Collects what the inner half says, until it closes its line, the caller closes ours, or the time is over.
fn listen(
    caller: &UnixStream,
    mut line: UnixStream,
    deadline: Instant,
    heard: &mut Vec<u8>,
) -> io::Result<Over> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Over::Deadline);
        }
        let mut both = [PollFd::new(&line, PollFlags::IN), PollFd::new(caller, PollFlags::IN)];
        // A little more than what is left, so that we do not wake just before it.
        let wait = Timespec::try_from(left + Duration::from_millis(1)).map_err(io::Error::other)?;
        match poll(&mut both, Some(&wait)) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let [inner, outer] = both.map(|fd| !fd.revents().is_empty());
        if inner {
            let mut bytes = [0; 4096];
            match line.read(&mut bytes)? {
                0 => return Ok(Over::Inner),
                some => heard.extend_from_slice(&bytes[..some]),
            }
        } else if outer {
            return Ok(Over::Caller);
        }
    }
}

/// Kills what is left. The death of process 1 ends its whole namespace, and the kernel lets us reap it only when all are gone. Where there
/// is no such namespace, the group is what we have.
fn end(child: &mut Child) -> io::Result<std::process::ExitStatus> {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Not reaped yet, so this number is still its own.
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.wait()
}
