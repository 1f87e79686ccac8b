import pg from 'pg'

/** Which events are published again: those of which all that is given is true. */
export interface ReplaySelection {
  readonly topics?: readonly string[] | undefined
  readonly keys?: readonly string[] | undefined
  /** Ids of events. */
  readonly ids?: readonly string[] | undefined
  /** By `occurred_at`: from this moment on, and before that one. */
  readonly since?: Date | undefined
  readonly until?: Date | undefined
}

/**
 * As a condition on rows of outbox.events, named `e`; COPY takes no parameters. What has a dead letter was not published,
 * unless the letter was.
 */
export function selects({ topics, keys, ids, since, until }: ReplaySelection): string {
  return [
    ...(topics === undefined ? [] : [`e.topic = any (${texts(topics)})`]),
    ...(keys === undefined ? [] : [`e.key = any (${texts(keys)})`]),
    ...(ids === undefined ? [] : [`e.id = any (${texts(ids)}::uuid[])`]),
    ...(since === undefined ? [] : [`e.occurred_at >= '${since.toISOString()}'`]),
    ...(until === undefined ? [] : [`e.occurred_at < '${until.toISOString()}'`]),
    `not exists (select from outbox.dead_letters l
                  where l.seq = e.seq
                    and not exists (select from outbox.dead_letter_results r where r.letter = l.number and r.outcome = 'published'))`,
  ].join(' and ')
}

const texts = (values: readonly string[]): string =>
  `array[${values.map((value) => pg.escapeLiteral(value)).join(',')}]::text[]`
