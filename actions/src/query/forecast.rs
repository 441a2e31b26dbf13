//! `forecast`: the load of a workload as it will probably be, how sure that is and why; or why it cannot be said.

use super::{Answer, Plot, Query, QueryError, events};
use crate::{
    catalogue::{Quantity, accept},
    cluster::{Cluster, ClusterError},
    metric::{History, MetricError, NoForecast, Scope, account, amount, moment},
};
use ::forecast::{Forecast, Series};
use futures::future::BoxFuture;
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde_json::Value;
use std::time::Duration;

/// Kinds whose load goes on.
pub(crate) const WORKLOADS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet"];

/// See the module.
pub struct ForecastLoad;

impl Query for ForecastLoad {
    fn name(&self) -> &'static str {
        "forecast"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("forecast")
            .about("Show the load that a workload will probably have, and how sure that is")
            .arg(
                clap::Arg::new("target")
                    .value_name("KIND/NAME")
                    .required(true)
                    .help("Whose load: deploy/checkout"),
            )
            .arg(
                clap::Arg::new("metric")
                    .long("metric")
                    .value_name("METRIC")
                    .default_value("cpu")
                    .help("cpu, memory, qps, replicas, or one of the config"),
            )
            .arg(
                clap::Arg::new("horizon")
                    .long("horizon")
                    .value_name("TIME")
                    .default_value("24h")
                    .value_parser(horizon)
                    .help("How far ahead: 6h, 24h, 7d"),
            )
            .after_help("Example: forecast deploy/checkout --horizon 24h -n shop -c prod-eu")
    }

    fn answer<'a>(
        &'a self,
        cluster: &'a Cluster,
        namespace: Option<&'a str>,
        matches: &'a clap::ArgMatches,
    ) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(async move {
            let text = |name: &str| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
            let horizon = matches.get_one::<Duration>("horizon").copied().unwrap_or_default();
            look(cluster, namespace, text("target"), text("metric"), horizon, Timestamp::now()).await
        })
    }
}

/// From half an hour to thirty days.
fn horizon(text: &str) -> Result<Duration, String> {
    let span: Span = text.parse().map_err(|_| format!("'{text}' is not a time; write 6h, 24h or 7d"))?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok();
    let length = length.and_then(|length| Duration::try_from(length).ok());
    let range = Duration::from_secs(1800)..=Duration::from_secs(30 * 86_400);
    length
        .filter(|length| range.contains(length))
        .ok_or_else(|| format!("{text} is too far or too near; from 30m to 30d"))
}

async fn look(
    cluster: &Cluster,
    namespace: Option<&str>,
    typed: &str,
    metric: &str,
    horizon: Duration,
    now: Timestamp,
) -> Result<Answer, QueryError> {
    let (history, object) = past(cluster, namespace, typed, metric, horizon, now).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let subject = Subject {
        metric: metric.to_string(),
        workload: format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"])),
        place: super::place(cluster, namespace),
        horizon,
        room: room(&object, metric),
    };
    // Some tens of milliseconds of arithmetic, which the async threads are not for.
    let answer = tokio::task::spawn_blocking(move || subject.answer(history, now)).await;
    answer.map_err(|_| given_up())
}

/// The measured past of a workload, and the workload as it stands.
async fn past(
    cluster: &Cluster,
    namespace: Option<&str>,
    typed: &str,
    metric: &str,
    horizon: Duration,
    now: Timestamp,
) -> Result<(History, Value), QueryError> {
    let target = events::reference(typed, namespace)?;
    accept(&target.kind, WORKLOADS, "has no load that goes on").map_err(QueryError::Invalid)?;
    let prometheus = cluster.prometheus()?;
    let mut object = match cluster.get(&target).await {
        Err(error @ ClusterError::NotFound { .. }) => return Err(QueryError::Invalid(error.to_string())),
        object => object?,
    };
    object["kind"] = target.kind.as_str().into();
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let scope = Scope { kind: &target.kind, namespace, name: &target.name };
    match prometheus.history(metric, scope, horizon, now).await {
        Err(error @ MetricError::NoQuery { .. }) => Err(QueryError::Invalid(error.to_string())),
        history => Ok((history?, object)),
    }
}

/// The load to be ready for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The highest within the time asked for, in the metric's unit.
    pub value: f64,
    /// When, in Unix seconds.
    pub at: i64,
    /// Of the newest sample that it rests on, in Unix seconds.
    pub newest: i64,
}

/// What a workload's load stays below with probability `quantile` until `ahead` is over, at its highest. Partial data is no ground to
/// scale on: warnings are errors here.
pub async fn expected(
    cluster: &Cluster,
    namespace: &str,
    typed: &str,
    metric: &str,
    ahead: Duration,
    quantile: f64,
    now: Timestamp,
) -> Result<Expected, QueryError> {
    let (history, _) = past(cluster, Some(namespace), typed, metric, ahead, now).await?;
    if !history.warnings.is_empty() {
        return Err(NoForecast::Refused(format!("parts are missing: {}", history.warnings.join("; "))).into());
    }
    let newest = history.newest.unwrap_or_default();
    let told = tokio::task::spawn_blocking(move || history.forecast(ahead, now)).await;
    let (series, forecast) = told.map_err(|_| given_up())??;
    let values = forecast.quantile(quantile);
    let highest = (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b]).then(b.cmp(a)));
    let highest = highest.ok_or_else(given_up)?;
    let at = series.time_at(series.values().len() + highest).unwrap_or_default();
    Ok(Expected { value: values[highest], at, newest })
}

fn given_up() -> QueryError {
    QueryError::Invalid("the forecast was given up; that is a mistake of ours".into())
}

/// What is asked about.
struct Subject {
    metric: String,
    workload: String,
    place: String,
    horizon: Duration,
    room: Room,
}

/// What the workload may use as it stands, all replicas together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Room {
    requests: Option<f64>,
    limits: Option<f64>,
}

impl Room {
    /// What is hit first when the load grows beyond what was planned.
    fn capacity(self) -> Option<(f64, &'static str)> {
        self.limits.map(|limit| (limit, "limit")).or(self.requests.map(|request| (request, "request")))
    }
}

fn room(workload: &Value, metric: &str) -> Room {
    if !matches!(metric, "cpu" | "memory") {
        return Room::default();
    }
    let replicas = match workload["kind"].as_str() {
        Some("DaemonSet") => &workload["status"]["desiredNumberScheduled"],
        _ => &workload["spec"]["replicas"],
    };
    let replicas = replicas.as_u64().unwrap_or(1) as f64;
    let containers = workload["spec"]["template"]["spec"]["containers"].as_array();
    // A container that says nothing may use any amount: then there is no limit to all of them.
    let sum = |what: &str| {
        let each = containers
            .into_iter()
            .flatten()
            .map(|container| container["resources"][what][metric].as_str()?.parse::<Quantity>().ok());
        let sum: Quantity = each.collect::<Option<Vec<_>>>()?.into_iter().sum();
        Some(sum.millis() as f64 / 1000.0 * replicas).filter(|sum| *sum > 0.0)
    };
    Room { requests: sum("requests"), limits: sum("limits") }
}

impl Subject {
    fn answer(&self, history: History, now: Timestamp) -> Answer {
        let warnings = history.warnings.clone();
        match history.forecast(self.horizon, now) {
            Ok((series, forecast)) => self.told(series, forecast, &warnings),
            Err(reason) => self.refusal(&reason.to_string(), &warnings),
        }
    }

    fn title(&self) -> String {
        let ahead = super::age::duration(self.horizon.as_secs() as i64);
        format!("{} of {} in {}, next {ahead}", self.metric, self.workload, self.place)
    }

    fn refusal(&self, why: &str, warnings: &[String]) -> Answer {
        Answer {
            title: format!("No forecast: {}", self.title()),
            text: Some(format!("{}{}.", why[..1].to_uppercase(), &why[1..])),
            fields: partial(warnings).into_iter().collect(),
            ..Answer::default()
        }
    }

    fn told(&self, series: Series, forecast: Forecast, warnings: &[String]) -> Answer {
        let (near, far) = (forecast.interval(0.8), forecast.interval(0.95));
        let (history, now) = (series.values(), series.values().len());
        let say = |value: f64| amount(&self.metric, value);
        let Some(peak) = (0..forecast.mean.len())
            .max_by(|a, b| forecast.mean[*a].total_cmp(&forecast.mean[*b]).then(b.cmp(a)))
        else {
            return self.refusal("nothing was asked for", warnings);
        };
        let expected = forecast.mean[peak];
        let mut text = format!(
            "Expected to peak at {} around {} (80 %: {} to {}).",
            say(expected),
            moment(&series, now + peak),
            say(near.lower[peak]),
            say(near.upper[peak])
        );
        if let Some((capacity, what)) = self.room.capacity() {
            let crossing = |values: &[f64]| values.iter().position(|value| *value > capacity);
            let at = |step: usize| moment(&series, now + step);
            let said = match (crossing(&forecast.mean), crossing(&far.upper)) {
                (Some(step), _) => format!("More than the {what} of {} from {} on", say(capacity), at(step)),
                (None, Some(step)) => {
                    format!(
                        "In bad cases (95 %) more than the {what} of {}, from {} on",
                        say(capacity),
                        at(step)
                    )
                }
                (None, None) => {
                    format!("That is {:.0} % of the {what} of {}", expected / capacity * 100.0, say(capacity))
                }
            };
            text.push_str(&format!(" {said}."));
        }
        let last = history.iter().rev().find(|value| value.is_finite()).copied().unwrap_or(f64::NAN);
        let worst = far.upper.iter().copied().fold(f64::MIN, f64::max);
        let mut fields = vec![
            ("now".to_string(), say(last)),
            ("peak".to_string(), format!("{}, 95 %: up to {}", say(expected), say(worst))),
        ];
        let room = [("requests", self.room.requests), ("limits", self.room.limits)];
        let said = |value: Option<f64>| value.map_or_else(|| "none".into(), say);
        if matches!(self.metric.as_str(), "cpu" | "memory") {
            fields.extend(room.map(|(name, value)| (name.to_string(), said(value))));
        }
        fields.extend(account(&series, &forecast).into_iter().map(|(label, text)| (label.to_string(), text)));
        fields.extend(partial(warnings));
        let plot = Plot {
            title: format!("{} ({})", self.title(), unit(&self.metric)),
            alt: format!("{}: {text}", self.title()),
            capacity: self.room.capacity().map(|(capacity, _)| capacity),
            proposal: Vec::new(),
            series,
            forecast,
        };
        Answer {
            title: self.title(),
            text: Some(text),
            fields,
            plot: Some(Box::new(plot)),
            ..Answer::default()
        }
    }
}

fn unit(metric: &str) -> &str {
    match metric {
        "cpu" => "cores",
        "memory" => "bytes",
        "qps" => "requests a second",
        "replicas" => "pods",
        _ => "as measured",
    }
}

fn partial(warnings: &[String]) -> Option<(String, String)> {
    let text = format!("Prometheus warns that parts may be missing: {}", warnings.join("; "));
    (!warnings.is_empty()).then(|| ("partial".to_string(), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const START: i64 = 1_767_225_600;

    fn subject(requests: Option<f64>, limits: Option<f64>) -> Subject {
        Subject {
            metric: "cpu".into(),
            workload: "Deployment checkout".into(),
            place: "prod-eu/shop".into(),
            horizon: Duration::from_secs(24 * 3600),
            room: Room { requests, limits },
        }
    }

    /// A daily wave between 0.5 and 1.5 cores every five minutes, highest at 18:00.
    fn history(days: i64) -> (History, Timestamp) {
        let wave = |step: i64| 1.0 - 0.5 * ((step % 288) as f64 / 288.0 * std::f64::consts::TAU).sin();
        let values: Vec<f64> = (0..days * 288).map(wave).collect();
        let newest = START + (values.len() as i64 - 1) * 300;
        let series = Series::new(values).every(Duration::from_secs(300)).starting_at(START);
        let history =
            History { promql: "up".into(), series: Some(series), newest: Some(newest), warnings: vec![] };
        (history, Timestamp::from_second(newest + 60).unwrap())
    }

    #[test]
    fn the_peak_is_said_with_its_time_its_band_and_what_there_is_room_for() {
        let (past, now) = history(14);
        let answer = subject(Some(2.0), None).answer(past, now);
        assert_eq!(answer.title, "cpu of Deployment checkout in prod-eu/shop, next 24h");
        let text = answer.text.unwrap();
        assert!(
            text.starts_with("Expected to peak at 1.5 cores around 2026-01-15 18:00 UTC (80 %: 1."),
            "{text}"
        );
        assert!(text.ends_with("That is 75 % of the request of 2 cores."), "{text}");
        let labels: Vec<&str> = answer.fields.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "now",
                "peak",
                "requests",
                "limits",
                "seasons",
                "trend turns",
                "made of",
                "backtest",
                "baseline",
                "held"
            ]
        );
        let plot = answer.plot.unwrap();
        assert_eq!((plot.forecast.mean.len(), plot.capacity), (288, Some(2.0)));
    }

    #[test]
    fn a_limit_that_will_be_passed_is_said_with_the_moment() {
        let (past, now) = history(14);
        let text = subject(Some(2.0), Some(1.25)).answer(past, now).text.unwrap();
        assert!(text.contains("More than the limit of 1.25 cores from 2026-01-15 14:"), "{text}");
    }

    #[test]
    fn there_is_no_number_where_it_would_not_be_honest() {
        let refused = |past: History, now: Timestamp| {
            let answer = subject(None, None).answer(past, now);
            assert!(answer.title.starts_with("No forecast: cpu of") && answer.plot.is_none());
            answer.text.unwrap()
        };
        let (past, now) = history(14);
        assert!(refused(History { series: None, newest: None, ..past }, now).contains("no sample of it: up"));
        let (past, now) = history(14);
        let later = now + jiff::SignedDuration::from_hours(3);
        assert!(refused(past, later).starts_with("The newest sample is 3h1m old; look"));
        let (mut past, now) = history(14);
        let short = past.series.as_ref().unwrap().values()[..40].to_vec();
        past.series = Some(Series::new(short).every(Duration::from_secs(300)));
        let said = refused(past, now);
        assert!(said.starts_with("3h20m of history is too short, 24h ahead needs "), "{said}");
        let (mut past, now) = history(14);
        let values = past
            .series
            .unwrap()
            .values()
            .iter()
            .enumerate()
            .map(|(i, v)| if i % 3 == 0 { *v } else { f64::NAN })
            .collect();
        past.series = Some(Series::new(values).every(Duration::from_secs(300)));
        assert!(refused(past, now).contains("samples are missing"));
    }

    #[test]
    fn a_partial_answer_says_so() {
        let (mut past, now) = history(14);
        past.warnings = vec!["store eu-2 is down".into()];
        let (label, text) = subject(None, None).answer(past, now).fields.pop().unwrap();
        assert!(label == "partial" && text.ends_with("store eu-2 is down"));
    }

    #[test]
    fn room_is_that_of_all_replicas_and_none_where_a_container_is_silent() {
        let workload = |second: Value| {
            json!({"kind": "Deployment", "spec": {"replicas": 4, "template": {"spec": {"containers": [
                {"resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "1"}}}, second]}}}})
        };
        let both = workload(json!({"resources": {"requests": {"cpu": "0.5"}, "limits": {"cpu": "500m"}}}));
        assert_eq!(room(&both, "cpu"), Room { requests: Some(3.0), limits: Some(6.0) });
        assert_eq!(room(&both, "memory"), Room::default());
        assert_eq!(room(&workload(json!({})), "cpu"), Room::default());
        assert_eq!(room(&both, "qps"), Room::default());
    }

    #[test]
    fn horizons_are_times_within_reason() {
        assert_eq!(horizon("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(horizon("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "soon", "5m", "-1d", "90d", "1y"] {
            assert!(horizon(wrong).is_err(), "{wrong}");
        }
    }
}
