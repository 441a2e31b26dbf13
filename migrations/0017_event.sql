-- What was told is kept by its key alone once it is folded: what waits has a table of its own and leaves it, so that no event is written
-- twice.
create table event_waiting (
    id bigint generated always as identity primary key,
    source text not null,
    body json not null,
    at timestamptz not null
);
insert into event_waiting (source, body, at) select source, body, at from event where handled_at is null order by id;

drop index event_due;
drop index event_handled;
alter table event drop column id, drop column source, drop column body, drop column handled_at;
alter table event drop constraint event_key_key;
alter table event add primary key (key);
create index event_at on event (at);
