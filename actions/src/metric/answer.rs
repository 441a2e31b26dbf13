//! What Prometheus says, in our words.

use super::error::MetricError;
use prometheus_http_query::response::{self, Data};
use serde::Deserialize;
use std::collections::BTreeMap;

/// An answer, and whether all of it is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured<T> {
    /// What was asked for.
    pub data: T,
    /// Prometheus' warnings: not every store answered, so that parts may be missing. Empty: all is there.
    pub warnings: Vec<String>,
}

/// One number, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// A finite number.
    Value(f64),
    /// There is a sample, and it is NaN or infinite: 0/0 where nothing happened.
    NotANumber,
    /// There is no sample.
    Missing,
}

impl Reading {
    /// The number, if it is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Reading::Value(value) => Some(value),
            Reading::NotANumber | Reading::Missing => None,
        }
    }
}

/// One series at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// As Prometheus gives it; may be NaN or infinite.
    pub value: f64,
}

/// One series over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Unix seconds and values, oldest first. Moments without a sample are not among them.
    pub points: Vec<(i64, f64)>,
}

/// What every answer of the API looks like: <https://prometheus.io/docs/prometheus/latest/querying/api/>. The library's own
/// type leaves out the warnings.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope {
    status: String,
    data: Option<Data>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
}

/// What was asked, for errors.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub cluster: &'a str,
    pub query: &'a str,
    pub seconds: u64,
}

impl Asked<'_> {
    /// What the body of an answer means.
    pub fn read(&self, status: u16, body: &[u8]) -> Result<(Data, Vec<String>), MetricError> {
        let cluster = self.cluster.to_string();
        if matches!(status, 401 | 403) {
            return Err(MetricError::SignIn { cluster, status });
        }
        let envelope = match serde_json::from_slice::<Envelope>(body) {
            Ok(envelope) => envelope,
            Err(error) => {
                let text: String = String::from_utf8_lossy(body).chars().take(120).collect();
                return Err(match status {
                    200 => MetricError::Unreadable { cluster, why: error.to_string() },
                    500.. => MetricError::Unavailable { cluster, why: format!("{status} {}", text.trim()) },
                    _ => MetricError::Unreadable { cluster, why: format!("{status} {}", text.trim()) },
                });
            }
        };
        match (envelope.status.as_str(), envelope.data) {
            ("success", Some(data)) => Ok((data, envelope.warnings)),
            ("success", None) => Err(MetricError::Unreadable { cluster, why: "no data".into() }),
            _ => Err(self.refused(&envelope.error_type, envelope.error)),
        }
    }

    fn refused(&self, kind: &str, why: String) -> MetricError {
        let cluster = self.cluster.to_string();
        match kind {
            "timeout" => MetricError::Timeout { cluster, seconds: self.seconds },
            "bad_data" | "execution" => MetricError::Query { cluster, why, query: self.query.to_string() },
            _ => MetricError::Unavailable { cluster, why },
        }
    }
}

/// An instant answer. A scalar is a sample without labels.
pub(super) fn samples(data: Data) -> Result<Vec<Sample>, &'static str> {
    match data {
        Data::Vector(vector) => Ok(vector
            .into_iter()
            .map(|one| {
                let (labels, sample) = one.into_inner();
                Sample { labels: labels.into_iter().collect(), value: sample.value() }
            })
            .collect()),
        Data::Scalar(sample) => Ok(vec![Sample { labels: BTreeMap::new(), value: sample.value() }]),
        Data::Matrix(_) => Err("a range where an instant was asked"),
    }
}

/// Adds a piece of a range to what came before.
pub(super) fn gather(
    lines: &mut BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>>,
    data: Data,
) -> Result<(), &'static str> {
    let Data::Matrix(matrix) = data else { return Err("an instant where a range was asked") };
    for one in matrix {
        let (labels, samples) = one.into_inner();
        let points = samples
            .iter()
            .map(|sample: &response::Sample| (sample.timestamp().round() as i64, sample.value()));
        lines.entry(labels.into_iter().collect()).or_default().extend(points);
    }
    Ok(())
}

/// One number out of an instant answer.
pub(super) fn reading(samples: &[Sample], query: &str) -> Result<Reading, MetricError> {
    match samples {
        [] => Ok(Reading::Missing),
        [one] if one.value.is_finite() => Ok(Reading::Value(one.value)),
        [_] => Ok(Reading::NotANumber),
        several => Err(MetricError::Several { count: several.len(), query: query.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'static> = Asked { cluster: "lab", query: "up", seconds: 5 };

    fn value(result: &str) -> Result<Reading, MetricError> {
        let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#);
        let (data, _) = ASKED.read(200, body.as_bytes())?;
        reading(&samples(data).unwrap(), "up")
    }

    #[test]
    fn a_value_no_value_and_no_number_are_three_things() {
        assert_eq!(value(r#"{"metric":{},"value":[1,"0"]}"#).unwrap(), Reading::Value(0.0));
        assert_eq!(value("").unwrap(), Reading::Missing);
        for strange in ["NaN", "+Inf", "-Inf"] {
            let sample = format!(r#"{{"metric":{{}},"value":[1,"{strange}"]}}"#);
            assert_eq!(value(&sample).unwrap(), Reading::NotANumber, "{strange}");
        }
        let two = r#"{"metric":{"a":"1"},"value":[1,"0"]},{"metric":{"a":"2"},"value":[1,"0"]}"#;
        assert!(value(two).unwrap_err().to_string().contains("has 2 results where one is wanted"));
    }

    #[test]
    fn a_partial_answer_keeps_its_warnings() {
        let body = r#"{"status":"success","warnings":["store eu-2 is down"],"data":{"resultType":"scalar","result":[1,"4"]}}"#;
        let (data, warnings) = ASKED.read(200, body.as_bytes()).unwrap();
        assert_eq!(samples(data).unwrap()[0].value, 4.0);
        assert_eq!(warnings, ["store eu-2 is down"]);
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let said = |status: u16, body: &str| ASKED.read(status, body.as_bytes()).unwrap_err().to_string();
        let refused = |kind: &str| format!(r#"{{"status":"error","errorType":"{kind}","error":"why"}}"#);
        insta::assert_snapshot!(
            [
                said(400, &refused("bad_data")),
                said(422, &refused("execution")),
                said(503, &refused("timeout")),
                said(500, &refused("internal")),
                said(401, "no"),
                said(404, "<html>not here</html>"),
                said(502, "bad gateway"),
                said(200, "<html>sign in</html>"),
            ]
            .join("\n")
        );
    }
}
