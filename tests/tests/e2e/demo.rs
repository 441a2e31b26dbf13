//! The demo as a newcomer meets it: the program itself, a real Prometheus and a real Alertmanager, one click.

use reqwest::Method;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tests::{alerting::Alerting, api::Api, process::Process, wait};

const WITHIN: Duration = Duration::from_secs(120);

struct Demo {
    process: Process,
    base: String,
}

impl Demo {
    /// Starts it in this folder and waits for its greeting.
    async fn start(folder: &Path) -> Demo {
        let (data, listen) =
            (folder.join("data"), format!("127.0.0.1:{}", practice::free_port().expect("a port")));
        let arguments = ["--data", data.to_str().expect("a path"), "--listen", &listen];
        let process = Process::spawn("demo", &arguments, &[], &folder.join("demo.log")).expect("the demo");
        let demo = Demo { process, base: format!("http://{listen}") };
        demo.says(&format!("Petrel is ready: {}", demo.base)).await;
        demo
    }

    async fn says(&self, words: &str) {
        let said = wait::within(WITHIN, || async {
            let log = std::fs::read_to_string(&self.process.log).ok()?;
            log.contains(words).then_some(())
        })
        .await;
        assert!(said.is_some(), "the demo did not say {words:?} within {WITHIN:?}: {}", self.process.tail());
    }

    fn api(&self, folder: &Path, name: &str) -> Api {
        let token =
            std::fs::read_to_string(folder.join("data").join(format!("{name}.token"))).expect("a token");
        Api::new(&self.base, token.trim())
    }
}

async fn requests(api: &Api) -> Option<Vec<Value>> {
    let (_, answer) = api.call(Method::GET, "/requests", None, None).await.ok()?;
    answer["requests"].as_array().cloned()
}

#[tokio::test]
async fn the_demo_forecasts_and_heals_a_bad_release_after_one_click_and_starts_again() {
    if !Alerting::is_installed() {
        return println!("skipped: prometheus and prometheus-alertmanager are not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = Demo::start(folder.path()).await;
    let ann = demo.api(folder.path(), "ann");
    demo.says("Two weeks of metrics are there").await;
    let forecast = ann.insist("forecast-1", "forecast deploy/checkout -n shop -c prod-eu").await.to_string();
    assert!(forecast.contains("checkout"), "{forecast}");

    demo.says("is going out in prod-eu").await;
    let request = wait::until("a request to roll back", WITHIN, || async {
        let all = requests(&ann).await?;
        all.into_iter().find(|request| request["state"] == "awaiting")
    })
    .await;
    let id = request["id"].as_str().expect("an id").to_string();
    assert_eq!(request["action"], "rollback", "{request}");
    let incidents = ann.insist("incidents-1", "incidents").await.to_string();
    assert!(incidents.contains("KubePodCrashLooping"), "{incidents}");
    let (status, answer) = ann.vote(&id, "approve", None).await.expect("a vote");
    assert!(status.is_success(), "{answer}");
    ann.wait_for(&id, &["succeeded"], WITHIN).await;
    wait::until("the incident to end as healed", WITHIN, || async {
        let stats = ann.ask("stats-1", "stats --days 1").await.ok()?;
        stats["card"]["fields"].as_array()?.contains(&json!(["healed", "1"])).then_some(())
    })
    .await;
    assert_eq!(demo.process.terminate(WITHIN).await, Some(0), "{}", demo.process.tail());

    let mut again = Demo::start(folder.path()).await;
    let known = requests(&again.api(folder.path(), "ann")).await.expect("requests");
    assert_eq!(known[0]["id"], id.as_str(), "a second start finds what was");
    assert_eq!(again.process.terminate(WITHIN).await, Some(0), "{}", again.process.tail());
}
