//! Commands in containers, against a practice cluster.

use crate::scene::Scene;
use actions::cluster::{Bounds, Cluster, ClusterError, Executed};
use ledger::ObjectRef;
use std::time::Duration;

const BOUNDS: Bounds = Bounds { takes: Duration::from_secs(5), prints: 4 << 10 };

fn pod(name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: Some("shop".into()),
        name: name.into(),
        uid: None,
    }
}

async fn run(cluster: &Cluster, name: &str, words: &[&str]) -> Result<Executed, ClusterError> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_string()).collect();
    cluster.exec(&pod(name), Some("app"), &words, BOUNDS).await
}

#[tokio::test]
async fn a_command_runs_word_by_word_and_its_end_is_known() {
    let scene = Scene::shop().await;
    let name = scene.pods("checkout").await.remove(0);
    scene.practice.on_exec(|exec| match exec.command[0].as_str() {
        "echo" => {
            Some(practice::Executed { stdout: exec.command[1..].join("|"), stderr: "warned".into(), code: 0 })
        }
        "false" => Some(practice::Executed { stderr: "no\n".into(), code: 3, ..Default::default() }),
        "yes" => Some(practice::Executed { stdout: "y\n".repeat(10_000), ..Default::default() }),
        _ => None,
    });
    let done = run(&scene.cluster, &name, &["echo", "a b", "$(c)", "é&f=g", ""]).await.unwrap();
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (0, "a b|$(c)|é&f=g|", "warned"));
    let failed = run(&scene.cluster, &name, &["false"]).await.unwrap();
    assert_eq!(failed.code, 3);
    assert_eq!(failed.output().unwrap_err().to_string(), "the command ended with code 3: no");
    let missing = run(&scene.cluster, &name, &["missing"]).await.unwrap_err();
    assert!(
        matches!(&missing, ClusterError::Command { message } if message.contains("not found in $PATH")),
        "{missing}"
    );
    let much = run(&scene.cluster, &name, &["yes"]).await.unwrap_err();
    assert!(
        matches!(&much, ClusterError::Command { message } if message.contains("more than 4096 bytes")),
        "{much}"
    );
}

#[tokio::test]
async fn what_may_not_be_run_or_is_not_there_says_so() {
    let scene = Scene::shop().await;
    let name = scene.pods("checkout").await.remove(0);
    scene.practice.on_exec(|_| Some(practice::Executed::default()));
    let gone = run(&scene.cluster, "no-such-pod", &["true"]).await.unwrap_err();
    assert!(matches!(gone, ClusterError::NotFound { .. }), "{gone}");
    let kubeconfig = scene.practice.limited_kubeconfig(&[("pods", &["get", "list"])]);
    let forbidden = run(&scene.also(&kubeconfig, 5), &name, &["true"]).await.unwrap_err();
    assert!(
        matches!(&forbidden, ClusterError::Forbidden { message } if message.contains("pods/exec")),
        "{forbidden}"
    );
    let kubeconfig = scene.practice.limited_kubeconfig(&[("pods/exec", &["create"])]);
    assert_eq!(run(&scene.also(&kubeconfig, 5), &name, &["true"]).await.unwrap().code, 0);
    scene.practice.faults().fail_next(1, 503);
    assert!(run(&scene.cluster, &name, &["true"]).await.is_err());
}

#[tokio::test]
async fn what_does_not_end_is_not_waited_for() {
    let scene = Scene::shop().await;
    let name = scene.pods("checkout").await.remove(0);
    let slow = scene.also(&scene.practice.kubeconfig(), 1);
    // Whether it was asked is not known when no answer comes.
    scene.practice.faults().latency(Duration::from_secs(3));
    let late = run(&slow, &name, &["true"]).await.unwrap_err();
    assert!(matches!(late, ClusterError::Unreachable { .. }), "{late}");
}
