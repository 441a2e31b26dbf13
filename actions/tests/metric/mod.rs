//! The client of Prometheus against a server that misbehaves as told. The real one answers in the end-to-end tests.

pub mod standin;

use actions::{
    cluster::install_tls,
    metric::{MetricError, Prometheus, PrometheusConfig, Range, Reading},
};
use jiff::Timestamp;
use standin::StandIn;
use std::time::Duration;

const NOTHING: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;

fn prometheus(url: &str, more: &str) -> Prometheus {
    install_tls();
    let config: PrometheusConfig = toml::from_str(&format!("url = '{url}'\ntimeout_s = 1\n{more}")).unwrap();
    Prometheus::new("lab", config)
}

fn patient(url: &str) -> Prometheus {
    install_tls();
    Prometheus::new("lab", toml::from_str(&format!("url = '{url}'")).unwrap())
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn a_long_range_is_asked_in_pieces_and_comes_back_as_one() {
    let server = StandIn::start(|line| {
        let number = |name: &str| -> i64 {
            let after = line.split(&format!("{name}=")).nth(1).unwrap();
            after.split(['&', ' ']).next().unwrap().parse().unwrap()
        };
        let (start, end) = (number("start"), number("end"));
        if (end - start) / 60 >= 11_000 {
            let error = "exceeded maximum resolution of 11,000 points per timeseries";
            return (400, format!(r#"{{"status":"error","errorType":"bad_data","error":"{error}"}}"#));
        }
        let points: Vec<String> =
            (start..=end).step_by(60).map(|at| format!(r#"[{at},"{}"]"#, at % 7)).collect();
        let matrix = format!(r#"[{{"metric":{{"a":"b"}},"values":[{}]}}]"#, points.join(","));
        let data = format!(r#"{{"resultType":"matrix","result":{matrix}}}"#);
        (200, format!(r#"{{"status":"success","warnings":["one store is down"],"data":{data}}}"#))
    })
    .await;
    let range = Range::before(now(), Duration::from_secs(25_000 * 60), Duration::from_secs(60));
    let answer = prometheus(&server.url, "").line("up", range).await.unwrap();
    let moments: Vec<i64> = answer.data.iter().map(|(at, _)| *at).collect();
    assert_eq!(moments, (range.start()..=range.end()).step_by(60).collect::<Vec<_>>());
    assert!(answer.data.iter().all(|(at, value)| *value == (at % 7) as f64));
    assert_eq!((server.asked().len(), answer.warnings.len()), (3, 1));
    assert!(server.asked()[0].starts_with("GET /base/api/v1/query_range?"));
}

#[tokio::test]
async fn credentials_go_along_and_are_read_anew() {
    let server = StandIn::start(|_| (200, NOTHING.into())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let bearer = prometheus(&server.url, &format!("token_file = '{}'", file.display()));
    for token in ["one", "two"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        assert_eq!(bearer.value("up", now()).await.unwrap().data, Reading::Missing);
    }
    let basic = prometheus(&server.url, &format!("user = 'ann'\npassword_file = '{}'", file.display()));
    basic.value("up", now()).await.unwrap();
    let headers: Vec<String> = server
        .asked()
        .iter()
        .flat_map(|head| {
            head.lines()
                .filter_map(|line| line.strip_prefix("authorization: "))
                .map(String::from)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(headers, ["Bearer one", "Bearer two", "Basic YW5uOnR3bw=="]);
    std::fs::remove_file(&file).unwrap();
    let error = bearer.value("up", now()).await.unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("secret"), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let server = StandIn::start(|_| (200, " ".repeat(33 << 20))).await;
    let error = patient(&server.url).value("up", now()).await.unwrap_err();
    assert!(matches!(error, MetricError::TooLarge { limit_mib: 32, .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_is_slow_or_gone_is_told_apart_from_one_without_data() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let error = prometheus(&url, "").value("up", now()).await.unwrap_err();
    assert!(matches!(error, MetricError::Timeout { seconds: 1, .. }), "{error}");
    drop(silent);
    let error = prometheus(&url, "").value("up", now()).await.unwrap_err();
    assert!(matches!(error, MetricError::Unreachable { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("refused") && !said.contains("query?"), "{said}");
}

#[tokio::test]
async fn a_redirect_to_somewhere_else_is_not_followed() {
    let server = StandIn::start(|_| (302, String::new())).await;
    let error = prometheus(&server.url, "").value("up", now()).await.unwrap_err();
    assert!(matches!(error, MetricError::Unreadable { .. }), "{error}");
}

#[tokio::test]
async fn a_look_names_what_is_not_scraped() {
    let server = StandIn::start(|line| {
        let sample = r#"{"metric":{},"value":[1,"3"]}"#;
        let result = if line.contains("kube_pod_info") { "" } else { sample };
        (200, format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#))
    })
    .await;
    let look = prometheus(&server.url, "labels = { cluster = 'a\"b' }").look(now()).await.unwrap();
    assert_eq!(look.missing, [("kube_pod_info", "kube-state-metrics")]);
    assert!(server.asked()[0].contains("%7Bcluster%3D%22a%5C%22b%22%2C%7D"), "{}", server.asked()[0]);
}
