//! The walls, by name.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// One wall around a script.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// It is not root, whoever we are.
    UnprivilegedUser,
    /// Its user is known only inside: no right of it counts outside.
    UserNamespace,
    /// A root of its own, read-only, with system programs and the given folders.
    MountNamespace,
    /// It sees no process but its own, and all of them end with the first.
    PidNamespace,
    /// No network, not even loopback.
    NetworkNamespace,
    /// No shared memory or queues of others.
    IpcNamespace,
    /// It cannot rename the host.
    UtsNamespace,
    /// Not one capability, and none to be had.
    Capabilities,
    /// Programs with the set-user-id bit give nothing.
    NoNewPrivileges,
    /// Only the system calls of ordinary programs.
    Seccomp,
    /// Only the given files, a second time, by another part of the kernel.
    Landlock,
    /// Bounds on memory, CPU time, processes, file size and open files.
    Limits,
}

impl Layer {
    /// Every wall.
    pub const ALL: [Self; 12] = [
        Self::UnprivilegedUser,
        Self::UserNamespace,
        Self::MountNamespace,
        Self::PidNamespace,
        Self::NetworkNamespace,
        Self::IpcNamespace,
        Self::UtsNamespace,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Seccomp,
        Self::Landlock,
        Self::Limits,
    ];
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnprivilegedUser => "unprivileged-user",
            Self::UserNamespace => "user-namespace",
            Self::MountNamespace => "mount-namespace",
            Self::PidNamespace => "pid-namespace",
            Self::NetworkNamespace => "network-namespace",
            Self::IpcNamespace => "ipc-namespace",
            Self::UtsNamespace => "uts-namespace",
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no-new-privileges",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Limits => "limits",
        })
    }
}

/// Whether a wall stood.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It did.
    InForce,
    /// It did not, and why.
    Missing(String),
}

/// What stood in one run.
pub type Layers = BTreeMap<Layer, Standing>;
