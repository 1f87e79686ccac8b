import pg from 'pg'
import { notifyChannel } from '@oncebox/outbox'
import { passed } from '../drained.js'
import { answer } from './child.js'
import type { Emission, Written } from './messages.js'
import { pace } from './pace.js'
import { keyOf, payloadOf } from './sample.js'

// A service: one transaction of one event each. The COMMIT is part of the statement, so its answer is that of the COMMIT.
const pool = new pg.Pool({ connectionString: passed('BENCH_DATABASE_URL'), max: 8 })
const topic = passed('BENCH_TOPIC')
const insert = `
insert into outbox.events (bucket, id, source, topic, type, key, payload)
values (outbox.bucket($2), outbox.uuid7(), 'bench', $1, 'bench.happened', $2, $3)`
const insertAndNotify = `with emitted as (${insert} returning id) select pg_notify('${notifyChannel}', '') from emitted`

await Promise.all(Array.from({ length: 8 }, () => pool.query('select pg_sleep(0.1)')))
answer<Emission, readonly Written[]>(
  (emission) =>
    pace(emission, async (number) => {
      await pool.query({
        ...(emission.notify === true
          ? { name: 'emit-and-notify', text: insertAndNotify }
          : { name: 'emit', text: insert }),
        values: [topic, keyOf(number), Buffer.from(payloadOf(number))],
      })
    }),
  () => pool.end(),
)
