//! Which troubles are one incident.

use crate::event::{Event, Workload};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Troubles of one place are one incident: whoever looks after it wants one card, not one per pod and alert.
///
/// The place is the narrowest that an event names and that outlives a pod: its workload, or its node when it is about no
/// pod or workload. Without either, troubles of one name in one namespace belong together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Of one workload.
    Workload {
        /// Where.
        cluster: Option<String>,
        /// Where.
        namespace: Option<String>,
        /// Which.
        workload: Workload,
    },
    /// Of one node.
    Node {
        /// Where.
        cluster: Option<String>,
        /// Which.
        node: String,
    },
    /// Of one name.
    Name {
        /// Where.
        cluster: Option<String>,
        /// Where; None for what is in none.
        namespace: Option<String>,
        /// The event's name.
        name: String,
    },
}

impl Group {
    /// Of an event.
    pub fn of(event: &Event) -> Group {
        let subject = event.subject.clone();
        match (subject.workload, subject.pod, subject.node) {
            (Some(workload), _, _) => {
                Group::Workload { cluster: subject.cluster, namespace: subject.namespace, workload }
            }
            (None, None, Some(node)) => Group::Node { cluster: subject.cluster, node },
            _ => Group::Name {
                cluster: subject.cluster,
                namespace: subject.namespace,
                name: event.name.clone(),
            },
        }
    }

    /// Which cluster, where it is known.
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Group::Workload { cluster, .. } | Group::Node { cluster, .. } | Group::Name { cluster, .. } => {
                cluster.as_deref()
            }
        }
    }

    /// Which namespace, where there is one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Group::Workload { namespace, .. } | Group::Name { namespace, .. } => namespace.as_deref(),
            Group::Node { .. } => None,
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |namespace: &Option<String>| {
            let namespace = namespace.as_ref().map(|namespace| format!("{namespace}/"));
            format!("{}: {}", self.cluster().unwrap_or("?"), namespace.unwrap_or_default())
        };
        match self {
            Group::Workload { namespace, workload, .. } => {
                write!(f, "{}{} {}", place(namespace), workload.kind, workload.name)
            }
            Group::Node { node, .. } => write!(f, "{}Node {node}", place(&None)),
            Group::Name { namespace, name, .. } => write!(f, "{}{name}", place(namespace)),
        }
    }
}
