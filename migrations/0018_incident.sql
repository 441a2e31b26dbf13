-- An incident is found by the request it waits for when that has moved on, instead of looking at all that are open.
create index incident_request on incident (request) where ended_at is null;
