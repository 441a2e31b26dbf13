-- What came of drills: written once, when a drill and the incident it caused are over.

create table drill (
    request uuid primary key references request,
    -- Which fault of what; the same key is the same drill once more.
    key text not null,
    doc json not null,
    ended_at timestamptz not null
);
create index drill_key on drill (key, ended_at desc);
-- Neither column changes, so a request's updates need not touch it.
create index request_drill on request (created_at desc) where action = 'drill';
