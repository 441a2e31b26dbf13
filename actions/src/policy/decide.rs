//! The decision itself: freezes, caps, then the first rule that matches. Pure.
//!
//! What cannot be evaluated counts against the ask: a freeze, cap or refusing rule whose condition fails is in force, an
//! allowing or approving rule whose condition fails is passed over.

use super::{
    Explained, Facts, Policy, Who,
    condition::{Condition, holds},
    rule::{BREAK_GLASS, Cap, Limit, QUERY, Rule, Then},
    vocabulary::{Doing, Scene},
};
use cel::Context;
use jiff::Timestamp;
use ledger::{Ask, Ceiling, Counted, Decision, Full, Quorum, Refusal, Share};
use std::collections::BTreeMap;

/// The rule's name in a decision that no rule made.
pub const DEFAULT_RULE: &str = "default";

impl Policy {
    /// The decision.
    pub fn decide(&self, facts: Facts<'_>) -> Explained {
        let mut trace = Vec::new();
        let decision = self.judge(&facts, &mut trace);
        Explained { decision, trace }
    }

    fn judge(&self, facts: &Facts<'_>, trace: &mut Vec<String>) -> Decision {
        let ask = facts.ask;
        let key = key(ask);
        if ask.break_glass && !has_why(ask) {
            trace.push("break-glass always needs a reason".to_string());
            let reason = "Breaking the glass always needs a reason: add --why \"...\".".to_string();
            return Decision::Refuse { rule: BREAK_GLASS.to_string(), reason };
        }
        let context = self.scene(facts).bind(&self.env);
        if let Some(refusal) = self.frozen(key, facts, &context, trace) {
            return refusal;
        }
        if let Some(refusal) = self.capped(key, facts, &context, trace) {
            return refusal;
        }
        match self.first_match(key, ask.with_person.as_deref(), &context, trace) {
            Some(rule) => self.apply(rule, facts, trace),
            None => {
                trace.push(format!("no rule for {key} matched: refused by default"));
                let way = if ask.break_glass { "No break-glass rule" } else { "No rule" };
                let way = match &ask.with_person {
                    Some(why) => {
                        format!("A person must agree ({why}), and no rule with decide = \"approve\"")
                    }
                    None => way.to_string(),
                };
                let reason = format!(
                    "{way} lets {who} {action} on {cluster}. To change that, add a [[rule]] with action = \"{key}\" and \
                     decide = \"allow\" or \"approve\" to the policy file.",
                    who = facts.who.person,
                    action = ask.action,
                    cluster = facts.plan.target.cluster,
                );
                Decision::Refuse { rule: DEFAULT_RULE.to_string(), reason }
            }
        }
    }

    fn frozen(
        &self,
        key: &str,
        facts: &Facts<'_>,
        context: &Context<'_, '_>,
        trace: &mut Vec<String>,
    ) -> Option<Decision> {
        for freeze in &self.freezes {
            let name = &freeze.name;
            let Some(end) = freeze.until(facts.now) else {
                trace.push(format!("freeze \"{name}\": not now"));
                continue;
            };
            if freeze.except.contains(key) {
                trace.push(format!("freeze \"{name}\": {key} may pass"));
                continue;
            }
            if !strict(freeze.when.as_ref(), context, &format!("freeze \"{name}\""), "in force", trace) {
                continue;
            }
            let reason =
                format!("Frozen by \"{name}\" until {} {}.", end.format("%a %Y-%m-%d %H:%M"), freeze.zone);
            let way_out =
                if freeze.except.contains(BREAK_GLASS) { " If it cannot wait: break-glass." } else { "" };
            return Some(Decision::Refuse { rule: format!("freeze {name}"), reason: reason + way_out });
        }
        None
    }

    fn capped(
        &self,
        key: &str,
        facts: &Facts<'_>,
        context: &Context<'_, '_>,
        trace: &mut Vec<String>,
    ) -> Option<Decision> {
        for cap in self.caps.iter().filter(|cap| !cap.except.contains(key)) {
            let name = &cap.name;
            let (have, most) = cap.count(facts.activity);
            if have < most {
                trace.push(format!("cap \"{name}\": {have} of {most}"));
                continue;
            }
            if strict(
                cap.when.as_ref(),
                context,
                &format!("cap \"{name}\" ({have} of {most})"),
                "reached",
                trace,
            ) {
                let reason = too_many(name, cap.each, cap.limit, have, facts.who, facts.ask);
                return Some(Decision::Refuse { rule: cap_rule(name), reason });
            }
        }
        None
    }

    /// The caps at once that this ask comes under, for the transaction that would add one more: [`Policy::decide`] sees
    /// counts that may be a moment old.
    pub fn ceilings(&self, facts: Facts<'_>) -> Vec<Ceiling> {
        let key = key(facts.ask);
        let caps: Vec<(&Cap, u32)> =
            self.caps.iter().filter(|cap| !cap.except.contains(key)).filter_map(Cap::at_once).collect();
        if caps.is_empty() {
            return Vec::new();
        }
        let context = self.scene(&facts).bind(&self.env);
        let caps =
            caps.into_iter().filter(|(cap, _)| strict(cap.when.as_ref(), &context, "", "", &mut Vec::new()));
        caps.map(|(cap, at_once)| Ceiling { cap: cap.name.clone(), each: cap.each, at_once }).collect()
    }

    /// The counts that some cap needs.
    pub fn counted(&self) -> Counted {
        let mut counted = Counted::default();
        for cap in &self.caps {
            match (cap.limit, cap.each) {
                (Limit::PerHour(_), Share::Person) => counted.person_last_hour = true,
                (Limit::PerHour(_), Share::Action) => counted.action_last_hour = true,
                (Limit::PerHour(_), Share::Cluster) => counted.cluster_last_hour = true,
                (Limit::AtOnce(_), _) => counted.running = true,
            }
        }
        counted
    }

    /// Is there any cap at once? Without one, nobody needs to ask for [`Policy::ceilings`].
    pub fn has_ceilings(&self) -> bool {
        self.caps.iter().any(|cap| cap.at_once().is_some())
    }

    fn scene<'v>(&self, facts: &Facts<'v>) -> Scene<'v> {
        Scene {
            who: facts.who,
            action: &facts.ask.action,
            cluster: &facts.plan.target.cluster,
            labels: facts.cluster_labels,
            doing: Some(Doing {
                actor: &facts.ask.actor,
                plan: facts.plan,
                busy: facts.activity.target_busy.is_some(),
            }),
            now: facts.now,
            zone: self.zone,
        }
    }

    /// The rule that decides. Where a person must agree, a rule that would allow it alone is none.
    fn first_match(
        &self,
        key: &str,
        with_person: Option<&str>,
        context: &Context<'_, '_>,
        trace: &mut Vec<String>,
    ) -> Option<&Rule> {
        self.rules.iter().find(|rule| {
            let name = &rule.name;
            if !rule.actions.contains(key) {
                trace.push(format!("rule \"{name}\": not about {key}"));
                return false;
            }
            let subject = format!("rule \"{name}\"");
            if let (Some(why), Then::Allow) = (with_person, &rule.then) {
                trace.push(format!("{subject}: passed over, because a person must agree: {why}"));
                return false;
            }
            match rule.then {
                Then::Refuse { .. } => strict(rule.when.as_ref(), context, &subject, "matched", trace),
                Then::Allow | Then::Approve(_) => lenient(rule.when.as_ref(), context, &subject, trace),
            }
        })
    }

    fn apply(&self, rule: &Rule, facts: &Facts<'_>, trace: &mut Vec<String>) -> Decision {
        let name = rule.name.clone();
        if rule.needs_why && !has_why(facts.ask) {
            trace.push(format!("rule \"{name}\": needs a reason, and none was given"));
            return Decision::Refuse {
                rule: name,
                reason: "This needs a reason: add --why \"...\".".to_string(),
            };
        }
        match &rule.then {
            Then::Allow => Decision::Allow { rule: name },
            Then::Refuse { message } => {
                let reason = message.clone().unwrap_or_else(|| format!("The rule \"{name}\" refuses this."));
                Decision::Refuse { rule: name, reason }
            }
            Then::Approve(quorum) => {
                // Waiting for votes that nobody can give would only waste the time until it expires.
                let others = self
                    .members
                    .iter()
                    .filter(|member| member.may_vote(&quorum.groups) && member.person != facts.who.person);
                let others: Vec<&str> = others.map(|member| member.person.0.as_str()).collect();
                if others.len() < quorum.votes as usize {
                    trace.push(format!(
                        "rule \"{name}\": {} needed, {} could vote",
                        quorum.votes,
                        others.len()
                    ));
                    let there = if others.is_empty() {
                        "nobody".to_string()
                    } else {
                        format!("only {}", others.join(", "))
                    };
                    let reason = format!(
                        "{} approval(s) from {} are needed, and besides you {there} could give one. Ask someone else to ask for it, \
                         or have the groups in the policy file extended.",
                        quorum.votes,
                        quorum.groups.join(" or "),
                    );
                    return Decision::Refuse { rule: name, reason };
                }
                Decision::Needs { rule: name, quorum: quorum.clone() }
            }
        }
    }

    /// May this person ask this question of this cluster? Rules with `action = "query"` decide, the first that matches;
    /// known people are allowed without one.
    pub fn may_query(
        &self,
        who: &Who,
        query: &str,
        cluster: &str,
        cluster_labels: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if !self.rules.iter().any(|rule| rule.actions.contains(QUERY)) {
            return Ok(());
        }
        let scene =
            Scene { who, action: query, cluster, labels: cluster_labels, doing: None, now, zone: self.zone };
        match self.first_match(QUERY, None, &scene.bind(&self.env), &mut Vec::new()) {
            Some(Rule { then: Then::Refuse { message }, name, .. }) => {
                let reason =
                    message.clone().unwrap_or_else(|| format!("The rule \"{name}\" refuses this question."));
                Err(Refusal::Policy { reason })
            }
            _ => Ok(()),
        }
    }

    /// Does this person's vote count for this quorum?
    pub fn may_vote(&self, who: &Who, quorum: &Quorum) -> Result<(), Refusal> {
        let entitled =
            self.members.iter().any(|member| member.person == who.person && member.may_vote(&quorum.groups));
        if entitled { Ok(()) } else { Err(Refusal::NotEntitled { groups: quorum.groups.clone() }) }
    }

    /// The groups in which this person's vote counts: none for machines, and none for those the file does not name.
    pub fn voting_groups(&self, who: &Who) -> Vec<String> {
        let member = self.members.iter().find(|member| member.person == who.person && member.human);
        member.map(|member| member.groups.clone()).unwrap_or_default()
    }
}

/// What a full ceiling decides.
pub(crate) fn refused_by(full: &Full, who: &Who, ask: &Ask) -> Decision {
    let Ceiling { cap, each, at_once } = &full.ceiling;
    let reason = too_many(cap, *each, Limit::AtOnce(*at_once), full.at_work, who, ask);
    Decision::Refuse { rule: cap_rule(cap), reason }
}

/// What rules, freezes and caps know an ask as.
fn key(ask: &Ask) -> &str {
    if ask.break_glass { BREAK_GLASS } else { &ask.action }
}

fn cap_rule(name: &str) -> String {
    format!("cap {name}")
}

fn has_why(ask: &Ask) -> bool {
    ask.why.as_ref().is_some_and(|why| !why.trim().is_empty())
}

/// For what restricts: an error counts as true.
fn strict(
    when: Option<&Condition>,
    context: &Context<'_, '_>,
    subject: &str,
    verb: &str,
    trace: &mut Vec<String>,
) -> bool {
    let (line, answer) = match holds(when, context) {
        Ok(true) => (format!("{subject}: {verb}{}", quoted(when)), true),
        Ok(false) => (format!("{subject}: not so{}", quoted(when)), false),
        Err(why) => (
            format!("{subject}: {verb}, because its condition cannot be evaluated: {why}{}", quoted(when)),
            true,
        ),
    };
    trace.push(line);
    answer
}

/// For what permits: an error counts as false.
fn lenient(
    when: Option<&Condition>,
    context: &Context<'_, '_>,
    subject: &str,
    trace: &mut Vec<String>,
) -> bool {
    let (line, answer) = match holds(when, context) {
        Ok(true) => (format!("{subject}: matched{}", quoted(when)), true),
        Ok(false) => (format!("{subject}: not so{}", quoted(when)), false),
        Err(why) => (
            format!(
                "{subject}: passed over, because its condition cannot be evaluated: {why}{}",
                quoted(when)
            ),
            false,
        ),
    };
    trace.push(line);
    answer
}

fn quoted(when: Option<&Condition>) -> String {
    when.map_or(String::new(), |condition| format!(": {}", condition.text))
}

fn too_many(name: &str, each: Share, limit: Limit, have: u32, who: &Who, ask: &Ask) -> String {
    let (cluster, action) = (&ask.target.cluster, &ask.action);
    let of = match each {
        Share::Person => format!("by {}", who.person),
        Share::Action => format!("to {action} on {cluster}"),
        Share::Cluster => format!("on {cluster}"),
    };
    match limit {
        Limit::PerHour(most) => format!(
            "\"{name}\" allows {most} requests {of} in an hour, and there were {have}. Try again later."
        ),
        Limit::AtOnce(most) => format!(
            "\"{name}\" allows {most} requests {of} at work at once, and there are {have}. Wait for one to end."
        ),
    }
}
