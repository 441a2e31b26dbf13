//! The inner half: process 1 of the new namespace. Builds the root, gives up every right, shuts the last door behind itself and starts the
//! script. It stays in the same cage; its end is the end of whatever the script left behind.

use super::{calls, files, root};
use crate::{
    layer::{Layer, Standing},
    limits::Limits,
    outcome::Ended,
    wire::{self, Order, Standings, Word},
};
use rustix::{
    io::Errno,
    process::{
        DumpableBehavior, Resource, Rlimit, Signal, geteuid, set_dumpable_behavior,
        set_parent_process_death_signal, setrlimit,
    },
    thread::{
        CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set,
        set_capabilities, set_no_new_privs,
    },
};
use seccompiler::{BackendError, BpfProgram};
use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

/// The whole environment of a script.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/tmp"),
    ("TMPDIR", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("TERM", "dumb"),
];

pub fn run() -> io::Result<()> {
    // First, and said only then: whoever started us cannot die unnoticed.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let line = wire::socket_on_stdin()?;
    wire::send(&line, &())?;
    let filter = calls::compile();
    let (order, mut standings): (Order, Standings) = wire::receive(&line)?;
    let ready = prepare(&order, &filter, &mut standings);
    let missing: Vec<&Layer> = order.required.iter().filter(|layer| !standings.stands(**layer)).collect();
    // The caller knows what it required, and says which were missing.
    let may_start = missing.is_empty();
    wire::send(&line, &Word::Prepared(standings))?;
    let ended = match ready {
        _ if !may_start => Ended::NotStarted("a required layer is missing".into()),
        Err(why) => Ended::NotStarted(why),
        Ok(()) => start(&order),
    };
    wire::send(&line, &Word::Ended(ended))
}

/// Puts up every wall, from the one that needs the most rights to the one after which nothing else can be built. An error is one of the
/// order: a folder that is not there. What the kernel refuses is noted instead.
fn prepare(
    order: &Order,
    filter: &Result<BpfProgram, BackendError>,
    standings: &mut Standings,
) -> Result<(), String> {
    let mut outcome = Ok(());
    if standings.stands(Layer::MountNamespace) {
        let with_proc = standings.stands(Layer::PidNamespace);
        match root::build(order, with_proc, &mut standings.remarks) {
            Ok(()) => {}
            Err(root::Trouble::Order(why)) => outcome = Err(why),
            Err(root::Trouble::Kernel(why)) => {
                standings.layers.insert(Layer::MountNamespace, Standing::Missing(why));
            }
        }
    }
    order.put_up(standings, Layer::Capabilities, || {
        give_up_capabilities().map_err(|error| format!("drop: {error}"))
    });
    order.put_up(standings, Layer::NoNewPrivileges, || {
        set_no_new_privs(true).map_err(|error| format!("prctl: {error}"))
    });
    let (mut part, own_root) = (None, standings.stands(Layer::MountNamespace));
    order.put_up(standings, Layer::Landlock, || files::restrict(order, own_root).map(|remark| part = remark));
    standings.remarks.extend(part);
    // The script has our user: it could look into us and say how it ended in our place.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    order.put_up(standings, Layer::Limits, || {
        limit(&order.limits).map_err(|error| format!("setrlimit: {error}"))
    });
    order.put_up(standings, Layer::Seccomp, || calls::restrict(filter));
    outcome
}

fn give_up_capabilities() -> rustix::io::Result<()> {
    // The kernel knows more of them than we, or fewer: ask until it says that there are no more.
    for number in 0..64 {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Err(Errno::INVAL) => break,
            // Without the right to drop there is no way to have: we are not root, and no program gives us anything any more.
            Err(Errno::PERM) if !geteuid().is_root() => break,
            other => other?,
        }
    }
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

fn limit(limits: &Limits) -> rustix::io::Result<()> {
    let bounds = [
        (Resource::Cpu, limits.cpu),
        // Ourselves and the outer half.
        (Resource::Nproc, limits.processes + 2),
        (Resource::Fsize, limits.file_size),
        (Resource::Nofile, 256),
        (Resource::Core, 0),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        // The last, because it may leave us little.
        (Resource::As, limits.memory),
    ];
    bounds.into_iter().try_for_each(|(resource, bound)| {
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })
    })
}

fn start(order: &Order) -> Ended {
    let Some((program, words)) = order.words.split_first() else {
        return Ended::NotStarted("there is no command".into());
    };
    // By fork, because the path is one of our own. Without that copy (`posix_spawn`) it would take memory beyond the limit, which is ours too.
    let child = Command::new(program)
        .args(words)
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir("/tmp")
        .stdin(Stdio::null())
        .spawn();
    match child.and_then(|mut child| child.wait()) {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Ended::Exited(code),
            (None, signal) => Ended::Signalled(signal.unwrap_or_default()),
        },
        Err(error) => Ended::NotStarted(format!("cannot start {program}: {error}")),
    }
}
