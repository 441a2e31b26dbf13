//! A house to test the runner in: a database of its own, a practice cluster in this process, and any number of runners.

use actions::{
    catalogue::{self, PlanContext},
    cluster::{Cluster, ClusterConfig, Clusters, install_tls},
    policy::{Policy, PolicyHandle},
    runner::{Runner, RunnerConfig},
};
use jiff::Timestamp;
use ledger::{
    Actor, Ask, Connect, Decision, Ledger, Person, Plan, Request, RequestId, RequestState, RequestView,
    Target,
    private::{PrivatePostgres, test_dir},
};
use practice::{Audited, Practice, PracticeConfig};
use serde_json::{Value, json};
use std::{future::Future, time::Duration};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

pub const CLUSTER: &str = "prod";
pub const NAMESPACE: &str = "shop";
pub const STEP: &str = "petrel.dev/step";

/// Ann may do anything at once, except that Bob must approve a new image.
const POLICY: &str = r#"
[[person]]
name = "ann"
identities = ["console:ann"]
groups = ["oncall"]

[[person]]
name = "bob"
identities = ["console:bob"]
groups = ["sre"]

[[rule]]
name = "images need one"
action = ["set-image"]
decide = "approve"
votes = 1
from = ["sre"]
within = "30m"

[[rule]]
name = "the rest at once"
action = "*"
decide = "allow"
"#;

pub struct House {
    pub ledger: Ledger,
    pub practice: Practice,
    /// How the runners reach the cluster; each has its own connections, as another process would.
    pub config: ClusterConfig,
    clusters: Clusters,
    policy: PolicyHandle,
    url: String,
    _folder: tempfile::TempDir,
}

/// A runner at work. Dropping it kills it where it stands.
pub struct Working {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Working {
    /// A clean stop.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.expect("a runner that is stopped does not panic");
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a runner needs.
pub struct Parts {
    url: String,
    configs: Vec<ClusterConfig>,
    policy: PolicyHandle,
}

impl Parts {
    pub async fn runner(self, worker: &str, lease: Duration) -> Working {
        let runner = Runner {
            ledger: connect(&self.url).await,
            clusters: Clusters::new(self.configs),
            policy: self.policy,
            config: RunnerConfig { worker: worker.into(), concurrency: 16, lease },
        };
        let stop = CancellationToken::new();
        let listening = runner.ledger.listen().await.expect("a listening connection");
        let working = runner.run(stop.clone());
        let task = tokio::spawn(async move {
            let _listening = listening;
            working.await;
        });
        Working { task, stop }
    }
}

impl House {
    pub async fn new(name: &str) -> House {
        House::with(name, PracticeConfig { name: CLUSTER.into(), ..PracticeConfig::default() }).await
    }

    pub async fn with(name: &str, config: PracticeConfig) -> House {
        install_tls();
        let postgres = PrivatePostgres::join(&test_dir()).await.expect("a database server");
        let (url, _) = postgres.database(name).await.expect("a database");
        let practice = Practice::start(config).await.expect("a practice cluster");
        practice.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, practice.kubeconfig()).expect("a kubeconfig");
        let config = ClusterConfig {
            name: CLUSTER.into(),
            kubeconfig: Some(kubeconfig),
            context: None,
            server: None,
            token_file: None,
            ca_file: None,
            labels: [("production".to_string(), "true".to_string())].into(),
            timeout_s: 5,
            watch: false,
            pools: Vec::new(),
            prometheus: None,
        };
        let clusters = Clusters::new(vec![config.clone()]);
        let policy = PolicyHandle::fixed(Policy::parse("policy.toml", POLICY).expect("a policy"));
        House { ledger: connect(&url).await, practice, config, clusters, policy, url, _folder: folder }
    }

    /// The same cluster, measured by a Prometheus at this address.
    pub async fn measured(name: &str, prometheus: &str) -> House {
        let mut house = House::new(name).await;
        let config = toml::from_str(&format!("url = '{prometheus}'")).expect("a config");
        house.config.prometheus = Some(config);
        house.clusters = Clusters::new(vec![house.config.clone()]);
        house
    }

    /// With a cluster that is configured otherwise.
    pub fn configured(mut self, change: impl FnOnce(&mut ClusterConfig)) -> House {
        change(&mut self.config);
        self.clusters = Clusters::new(vec![self.config.clone()]);
        self
    }

    /// A runner with its own connections, as another process would have, presumed dead after a second of silence.
    pub async fn runner(&self, worker: &str) -> Working {
        self.runner_with(worker, Duration::from_secs(1)).await
    }

    pub async fn runner_with(&self, worker: &str, lease: Duration) -> Working {
        self.parts().runner(worker, lease).await
    }

    /// What a runner needs, to take elsewhere.
    pub fn parts(&self) -> Parts {
        Parts { url: self.url.clone(), configs: vec![self.config.clone()], policy: self.policy.clone() }
    }

    pub fn cluster(&self) -> Cluster {
        self.clusters.get(CLUSTER).expect("the cluster")
    }

    /// The unmodified client, as anybody else would use it.
    pub async fn client(&self) -> kube::Client {
        let kubeconfig =
            kube::config::Kubeconfig::from_yaml(&self.practice.kubeconfig()).expect("a kubeconfig");
        let config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.expect("a config");
        kube::Client::try_from(config).expect("a client")
    }

    /// A deployment whose pods are ready, and that nothing is going on at.
    pub async fn deployment(&self, name: &str, replicas: u32) {
        self.practice.apply(deployment(name, replicas, "shop/app:1"));
        self.practice.settled().await;
    }

    pub fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let version = match kind {
            "Pod" => "v1",
            "Job" | "CronJob" => "batch/v1",
            _ => "apps/v1",
        };
        self.practice.get(version, kind, Some(NAMESPACE), name)
    }

    pub fn replicas(&self, name: &str) -> i64 {
        self.get("Deployment", name).expect("the deployment")["spec"]["replicas"].as_i64().expect("replicas")
    }

    pub fn image(&self, name: &str) -> String {
        let deployment = self.get("Deployment", name).expect("the deployment");
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image").into()
    }

    /// A request as the gate would make it, not yet submitted: `scale deploy/checkout 6`. A tweak makes it another plan
    /// than planning anew would: it runs only while the target stays as it is.
    pub async fn planned(&self, line: &str, tweak: impl FnOnce(&mut Plan)) -> Request {
        let words: Vec<&str> = line.split_whitespace().collect();
        let action = catalogue::action(words[0]).expect("an action");
        let matches = action.command().try_get_matches_from(&words).expect("an understandable line");
        let (named, parameters) = action.parse(&matches).expect("a sensible line");
        let target = Target {
            cluster: CLUSTER.into(),
            namespace: Some(NAMESPACE.into()),
            kind: named.kind,
            name: named.name,
            uid: None,
        };
        // The record keeps microseconds.
        let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).expect("in range");
        let id = RequestId::new();
        let context = PlanContext {
            cluster: &self.cluster(),
            target: &target,
            parameters: &parameters,
            request: id,
            at: now,
        };
        let mut plan = action.plan(context).await.unwrap_or_else(|error| panic!("no plan: {error}"));
        tweak(&mut plan);
        let ask = Ask {
            key: id.to_string(),
            actor: "console:ann".parse().expect("an actor"),
            person: Person("ann".into()),
            place: None,
            line: line.into(),
            action: words[0].into(),
            parameters,
            target,
            why: None,
            break_glass: false,
            dry_run: false,
            with_person: None,
        };
        Request::new(id, ask, plan, Decision::Allow { rule: "test".into() }, "test".into(), now)
    }

    /// Why there is no plan for a line.
    pub async fn refused(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let action = catalogue::action(words[0]).expect("an action");
        let matches = action.command().try_get_matches_from(&words).expect("an understandable line");
        let (named, parameters) = action.parse(&matches).expect("a sensible line");
        let target = Target {
            cluster: CLUSTER.into(),
            namespace: Some(NAMESPACE.into()),
            kind: named.kind,
            name: named.name,
            uid: None,
        };
        let context = PlanContext {
            cluster: &self.cluster(),
            target: &target,
            parameters: &parameters,
            request: RequestId::new(),
            at: Timestamp::now(),
        };
        action.plan(context).await.expect_err("a refusal").to_string()
    }

    /// Asked, allowed and queued.
    pub async fn ask(&self, line: &str) -> RequestId {
        self.ask_with(line, |_| {}).await
    }

    pub async fn ask_with(&self, line: &str, tweak: impl FnOnce(&mut Plan)) -> RequestId {
        let request = self.planned(line, tweak).await;
        self.submit(&request).await
    }

    pub async fn submit(&self, request: &Request) -> RequestId {
        let (stored, fresh) = self.ledger.submit(request).await.expect("submitted");
        assert!(fresh);
        assert_eq!(stored.state, RequestState::Approved);
        stored.id
    }

    pub async fn view(&self, id: RequestId) -> RequestView {
        self.ledger.view(id).await.expect("a view").expect("the request")
    }

    /// Once its state is one of those (or final).
    pub async fn until(&self, id: RequestId, states: &[RequestState]) -> RequestView {
        let what = format!("{id} to be {states:?}");
        eventually(&what, || async {
            let view = self.view(id).await;
            let now = view.request.state;
            (states.contains(&now) || now.is_final()).then_some(view)
        })
        .await
    }

    /// Its end: state and note.
    pub async fn end(&self, id: RequestId) -> (RequestState, String) {
        let view = self.until(id, &[]).await;
        (view.request.state, view.request.note.unwrap_or_default())
    }

    pub async fn cancel(&self, id: RequestId) {
        let by: Actor = "console:bob".parse().expect("an actor");
        self.ledger.cancel(id, &by, None, Timestamp::now()).await.expect("asked").expect("not too late");
    }

    /// The calls that changed something, oldest first. What this house does by itself is no call.
    pub fn effects(&self) -> Vec<Audited> {
        self.practice.audit().into_iter().filter(Audited::took_effect).collect()
    }

    /// The keys of the steps that took effect, oldest first.
    pub fn keys(&self) -> Vec<String> {
        let key = |call: &Audited| call.body["metadata"]["annotations"][STEP].as_str().map(str::to_string);
        self.effects().iter().filter_map(key).collect()
    }

    /// Nothing is held or waits.
    pub async fn idle(&self) {
        eventually("the queue to be empty", || async {
            (self.ledger.queue_depth().await.expect("a depth") == (0, 0)).then_some(())
        })
        .await;
    }
}

async fn connect(url: &str) -> Ledger {
    Ledger::connect(&Connect { url: url.into(), connections: 10 }).await.expect("a connection")
}

pub fn deployment(name: &str, replicas: u32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": image}]}},
        },
    })
}

/// Waits for `look` to find something.
pub async fn eventually<T, F, Fut>(what: &str, look: F) -> T
where
    F: Fn() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
