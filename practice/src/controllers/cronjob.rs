//! CronJobs: a Job at each time that the schedule names.

use super::{Control, Task, event};
use crate::delete::Options;
use crate::object::{self, holds, is_deleting, number, text};
use crate::store::Place;
use crate::write::Writer;
use jiff::civil::DateTime;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const SOURCE: &str = "cronjob-controller";

/// A cron expression of five fields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Day of month and day of week are alternatives when both are given.
    either_day: bool,
}

impl Schedule {
    pub fn parse(text: &str) -> Option<Schedule> {
        let expanded = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = expanded.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else { return None };
        let weekday_set = parse_field(weekdays, 0, 7, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"])?;
        Some(Schedule {
            minutes: parse_field(minutes, 0, 59, &[])?,
            hours: parse_field(hours, 0, 23, &[])?,
            days: parse_field(days, 1, 31, &[])?,
            months: parse_field(
                months,
                1,
                12,
                &["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
            )?,
            weekdays: (weekday_set | weekday_set >> 7) & 0x7f,
            either_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    fn matches(&self, time: DateTime) -> bool {
        let has = |set: u64, value: i8| set >> value & 1 == 1;
        let (day, weekday) =
            (has(self.days, time.day()), has(self.weekdays, time.weekday().to_sunday_zero_offset()));
        let on_day = if self.either_day { day || weekday } else { day && weekday };
        has(self.minutes, time.minute())
            && has(self.hours, time.hour())
            && has(self.months, time.month())
            && on_day
    }

    /// The first time after `after`, within five years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = after.to_zoned(zone.clone()).datetime();
        let mut time = start.date().at(start.hour(), start.minute(), 0, 0).checked_add(1.minute()).ok()?;
        let end = start.checked_add(5.years()).ok()?;
        while time < end {
            if self.months >> time.month() & 1 == 0 {
                time = time.date().first_of_month().at(0, 0, 0, 0).checked_add(1.month()).ok()?;
            } else if self.matches(time) {
                return time.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
            } else if self.hours >> time.hour() & 1 == 0 {
                time = time.date().at(time.hour(), 0, 0, 0).checked_add(1.hour()).ok()?;
            } else {
                time = time.checked_add(1.minute()).ok()?;
            }
        }
        None
    }
}

fn parse_field(field: &str, low: u32, high: u32, names: &[&str]) -> Option<u64> {
    let mut set = 0_u64;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let value = |text: &str| -> Option<u32> {
            let named = names
                .iter()
                .position(|name| !name.is_empty() && name.eq_ignore_ascii_case(text))
                .map(|index| index as u32);
            named.or_else(|| text.parse().ok()).filter(|value| (low..=high).contains(value))
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (low, high),
            Some((first, last)) => (value(first)?, value(last)?),
            None if step > 1 => (value(range)?, high),
            None => (value(range)?, value(range)?),
        };
        if first > last {
            return None;
        }
        for value in (first..=last).step_by(step as usize) {
            set |= 1 << value;
        }
    }
    Some(set)
}

pub(crate) fn sync(control: &mut Control<'_>, place: &Place) {
    let Some(cron) = control.get("cronjobs.batch", place) else { return };
    if is_deleting(&cron) {
        return;
    }
    let jobs = control.store.controlled(object::uid(&cron), "jobs.batch");
    let mut status = cron["status"].clone();
    if status.is_null() {
        status = json!({});
    }
    if let Some(last) = jobs
        .iter()
        .filter(|job| holds(job, "Complete"))
        .map(|job| text(job, &["status", "completionTime"]))
        .max()
    {
        status["lastSuccessfulTime"] = json!(last);
    }
    let active: Vec<&Arc<Value>> =
        jobs.iter().filter(|job| !holds(job, "Complete") && !holds(job, "Failed")).collect();
    let mut references: Vec<Value> = active.iter().map(|job| reference(job)).collect();
    if cron["spec"]["suspend"] != true
        && let Some(schedule) = Schedule::parse(text(&cron, &["spec", "schedule"]))
    {
        let zone = TimeZone::get(text(&cron, &["spec", "timeZone"])).unwrap_or(TimeZone::UTC);
        let now = Timestamp::now();
        let last: Option<Timestamp> = text(&status, &["lastScheduleTime"])
            .parse()
            .ok()
            .or_else(|| text(&cron, &["metadata", "creationTimestamp"]).parse().ok());
        let due = last.and_then(|last| schedule.next(last, &zone)).filter(|due| *due <= now);
        if let Some(due) = due {
            // Several missed times make one job, for the latest of them.
            let mut latest = due;
            while let Some(next) = schedule.next(latest, &zone).filter(|next| *next <= now) {
                latest = next;
            }
            let policy = text(&cron, &["spec", "concurrencyPolicy"]);
            if policy == "Forbid" && !active.is_empty() {
                event::record(
                    control,
                    &cron,
                    SOURCE,
                    false,
                    "JobAlreadyActive",
                    "Not starting job because prior execution is running and concurrency policy is Forbid",
                );
            } else {
                if policy == "Replace" {
                    active.iter().for_each(|job| remove(control, job));
                    references.clear();
                }
                references.extend(start(control, &cron, latest));
            }
            status["lastScheduleTime"] = json!(latest.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        if let Some(next) = schedule.next(now, &zone) {
            let wait = (next.as_second() - now.as_second()).max(1) as u64;
            control.work.after(Duration::from_secs(wait), Task::CronJob(place.clone()), false);
        }
    }
    if references.is_empty() {
        object::remove(&mut status, &["active"]);
    } else {
        status["active"] = Value::Array(references);
    }
    keep_few(control, &cron, &jobs);
    let resource = control.resource("cronjobs.batch");
    control.store.put_status(&resource, &cron, status);
}

fn reference(job: &Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "name": object::name(job), "namespace": object::namespace(job), "uid": object::uid(job), "resourceVersion": object::version(job)})
}

fn start(control: &mut Control<'_>, cron: &Value, at: Timestamp) -> Option<Value> {
    let template = &cron["spec"]["jobTemplate"];
    let mut annotations = template["metadata"]["annotations"].clone();
    object::set(
        &mut annotations,
        &["batch.kubernetes.io/cronjob-scheduled-timestamp"],
        json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    );
    let job = json!({"metadata": {"name": format!("{}-{}", object::name(cron), at.as_second() / 60), "labels": template["metadata"]["labels"], "annotations": annotations,
        "ownerReferences": [object::owner_reference(cron)]}, "spec": template["spec"]});
    let resource = control.resource("jobs.batch");
    let job = control.store.create(&resource, object::namespace(cron), job, &Writer::CONTROLLER).ok()?;
    event::record(
        control,
        cron,
        SOURCE,
        false,
        "SuccessfulCreate",
        &format!("Created job {}", object::name(&job)),
    );
    Some(reference(&job))
}

fn remove(control: &mut Control<'_>, job: &Value) {
    let resource = control.resource("jobs.batch");
    let options = Options { propagation: Some("Background".into()), ..Options::default() };
    let _ = control.store.delete(&resource, object::namespace(job), object::name(job), &options);
}

fn keep_few(control: &mut Control<'_>, cron: &Value, jobs: &[Arc<Value>]) {
    for (kind, field) in [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")] {
        let limit = number(cron, &["spec", field]).unwrap_or(1).max(0) as usize;
        let mut done: Vec<&Arc<Value>> = jobs.iter().filter(|job| holds(job, kind)).collect();
        done.sort_by_key(|job| text(job, &["status", "startTime"]).to_owned());
        let surplus = done.len().saturating_sub(limit);
        done.into_iter().take(surplus).for_each(|job| remove(control, job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn next(schedule: &str, after: &str) -> String {
        Schedule::parse(schedule).unwrap().next(after.parse().unwrap(), &TimeZone::UTC).unwrap().to_string()
    }

    #[test]
    fn the_next_time_of_a_schedule_is_found() {
        assert_eq!(next("0 2 * * *", "2026-11-21T08:00:00Z"), "2026-11-22T02:00:00Z");
        assert_eq!(next("*/15 * * * *", "2026-11-21T08:50:00Z"), "2026-11-21T09:00:00Z");
        assert_eq!(next("30 4 29 2 *", "2026-11-21T08:50:00Z"), "2028-02-29T04:30:00Z");
        assert_eq!(next("0 9 * * mon-fri", "2026-11-21T08:50:00Z"), "2026-11-23T09:00:00Z");
        assert_eq!(next("0 0 13 * 5", "2026-11-21T08:50:00Z"), "2026-11-27T00:00:00Z");
    }

    proptest! {
        #[test]
        fn no_schedule_text_panics(text in "[0-9*/,a-z @-]{0,30}") {
            if let Some(schedule) = Schedule::parse(&text) {
                let _ = schedule.next("2026-11-21T08:00:00Z".parse().unwrap(), &TimeZone::UTC);
            }
        }
    }
}
