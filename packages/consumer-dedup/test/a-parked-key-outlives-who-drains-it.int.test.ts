import { databaseModes, type ConsumerProcess } from '@internal/contracts/consumers'
import { parkKey } from '@oncebox/consumer-dedup'
import type { FaultPoint } from '@oncebox/core'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { Bed } from './contract/bed.js'
import { compare, events, eventually, inOrder } from './fixture.js'
import { inPlaceOnce, nothingWaits, oneByOne, parking, waiting } from './parked.js'

/** They end in good order. */
async function end(members: readonly ConsumerProcess[]): Promise<void> {
  for (const member of members) {
    await member.started
    member.kill('SIGTERM')
    expect(await member.ended).toBe(null)
  }
}

const points: readonly FaultPoint[] = [
  'consumer.parked',
  'consumer.drain.claimed',
  'consumer.drain.ended',
  'consumer.drain.failed',
  'consumer.commit.sent',
]

describe.each(databaseModes)('in mode $name', (mode) => {
  test.concurrent(
    'killed while it parks and while it drains, nothing is lost, doubled or out of order',
    { timeout: 180_000 },
    async () => {
      await using bed = await Bed.open(mode)
      const sent = events(12 * points.length, { keys: 6 })
      const conduct = (turn: number) => ({
        batches: turn % 2 === 1,
        parking: { ...parking, inPlace: { ...inPlaceOnce, killsMax: 100 } },
        options: { sessionTimeoutMs: 1_000 },
        failing: Object.fromEntries(
          sent.filter(({ value }) => value % 5 === 3).map(({ value }) => [value, 2]),
        ),
      })
      for (const [turn, point] of points.entries()) {
        await bed.publish(sent.slice(12 * turn, 12 * (turn + 1)))
        // The first that is parked has failed, those after it may have come behind it.
        const hit = point === 'consumer.parked' ? 1 : 2
        expect(await bed.start(conduct(turn), `${point}@${hit}:kill`).ended).toBe('SIGKILL')
      }
      const last = bed.start(conduct(0))
      await bed.untilDone(sent)
      await eventually(() => nothingWaits(bed.pool))
      await end([last])
      const found = await bed.effects()
      expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
      expect(inOrder(found)).toBe(true)
      expect(await bed.deadLetters()).toEqual([])
    },
  )

  test.concurrent(
    'a process that stands still while it drains loses its lease, and changes nothing when it wakes up',
    { timeout: 120_000 },
    async () => {
      await using bed = await Bed.open(mode, 1)
      const sent = events(6, { keys: 1 })
      await bed.publish(sent.slice(0, 3))
      const zombie = bed.start(
        { parking, failing: { 0: 1 }, options: { ...oneByOne, sessionTimeoutMs: 1_000 } },
        'consumer.drain.ended:stop',
      )
      await eventually(async () => (await waiting(bed.pool)).length >= 1)
      const next = bed.consume({
        retry: parkKey(parking),
        sessionTimeoutMs: 1_000,
        heartbeatIntervalMs: 200,
      })
      await next.start()
      await bed.publish(sent.slice(3))
      await bed.untilDone(sent)
      zombie.kill('SIGCONT')
      await eventually(() => nothingWaits(bed.pool))
      await next.stop()
      await end([zombie])
      expect((await bed.effects()).map(({ value }) => value)).toEqual([0, 1, 2, 3, 4, 5])
    },
  )
})

test.concurrent(
  'an event that kills whoever runs it from its queue becomes a dead letter, and who was in hand beside it does not',
  { timeout: 120_000 },
  async () => {
    const [inbox] = databaseModes
    if (inbox === undefined) throw new Error('a mode with a database')
    await using bed = await Bed.open(inbox, 1)
    const sent = events(6, { keys: 3 })
    await bed.publish(sent.slice(0, 2))
    const [killer, innocent] = [0, 1]
    const retry = { delaysMs: [20], attemptsMax: 100, jitter: 0, inPlace: { ...inPlaceOnce, killsMax: 2 } }
    const conduct = {
      parking: retry,
      options: { ...oneByOne, sessionTimeoutMs: 1_000 },
      killInQueueAtValue: killer,
    }
    const known = async (): Promise<unknown[]> =>
      (
        await bed.pool.query(
          `select kills, alone_in is null as in_order, state = 'parked' as is_parked from inbox.parked order by number limit 2`,
        )
      ).rows
    // Both in hand: nobody knows whose fault it was. Then the killer alone; the other one waits for its turn, or has failed
    // in it and is in hand beside the killer.
    const both = { ...conduct, killWhenInHand: 2, hangInQueueAtValue: innocent }
    expect(await bed.start({ ...both, failing: { [killer]: 1, [innocent]: 1 } }).ended).toBe('SIGKILL')
    expect(await bed.start({ ...both, failing: { [innocent]: 1 } }).ended).toBe('SIGKILL')

    // Stopped in good order while it runs the killer: no kill.
    let isRun = (): void => undefined
    const run = new Promise<void>((resolve) => {
      isRun = resolve
    })
    const stopped = bed.consume({
      retry: parkKey(retry),
      sessionTimeoutMs: 1_000,
      heartbeatIntervalMs: 200,
      handle: async (value, signal) => {
        if (value === innocent) throw new Error('not yet')
        if (value !== killer) return
        isRun()
        await once(signal, 'abort')
        signal.throwIfAborted()
      },
    })
    await stopped.start()
    await run
    await stopped.stop({ timeoutMs: 50 })
    expect(await known()).toMatchObject([{ kills: 1, in_order: true, is_parked: true }, { kills: 0 }])

    expect(await bed.start(conduct).ended).toBe('SIGKILL')
    await bed.publish(sent.slice(2))
    const rest = sent.filter(({ value }) => value !== killer)
    const last = bed.consume({ retry: parkKey(retry) })
    await last.start()
    await bed.untilDone(rest)
    await eventually(() => nothingWaits(bed.pool))
    await last.stop()
    expect(compare(rest, await bed.effects())).toEqual({ lost: 0, doubled: 0 })
    expect(inOrder(await bed.effects())).toBe(true)
    const letters = await bed.pool.query('select event_id, code, kills, attempts from inbox.parked')
    expect(letters.rows).toEqual([
      { event_id: sent[killer]?.id, code: 'CONSUMER_HANDLER_KILLED', kills: 2, attempts: 1 },
    ])
  },
)
