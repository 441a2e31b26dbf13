//! What every change of a request writes along, as parts of one statement: one statement is one transaction, one round
//! trip and one flush, and holds no lock while we think.
//!
//! They follow a common table expression `changed (request, kind, actor, at, body)` of what the change has really written.

/// The ledger entry (G10).
pub(super) const ENTRY: &str = "
    recorded as (insert into entry (at, kind, actor, request, body) select at, kind, actor, request, body from changed)";

/// The card is another; the trigger `card_changed` makes it due again wherever it is shown.
pub(super) const CARD: &str = "
    bumped as (update card set version = version + 1 from changed where card.request = changed.request)";

/// What a run of this request holds alone while it runs: its target. A drill breaks its target until it is healed, and whoever heals it runs
/// meanwhile; so a drill holds only the right to drill it.
pub(super) const HELD: &str =
    "case when action in ('drill', 'inject-delay') then 'drill ' || target else target end as target";

/// What is approved now waits for a worker. Here `changed` also has `state, revision, target` and a new run's id, `run`.
pub(super) const QUEUE: &str = "
    queued as (
        insert into run (id, request, revision, target, phase, queued_at)
        select run, request, revision, target, 'act', at from changed where state = 'approved')";
