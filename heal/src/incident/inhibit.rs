//! A node that is down hides the troubles of its pods: they are not news.

use super::Trouble;
use crate::event::Event;

/// Names of events that say that a node is down; those of the kubernetes-mixin, and Petrel's own.
pub const NODE_DOWN: [&str; 4] = ["KubeNodeNotReady", "KubeNodeUnreachable", "KubeletDown", "NodeNotReady"];

/// Whether the trouble, while it goes on, hides the event. Only what runs on a node is hidden by it, and a node is hidden
/// by nothing, so nothing hides itself and there are no chains. The event must say which node its pod is on; who watches
/// the cluster puts it in.
pub fn hides(parent: &Trouble, child: &Event) -> bool {
    let (above, below) = (&parent.subject, &child.subject);
    let is_node_down = NODE_DOWN.contains(&parent.name.as_str())
        && above.node.is_some()
        && above.pod.is_none()
        && above.workload.is_none();
    let runs_on_it = (below.pod.is_some() || below.workload.is_some())
        && below.node == above.node
        && below.cluster == above.cluster;
    parent.goes_on() && is_node_down && runs_on_it
}
