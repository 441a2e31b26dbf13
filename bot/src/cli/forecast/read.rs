//! Long CSV: `series_id,idx,value` or `series_id,ts,value`, in any order of rows.

use anyhow::{Context, Result, bail};
use forecast::Series;
use jiff::Timestamp;
use std::{collections::HashMap, io::Read};

/// The most steps that one series may span: a typing mistake in an index must not ask for all memory.
const LONGEST: i64 = 50_000_000;

/// All series, in the order in which they first appear.
pub fn series(input: impl Read) -> Result<Vec<(String, Series)>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
    let header = reader.headers().context("line 1")?.clone();
    let column =
        |names: &[&str]| header.iter().position(|name| names.contains(&name.to_ascii_lowercase().as_str()));
    let (Some(id), Some(value)) = (column(&["series_id"]), column(&["value"])) else {
        bail!(
            "line 1: the columns are series_id, idx or ts, and value; found {}",
            header.iter().collect::<Vec<_>>().join(",")
        );
    };
    let (place, timed) = match (column(&["idx"]), column(&["ts"])) {
        (Some(place), None) => (place, false),
        (None, Some(place)) => (place, true),
        _ => bail!("line 1: one column, idx or ts, says where a value stands"),
    };
    let mut order: Vec<(String, Vec<(i64, f64)>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row)? {
        let line = row.position().map_or(0, csv::Position::line);
        let at = match timed {
            true => time(&row[place]),
            false => row[place].parse().ok(),
        };
        let wants =
            if timed { "a time; write RFC 3339 or Unix seconds" } else { "an index; write a whole number" };
        let at: i64 = at.with_context(|| format!("line {line}: '{}' is not {wants}", &row[place]))?;
        let number =
            number(&row[value]).with_context(|| format!("line {line}: '{}' is not a number", &row[value]))?;
        let index = *known.entry(row[id].to_string()).or_insert_with(|| {
            order.push((row[id].to_string(), Vec::new()));
            order.len() - 1
        });
        order[index].1.push((at, number));
    }
    if order.is_empty() {
        bail!("there are no rows");
    }
    order
        .into_iter()
        .map(|(name, points)| {
            let series = if timed { Series::from_samples(points)? } else { placed(points)? };
            anyhow::Ok((name, series))
        })
        .map(|one| one.context("a series cannot be laid out"))
        .collect()
}

/// By index: what is not named is a gap.
fn placed(mut points: Vec<(i64, f64)>) -> Result<Series> {
    points.sort_by_key(|(at, _)| *at);
    if let Some(twice) = points.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        bail!("index {} is there twice", twice[0].0);
    }
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let span = last.checked_sub(first).filter(|span| *span < LONGEST);
    let span = span.with_context(|| format!("indices run from {first} to {last}, which is too far"))?;
    let mut values = vec![f64::NAN; span as usize + 1];
    for (at, value) in points {
        values[(at - first) as usize] = value;
    }
    Ok(Series::new(values))
}

fn time(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().map(|at| at.as_second()).or_else(|_| text.parse()).ok()
}

/// Empty, `NaN` and `null` are gaps.
fn number(text: &str) -> Option<f64> {
    match text {
        "" | "null" => Some(f64::NAN),
        text => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Series)>> {
        series(text.as_bytes())
    }

    #[test]
    fn rows_may_be_mixed_and_holes_are_gaps() {
        let all = read("series_id,idx,value\nb,3,3\na,0,1\nb,0,0\nb,1,\na,1,2.5\n").unwrap();
        assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        let b = all[0].1.values();
        assert!(b.len() == 4 && b[0] == 0.0 && b[1].is_nan() && b[2].is_nan() && b[3] == 3.0);
        assert_eq!(all[1].1.values(), [1.0, 2.5]);
    }

    #[test]
    fn times_are_rfc_3339_or_unix_seconds() {
        for rows in ["2026-01-01T00:00:00Z,1\na,2026-01-01T00:05:00Z,2", "1767225600,1\na,1767225900,2"] {
            let all = read(&format!("series_id,ts,value\na,{rows}\n")).unwrap();
            assert_eq!(all[0].1.step().map(|step| step.as_secs()), Some(300), "{rows}");
            assert_eq!(all[0].1.time_at(0), Some(1_767_225_600));
        }
    }

    #[test]
    fn mistakes_name_their_line() {
        let said = |text: &str| format!("{:#}", read(text).unwrap_err());
        assert!(said("series_id,idx,value\na,0,1\na,x,2\n").contains("line 3: 'x' is not an index"));
        assert!(said("series_id,idx,value\na,0,one\n").contains("line 2: 'one' is not a number"));
        assert!(said("id,idx,value\n").contains("line 1: the columns are series_id"));
        assert!(said("series_id,value\na,1\n").contains("one column, idx or ts"));
        assert!(said("series_id,idx,value\na,1,1\na,1,2\n").contains("index 1 is there twice"));
        assert!(said("series_id,idx,value\na,0,1\na,9000000000000,2\n").contains("too far"));
        assert!(said("series_id,idx,value\n").contains("no rows"));
    }
}
