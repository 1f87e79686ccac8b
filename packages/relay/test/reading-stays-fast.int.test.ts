import { expect, test } from 'vitest'
import { readLive, readSettings, readWindow } from '../src/reading/read-window.js'
import { parseSnapshot } from '../src/reading/snapshot.js'
import { createRelayReading } from '../src/relay.js'
import { setUp, type Bed } from './bed.js'
import { textOrderReader } from './sequence-reader.js'

interface Plan {
  readonly 'Node Type': string
  readonly 'Index Name'?: string
  readonly Plans?: readonly Plan[]
}

// Right after TRUNCATE there are no statistics, and a planner left alone sorts the whole backlog for every page.
test('without statistics, a live window is read by txid and a backlog by seq, page after page', async () => {
  await using bed = await setUp()
  const fill = `insert into outbox.events (bucket, id, source, topic, type, key, payload)
    select 0, outbox.uuid7(), 'test', $1, 'test.happened', 'k', '{}' from generate_series(1, $2::int)`
  await bed.pool.query(fill, [bed.topic, 20_000])
  const from = parseSnapshot(await snapshot(bed))
  await bed.pool.query(fill, [bed.topic, 10])
  const to = parseSnapshot(await snapshot(bed))
  const page = { from, to, ended: [from.xmin], rowsMax: 5_000, bytesMax: 4_000_000, condition: '' }

  const live = await planOf(bed, readWindow({ ...page, after: 0n }), readSettings(false))
  expect(live.scans).not.toContain('Seq Scan')
  expect(live.indexes.every((name) => name.endsWith('txid_idx'))).toBe(true)

  // As the relay reads it: `to` is not known yet, and the open ones of `from` are compared with it by the server, once.
  const wide = parseSnapshot(
    `${from.xmin}:${from.xmax}:${Array.from({ length: 200 }, (_, n) => n + 3).join(',')}`,
  )
  await bed.pool.query('analyze outbox.events') // with statistics, the last tenth of them looks like a third
  for (const open of [from, wide])
    expect(await scansOf(bed, readLive({ ...page, ...anchor, from: open, selection: everything }))).toEqual({
      sequential: 0,
      bySeq: 0,
      rowsFetched: 10,
    })

  const backlog = await planOf(
    bed,
    readWindow({ ...page, from: parseSnapshot('3:3:'), after: 10_000n }),
    readSettings(true),
  )
  expect(backlog.scans).toContain('Merge Append')
  expect(backlog.scans).not.toContain('Sort')
  expect(backlog.indexes).toEqual(['events_1_seq', 'events_2_seq', 'events_3_seq'])
})

test('rows that come in the order of their text are refused, not published', async () => {
  await using bed = await setUp()
  await bed.emit(Array.from({ length: 12 }, () => 'k'))
  const relay = createRelayReading(bed.options, textOrderReader)
  await relay.start()
  await expect(relay.stopped).rejects.toMatchObject({ code: 'RELAY_ORDER_BROKEN' })
  expect(await bed.published()).toEqual([])
})

async function snapshot(bed: Bed): Promise<string> {
  const { rows } = await bed.pool.query<{ snapshot: string }>(
    'select pg_current_snapshot()::text as snapshot',
  )
  return rows[0]?.snapshot ?? ''
}

const everything = `0, 255, '{}', false`
const anchor = {
  lifeToken: '01890a5d-ac96-774b-8000-000000000001',
  shard: 0,
  window: { generation: 1, epoch: 1, number: 1, incarnation: '' },
  emptyUpTo: undefined,
}

/** What the transaction of a read has done to the tables of events, when the function has kept its plan. */
async function scansOf(
  bed: Bed,
  copy: string,
): Promise<{ sequential: number; bySeq: number; rowsFetched: number }> {
  const select = copy.replace(/^copy \(/, '').replace(/\) to stdout \(format binary\)$/, '')
  const client = await bed.pool.connect()
  try {
    const counted = async (): Promise<{ sequential: number; bySeq: number; rowsFetched: number }> => {
      const { rows } = await client.query<{ sequential: number; bySeq: number; rowsFetched: number }>(
        `select (select sum(pg_stat_get_xact_numscans(c.oid)) from pg_class c where c.relname ~ '^events_[0-9]$' and c.relkind = 'r')::int as sequential,
                (select sum(pg_stat_get_xact_numscans(c.oid)) from pg_class c where c.relname ~ '^events_[0-9]_seq$')::int as "bySeq",
                (select sum(pg_stat_get_xact_tuples_fetched(c.oid)) from pg_class c where c.relname ~ '^events_[0-9]_txid_idx$')::int as "rowsFetched"`,
      )
      return rows[0] ?? { sequential: -1, bySeq: -1, rowsFetched: -1 }
    }
    await client.query('begin')
    await client.query(select)
    const first = await counted()
    await client.query(select)
    const second = await counted()
    await client.query('rollback')
    return {
      sequential: second.sequential,
      bySeq: second.bySeq,
      rowsFetched: second.rowsFetched - first.rowsFetched,
    }
  } finally {
    client.release()
  }
}

async function planOf(
  bed: Bed,
  copy: string,
  settings: string,
): Promise<{ scans: string[]; indexes: string[] }> {
  const select = copy.replace(/^copy \(/, '').replace(/\) to stdout \(format binary\)$/, '')
  const client = await bed.pool.connect()
  try {
    await client.query(`begin; ${settings}`)
    const { rows } = await client.query<{ 'QUERY PLAN': readonly { readonly Plan: Plan }[] }>(
      `explain (format json) ${select}`,
    )
    await client.query('rollback')
    const nodes: Plan[] = []
    const walk = (plan: Plan): void => {
      nodes.push(plan)
      for (const child of plan.Plans ?? []) walk(child)
    }
    const root = rows[0]?.['QUERY PLAN'][0]?.Plan
    if (root !== undefined) walk(root)
    return {
      scans: nodes.map((node) => node['Node Type']),
      indexes: nodes.flatMap((node) => node['Index Name'] ?? []).sort(),
    }
  } finally {
    client.release()
  }
}
