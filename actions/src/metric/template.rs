//! From a workload and the name of a metric to PromQL. What stands in a template is the operator's or ours; what is put in
//! is escaped for the place where it stands.

use super::{client::Prometheus, config::QueryConfig, error::MetricError};
use std::time::Duration;

/// What there is a usual query for. `cpu` in cores, `memory` in bytes, `qps` in requests a second.
pub const METRICS: &[&str] = &[
    "cpu",
    "memory",
    "qps",
    "replicas",
    "ready",
    "cpu-requests",
    "cpu-limits",
    "memory-requests",
    "memory-limits",
];

/// A metric by name, and how to ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `cpu`.
    pub name: String,
    /// PromQL that answers with one series.
    pub promql: String,
}

/// The workload that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `Deployment`.
    pub kind: &'a str,
    /// Where it lives.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// Of what is a `rate` at least; four scrapes of the slowest usual interval.
const LEAST_WINDOW: Duration = Duration::from_secs(300);

/// The letters of hashes and random suffixes in the names of pods: no vowels, so that `checkout` is not taken for the owner
/// of a pod of `checkout-api`. From Kubernetes' `apimachinery/pkg/util/rand`.
const SUFFIX: &str = "[bcdfghjklmnpqrstvwxz2456789]+";

impl Prometheus {
    /// The query for a metric of a workload, over steps of this length.
    pub fn metric(&self, name: &str, scope: Scope<'_>, step: Duration) -> Result<Metric, MetricError> {
        let own = self.config().queries.iter().find(|query| query.fits(name, scope.kind));
        let template = own.map(|query| query.promql.as_str()).or_else(|| usual(name, scope.kind));
        let template = template.ok_or_else(|| MetricError::NoQuery {
            metric: name.to_string(),
            kind: scope.kind.to_string(),
            known: self.metrics(scope.kind).join(", "),
        })?;
        Ok(Metric { name: name.to_string(), promql: self.fill(template, scope, step.max(LEAST_WINDOW)) })
    }

    /// The query for what each container of a workload's pods uses of `cpu` or `memory`: a series for each pod and container.
    pub(crate) fn each_container(&self, resource: &str, scope: Scope<'_>, step: Duration) -> String {
        let template = match resource {
            "memory" => {
                r#"max by (pod, container) (container_memory_working_set_bytes{$labels namespace="$namespace",pod=~"$pods",container!="",container!="POD"})"#
            }
            _ => {
                r#"sum by (pod, container) (rate(container_cpu_usage_seconds_total{$labels namespace="$namespace",pod=~"$pods",container!="",container!="POD"}[$window]))"#
            }
        };
        self.fill(template, scope, step.max(LEAST_WINDOW))
    }

    /// The names of all metrics that a workload of this kind can be asked for.
    pub fn metrics(&self, kind: &str) -> Vec<&str> {
        let own = self.config().queries.iter().map(|query| query.metric.as_str());
        let own = own.filter(|name| !METRICS.contains(name));
        let mut names: Vec<&str> = METRICS.iter().copied().chain(own).collect();
        names.retain(|name| {
            usual(name, kind).is_some() || self.config().queries.iter().any(|query| query.fits(name, kind))
        });
        names.dedup();
        names
    }

    /// The configured labels as they stand in a selector, each with a comma after it.
    pub fn labels(&self) -> String {
        let labels = self.config().labels.iter();
        labels.map(|(name, value)| format!("{name}=\"{}\",", in_quotes(value))).collect()
    }

    fn fill(&self, template: &str, scope: Scope<'_>, window: Duration) -> String {
        let mut out = String::with_capacity(template.len() + 64);
        for piece in pieces(template) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Place { name: "namespace", .. } => out.push_str(&in_quotes(scope.namespace)),
                Piece::Place { name: "name", .. } => out.push_str(&in_quotes(scope.name)),
                Piece::Place { name: "pods", .. } => out.push_str(&in_quotes(&pods(scope))),
                Piece::Place { name: "window", .. } => out.push_str(&format!("{}s", window.as_secs())),
                Piece::Place { name: "labels", .. } => out.push_str(&self.labels()),
                Piece::Place { name, .. } => out.push_str(&format!("${name}")),
            }
        }
        out
    }
}

impl QueryConfig {
    fn fits(&self, metric: &str, kind: &str) -> bool {
        self.metric == metric && (self.kinds.is_empty() || self.kinds.iter().any(|known| known == kind))
    }
}

/// The queries for the names that kube-state-metrics and cAdvisor use, and `http_requests_total` for requests.
fn usual(metric: &str, kind: &str) -> Option<&'static str> {
    Some(match (metric, kind) {
        ("cpu", _) => {
            r#"sum(rate(container_cpu_usage_seconds_total{$labels namespace="$namespace",pod=~"$pods",container!="",container!="POD"}[$window]))"#
        }
        ("memory", _) => {
            r#"sum(container_memory_working_set_bytes{$labels namespace="$namespace",pod=~"$pods",container!="",container!="POD"})"#
        }
        ("qps", _) => {
            r#"sum(rate(http_requests_total{$labels namespace="$namespace",pod=~"$pods"}[$window]))"#
        }
        ("replicas", "Deployment") => {
            r#"max(kube_deployment_spec_replicas{$labels namespace="$namespace",deployment="$name"})"#
        }
        ("replicas", "StatefulSet") => {
            r#"max(kube_statefulset_replicas{$labels namespace="$namespace",statefulset="$name"})"#
        }
        ("replicas", "DaemonSet") => {
            r#"max(kube_daemonset_status_desired_number_scheduled{$labels namespace="$namespace",daemonset="$name"})"#
        }
        ("replicas", _) => r#"count(kube_pod_info{$labels namespace="$namespace",pod=~"$pods"})"#,
        ("ready", "Deployment") => {
            r#"max(kube_deployment_status_replicas_available{$labels namespace="$namespace",deployment="$name"})"#
        }
        ("ready", "StatefulSet") => {
            r#"max(kube_statefulset_status_replicas_ready{$labels namespace="$namespace",statefulset="$name"})"#
        }
        ("cpu-requests", _) => {
            r#"sum(kube_pod_container_resource_requests{$labels namespace="$namespace",pod=~"$pods",resource="cpu"})"#
        }
        ("cpu-limits", _) => {
            r#"sum(kube_pod_container_resource_limits{$labels namespace="$namespace",pod=~"$pods",resource="cpu"})"#
        }
        ("memory-requests", _) => {
            r#"sum(kube_pod_container_resource_requests{$labels namespace="$namespace",pod=~"$pods",resource="memory"})"#
        }
        ("memory-limits", _) => {
            r#"sum(kube_pod_container_resource_limits{$labels namespace="$namespace",pod=~"$pods",resource="memory"})"#
        }
        _ => return None,
    })
}

/// The pods of a workload as a regular expression, also of its earlier revisions. PromQL anchors it at both ends.
fn pods(scope: Scope<'_>) -> String {
    let name = in_pattern(scope.name);
    match scope.kind {
        "Pod" => name,
        "Deployment" => format!("{name}-{SUFFIX}-{SUFFIX}"),
        "StatefulSet" => format!("{name}-[0-9]+"),
        "CronJob" => format!("{name}-[0-9]+-{SUFFIX}"),
        _ => format!("{name}-{SUFFIX}"),
    }
}

/// As it stands inside double quotes in PromQL (Go's rules).
fn in_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => out.push(letter),
        }
    }
    out
}

/// As it stands in a regular expression where it means itself (RE2's rules).
fn in_pattern(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// Is this the name of a label?
pub(super) fn is_label(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

/// What is wrong with a configured query.
pub(super) fn check(query: &QueryConfig) -> Result<(), String> {
    let QueryConfig { metric, promql, .. } = query;
    let is_name = metric.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter));
    if metric.is_empty() || !is_name {
        return Err(format!("query: metric '{metric}' must be a word of letters, digits, - and _"));
    }
    if promql.trim().is_empty() {
        return Err(format!("query {metric}: promql is empty"));
    }
    for piece in pieces(promql) {
        match piece {
            Piece::Text(_)
            | Piece::Place { name: "namespace" | "name" | "pods", quote: Some('"') }
            | Piece::Place { name: "window" | "labels", quote: None } => {}
            Piece::Place { name: name @ ("namespace" | "name" | "pods"), .. } => {
                return Err(format!("query {metric}: ${name} must stand in double quotes"));
            }
            Piece::Place { name: name @ ("window" | "labels"), .. } => {
                return Err(format!("query {metric}: ${name} must not stand in quotes"));
            }
            Piece::Place { name, .. } => {
                return Err(format!(
                    "query {metric}: there is no ${name}; there are $namespace, $name, $pods, $window and $labels"
                ));
            }
        }
    }
    Ok(())
}

enum Piece<'a> {
    Text(&'a str),
    /// `$name`, and the quotes it stands in.
    Place {
        name: &'a str,
        quote: Option<char>,
    },
}

/// A template's text and places, in order. A `$` that no letter follows is text: it ends a regular expression.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut quote, mut text) = (Vec::new(), None, 0);
    let mut letters = template.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (letter, quote) {
            ('\\', Some('"' | '\'')) => {
                letters.next();
            }
            ('"' | '\'' | '`', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            ('$', _) => {
                let rest = &template[at + 1..];
                let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
                if length > 0 {
                    pieces.push(Piece::Text(&template[text..at]));
                    pieces.push(Piece::Place { name: &rest[..length], quote });
                    text = at + 1 + length;
                    letters.nth(length - 1);
                }
            }
            _ => {}
        }
    }
    pieces.push(Piece::Text(&template[text..]));
    pieces
}

#[cfg(test)]
mod tests {
    use super::{super::config::tests::parsed, *};

    const STEP: Duration = Duration::from_secs(60);

    fn prometheus(more: &str) -> Prometheus {
        Prometheus::new("lab", parsed(&format!("url = 'http://127.0.0.1:1'\n{more}")))
    }

    fn scope<'a>(kind: &'a str, name: &'a str) -> Scope<'a> {
        Scope { kind, namespace: "shop", name }
    }

    fn asked(more: &str, metric: &str, scope: Scope<'_>) -> String {
        prometheus(more).metric(metric, scope, STEP).unwrap().promql
    }

    #[test]
    fn usual_metrics_are_asked_of_the_workloads_pods() {
        let queries: Vec<String> =
            METRICS.iter().map(|name| asked("", name, scope("Deployment", "checkout"))).collect();
        insta::assert_snapshot!(queries.join("\n"));
        for query in
            [usual("replicas", "DaemonSet"), usual("replicas", "StatefulSet"), usual("replicas", "Job")]
        {
            let query = QueryConfig { metric: "x".into(), kinds: vec![], promql: query.unwrap().into() };
            check(&query).unwrap();
        }
    }

    #[test]
    fn a_template_of_ones_own_comes_first_for_its_kinds() {
        let own = r#"
            labels = { cluster = "prod-eu" }
            [[query]]
            metric = "qps"
            kinds = ["StatefulSet"]
            promql = 'sum(rate(queries_total{$labels app="$name"}[$window]))'
            [[query]]
            metric = "lag"
            promql = 'max(lag{group="$name"})'
        "#;
        assert_eq!(
            asked(own, "qps", scope("StatefulSet", "db")),
            r#"sum(rate(queries_total{cluster="prod-eu", app="db"}[300s]))"#
        );
        assert!(
            asked(own, "qps", scope("Deployment", "db"))
                .contains("http_requests_total{cluster=\"prod-eu\", ")
        );
        assert_eq!(asked(own, "lag", scope("Job", "db")), r#"max(lag{group="db"})"#);
        let unknown = prometheus(own).metric("foo", scope("Job", "db"), STEP).unwrap_err();
        assert!(unknown.to_string().contains("memory-limits, lag"), "{unknown}");
    }

    #[test]
    fn a_name_never_becomes_code() {
        let name = "x\"} or vector(1) or up{a=\"\\\n.*";
        let query =
            asked("[[query]]\nmetric = 'a'\npromql = 'm{n=\"$name\",p=~\"$pods\"}'", "a", scope("Pod", name));
        assert_eq!(
            query,
            r#"m{n="x\"} or vector(1) or up{a=\"\\\u000a.*",p=~"x\"\\} or vector\\(1\\) or up\\{a=\"\\\\\u000a\\.\\*"}"#
        );
    }

    #[test]
    fn what_a_template_may_hold_is_checked_where_it_stands() {
        let flaw = |promql: &str| {
            check(&QueryConfig { metric: "a".into(), kinds: vec![], promql: promql.into() }).err()
        };
        assert_eq!(flaw(r#"m{a="$name",b=~"x$",c="\"$name"}[$window]"#), None);
        assert!(flaw("m{a='$name'}").unwrap().contains("must stand in double quotes"));
        assert!(flaw("m{a=\"b\"$name}").unwrap().contains("must stand in double quotes"));
        assert!(flaw("m{a=\"$window\"}").unwrap().contains("must not stand in quotes"));
        assert!(flaw("m{a=\"$pod\"}").unwrap().contains("there is no $pod;"));
        assert!(flaw(" ").unwrap().contains("promql is empty"));
    }

    #[test]
    fn only_pods_of_this_workload_are_its_pods() {
        let owns = |kind: &str, pod: &str| {
            let pattern = format!("^(?:{})$", pods(scope(kind, "checkout")));
            regex::Regex::new(&pattern).unwrap().is_match(pod)
        };
        assert!(owns("Deployment", "checkout-7d9f8c5b4-x2k4q"));
        assert!(!owns("Deployment", "checkout-api-x2k4q"), "a DaemonSet checkout-api");
        assert!(!owns("Deployment", "checkout-api-7d9f8c5b4-x2k4q"));
        assert!(owns("StatefulSet", "checkout-0") && !owns("StatefulSet", "checkout-db-0"));
        assert!(owns("CronJob", "checkout-29381-x2k4q"));
    }
}
