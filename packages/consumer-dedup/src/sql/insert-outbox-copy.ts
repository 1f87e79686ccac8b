// The dead-letter topic's copy, as a row of the service's outbox: named columns only, as outbox.grant_writer allows.
// `headers` is the whole set of record headers besides the envelope's.
export const insertOutboxCopy = `
  insert into outbox.events (bucket, id, source, topic, type, key, headers, payload)
  values ($1::smallint, outbox.uuid7(), $2::text, $3::text, $4::text, $5::text, $6::jsonb, $7::bytea)`
