-- A card that changed is due again wherever it is shown. A trigger, because it looks with a snapshot of its own: the statement that changes
-- the card may have waited for one that shows it in a further place, and does not see that place. A claim in progress or a wait after a
-- failure stands: due_at only ever moves forward here.
create function card_changed() returns trigger language plpgsql as $$
begin
    update delivery set wanted = new.version, attempts = 0, due_at = greatest(due_at, clock_timestamp()) where card = new.id;
    return null;
end $$;

create trigger card_changed after update of version on card for each row when (new.version <> old.version)
    execute function card_changed();
