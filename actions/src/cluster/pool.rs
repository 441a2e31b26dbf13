//! `[[cluster.pool]]`: the object that says how many nodes a pool has, where it is no MachineDeployment of Cluster API: a node group of a
//! cloud's own operator, say.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where the number stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolConfig {
    /// As `nodes forecast` calls it.
    pub name: String,
    /// `eks.services.k8s.aws/v1alpha1`.
    pub api_version: String,
    /// `Nodegroup`.
    pub kind: String,
    /// Of the object.
    pub namespace: String,
    /// Its name.
    pub object: String,
    /// JSON pointer of the number wanted: `/spec/scalingConfig/desiredSize`.
    pub nodes: String,
    /// JSON pointer of the number that is there: `/status/readyReplicas`.
    pub ready: String,
}

impl PoolConfig {
    /// What is wrong with it, before anything is asked.
    pub fn check(&self) -> Result<(), String> {
        for (name, pointer, under) in [("nodes", &self.nodes, "/spec/"), ("ready", &self.ready, "/status/")] {
            let plain = !pointer.contains('~') && !pointer.ends_with('/') && !pointer.contains("//");
            if !pointer.starts_with(under) || !plain {
                return Err(format!(
                    "pool {}: {name} = \"{pointer}\" is no place under {under}; write \"{under}replicas\"",
                    self.name
                ));
            }
        }
        Ok(())
    }

    /// A merge patch that asks for so many.
    pub(crate) fn wanting(&self, nodes: u32) -> Value {
        let fields = self.nodes.trim_start_matches('/').split('/');
        fields.rev().fold(nodes.into(), |inner: Value, field| json!({ field: inner }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_under_spec() {
        let pool = |nodes: &str| PoolConfig {
            name: "workers".into(),
            api_version: "v1".into(),
            kind: "Nodegroup".into(),
            namespace: "infra".into(),
            object: "prod".into(),
            nodes: nodes.into(),
            ready: "/status/ready".into(),
        };
        let nested = pool("/spec/scalingConfig/desiredSize");
        assert_eq!(nested.check(), Ok(()));
        assert_eq!(nested.wanting(5), json!({"spec": {"scalingConfig": {"desiredSize": 5}}}));
        for wrong in ["/metadata/labels/nodes", "spec.replicas", "/spec/", "/spec/a~1b"] {
            assert!(pool(wrong).check().unwrap_err().contains("write \"/spec/replicas\""), "{wrong}");
        }
    }
}
