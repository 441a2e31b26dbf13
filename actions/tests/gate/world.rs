//! One gate in front of one practice cluster, with its own database.

use actions::{
    cluster::{ClusterConfig, Clusters},
    gate::{Ballot, Gate, Submitted},
    policy::{Policy, PolicyHandle},
};
use jiff::{SignedDuration, Timestamp};
use ledger::{
    Actor, Ask, Connect, EntryFilter, Ledger, Person, Refusal, Request, RequestId, Target, Verdict,
    private::{PrivatePostgres, test_dir},
};
use practice::{Practice, PracticeConfig};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tempfile::TempDir;

/// People: joe asks; ann (two identities), bob and cat are sre; eve leads; ci is a machine that claims to be sre.
const PEOPLE: &str = r#"
contact = "the platform team"
person = [
  { name = "joe", identities = ["console:joe"], groups = ["developers"] },
  { name = "ann", identities = ["console:ann", "slack:T1:U2"], groups = ["sre"] },
  { name = "bob", identities = ["console:bob"], groups = ["sre"] },
  { name = "cat", identities = ["console:cat"], groups = ["sre"] },
  { name = "eve", identities = ["console:eve"], groups = ["leads"] },
]
machine = [{ name = "ci", identities = ["api:ci"], groups = ["sre"] }]
"#;

/// Restarts happen at once, scaling needs two of sre, a new image one who types the cluster's name; the rest is refused.
pub const RULES: &str = r#"
[[rule]]
name = "restarts are free"
action = "restart"
decide = "allow"

[[rule]]
name = "scaling needs two"
action = "scale"
decide = "approve"
votes = 2
from = ["sre"]
within = "30m"

[[rule]]
name = "images need one"
action = "set-image"
decide = "approve"
votes = 1
from = ["sre"]
type_cluster = true
"#;

pub struct World {
    pub gate: Gate,
    pub ledger: Ledger,
    pub practice: Practice,
    pub now: Timestamp,
    _folder: TempDir,
}

impl World {
    /// With a Deployment `checkout` of three pods in namespace `shop` of cluster `lab`.
    pub async fn new(name: &str, rules: &str) -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let practice =
            Practice::start(PracticeConfig { name: "lab".to_string(), ..PracticeConfig::default() })
                .await
                .unwrap();
        practice.apply(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } }));
        for deployment in ["checkout", "cart", "search", "mail"] {
            practice.apply(deployment_of_three(deployment));
        }
        practice.settled().await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, practice.kubeconfig()).unwrap();
        let lab = ClusterConfig { kubeconfig: Some(kubeconfig), ..cluster("lab") };
        // Nothing listens there.
        let dead =
            ClusterConfig { server: Some("http://127.0.0.1:1".to_string()), timeout_s: 1, ..cluster("dead") };
        let server = PrivatePostgres::join(&test_dir()).await.unwrap();
        let (url, _) = server.database(name).await.unwrap();
        let ledger = Ledger::connect(&Connect { url, connections: 16 }).await.unwrap();
        let policy = Policy::parse("test.toml", &format!("{PEOPLE}\n{rules}")).unwrap();
        let clusters = Clusters::new(vec![lab, dead]);
        let gate = Gate { ledger: ledger.clone(), clusters, policy: PolicyHandle::fixed(policy) };
        World { gate, ledger, practice, now: Timestamp::now(), _folder: folder }
    }

    /// The request that an ask becomes; panics when it becomes none.
    pub async fn request(&self, ask: Ask) -> Request {
        match self.gate.submit(ask, self.now).await.unwrap() {
            Submitted::Request { request, .. } => *request,
            other => panic!("no request: {other:?}"),
        }
    }

    /// joe asks to scale `checkout`, which needs two votes.
    pub async fn awaiting(&self) -> Request {
        self.request(ask("console:joe", "scale", "checkout", json!({ "replicas": 5 }))).await
    }

    /// A click on the card as it was drawn for this request.
    pub async fn click(&self, request: &Request, actor: &str, verdict: Verdict) -> Result<Request, Refusal> {
        self.gate.vote(&ballot(request, actor, verdict), self.now).await.unwrap()
    }

    /// As [`World::click`], so much later.
    pub async fn click_after(
        &self,
        request: &Request,
        actor: &str,
        seconds: i64,
    ) -> Result<Request, Refusal> {
        let now = self.now + SignedDuration::from_secs(seconds);
        self.gate.vote(&ballot(request, actor, Verdict::Approve), now).await.unwrap()
    }

    pub async fn stored(&self, id: RequestId) -> Request {
        self.ledger.view(id).await.unwrap().unwrap().request
    }

    /// Kinds and bodies of all entries, oldest first.
    pub async fn entries(&self) -> Vec<(String, Value)> {
        let filter = EntryFilter { limit: 1_000, ..EntryFilter::default() };
        let entries = self.ledger.entries(&filter).await.unwrap();
        entries.into_iter().rev().map(|entry| (entry.kind, entry.body)).collect()
    }
}

fn cluster(name: &str) -> ClusterConfig {
    ClusterConfig {
        name: name.to_string(),
        kubeconfig: None,
        context: None,
        server: None,
        token_file: None,
        ca_file: None,
        labels: BTreeMap::new(),
        timeout_s: 5,
        watch: false,
        pools: Vec::new(),
        prometheus: None,
    }
}

pub fn ask(actor: &str, action: &str, deployment: &str, parameters: Value) -> Ask {
    Ask {
        key: format!("{actor} {action} {deployment} {parameters} {}", RequestId::new()),
        actor: actor.parse().unwrap(),
        person: Person("as the door believes".to_string()),
        place: None,
        line: format!("{action} deploy/{deployment} -n shop -c lab"),
        action: action.to_string(),
        parameters,
        target: Target {
            cluster: "lab".to_string(),
            namespace: Some("shop".to_string()),
            kind: "Deployment".to_string(),
            name: deployment.to_string(),
            uid: None,
        },
        why: None,
        break_glass: false,
        dry_run: false,
        with_person: None,
    }
}

pub fn ballot(request: &Request, actor: &str, verdict: Verdict) -> Ballot {
    Ballot {
        request: request.id,
        actor: actor.parse::<Actor>().unwrap(),
        verdict,
        digest: Some(request.digest.to_string()),
        reason: None,
        typed: None,
    }
}

fn deployment_of_three(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": "shop" },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "app", "image": "registry.example/app:1" }] },
            },
        },
    })
}
