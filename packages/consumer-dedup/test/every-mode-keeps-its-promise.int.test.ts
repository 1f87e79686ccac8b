import { modesUnderTest as modes, type ModeUnderTest } from '@internal/contracts/consumers'
import { describe, expect, test } from 'vitest'
import { Bed } from './contract/bed.js'
import { compare, events, eventually, inOrder, type EffectRow, type Sent } from './fixture.js'

/** Whether what a mode promises after a crash is so. */
function expectPromise(mode: ModeUnderTest, sent: readonly Sent[], found: readonly EffectRow[]): void {
  const { lost, doubled } = compare(sent, found)
  if (!mode.mayLose) expect(lost).toBe(0)
  if (!mode.mayDouble) {
    expect(doubled).toBe(0)
    expect(inOrder(found)).toBe(true)
  }
  // Nothing else is there.
  expect(new Set(found.map(({ id }) => id)).size).toBe(sent.length - lost)
}

describe.each(modes)('a consumer in mode $name', (mode) => {
  test.concurrent(
    'handles events in order of their keys, retries what fails, and gives up what fails for good',
    { timeout: 60_000 },
    async () => {
      await using bed = await Bed.open(mode)
      const sent = events(30, { keys: 3 })
      const isGivenUp = new Set([7, 12, 17])
      const given = sent.filter(({ value }) => isGivenUp.has(value))
      await bed.publish(sent)
      const failing = mode.mode === 'at-most-once' ? {} : { 3: 1, 20: 2 }
      const consumer = bed.start({
        batches: mode.takesBatches || mode.mode === 'at-most-once',
        failing: { 7: 'permanent', 12: -1, 17: 'excluded', ...failing },
      })
      const rest = sent.filter((one) => !given.includes(one))
      await bed.untilDone(rest)
      await eventually(async () => (await bed.deadLetters()).length === given.length)
      await consumer.started
      consumer.kill('SIGTERM')
      expect(await consumer.ended).toBe(null)
      const found = await bed.effects()
      expect(compare(rest, found)).toEqual({ lost: 0, doubled: 0 })
      expect(inOrder(found)).toBe(true)
      const attempts = await bed.attemptsOfDeadLetters()
      expect(given.map(({ id }) => attempts.get(id))).toEqual([1, mode.retries ? 3 : 1, 1])
      expect(attempts.size).toBe(given.length)
    },
  )

  test.concurrent(
    'stopped past its session it changes nothing when it wakes up',
    { timeout: 120_000 },
    async () => {
      await using bed = await Bed.open(mode, 1)
      const sent = events(40, { keys: 4 })
      await bed.publish(sent.slice(0, 20))
      const group = bed.name
      const options = mode.takesBatches ? { batch: { eventsMax: 4 } } : {}
      const zombie = bed.start({ group, options }, 'consumer.effect.done@3:stop')
      await eventually(async () => (await bed.effects()).length >= (mode.mode === 'kafka' ? 8 : 2))
      const next = bed.start({ group })
      await next.started
      if (!mode.mayLose) await bed.untilDone(sent.slice(0, 20))
      zombie.kill('SIGCONT')
      await bed.publish(sent.slice(20))
      await bed.untilDone(sent)
      for (const consumer of [zombie, next]) {
        consumer.kill('SIGTERM')
        expect(await consumer.ended).toBe(null)
      }
      expectPromise(mode, sent, await bed.effects())
    },
  )
})

describe.each(modes.filter(({ remembersAttempts }) => !remembersAttempts))(
  'a consumer in mode $name',
  (mode) => {
    const isAtomic = mode.mode === 'kafka'
    const letters = isAtomic || mode.mode === 'at-most-once' ? 'one dead letter' : 'two dead letters'
    test.concurrent(
      `killed between a dead letter and the offset behind its event: the event has ${letters}, and no effect`,
      { timeout: 60_000 },
      async () => {
        await using bed = await Bed.open(mode, 1)
        const sent = events(10)
        await bed.publish(sent)
        const conduct = { failing: { 0: 'permanent' } } as const
        const point = isAtomic ? 'relay.endtxn.sent' : 'consumer.letter.sent'
        expect(await bed.start(conduct, `${point}@1:kill`).ended).toBe('SIGKILL')
        const next = bed.start(conduct)
        const last = events(1, { from: 10 })
        await bed.publish(last)
        await bed.untilDone(mode.mayLose ? last : [...sent.slice(1), ...last])
        await next.started
        next.kill('SIGTERM')
        expect(await next.ended).toBe(null)
        const found = await bed.effects()
        expect(found.map(({ id }) => id)).not.toContain(sent[0]?.id)
        if (!mode.mayLose)
          expect(compare([...sent.slice(1), ...last], found)).toEqual({ lost: 0, doubled: 0 })
        const written = await bed.deadLetters()
        expect(written).toEqual(
          Array.from({ length: letters === 'one dead letter' ? 1 : 2 }, () => sent[0]?.id),
        )
      },
    )
  },
)

describe.each(modes.filter(({ knowsIds }) => knowsIds))('a consumer in mode $name', (mode) => {
  test.concurrent('knows an event again that is published twice', async () => {
    await using bed = await Bed.open(mode)
    const sent = events(20)
    await bed.publish([...sent.slice(0, 10), ...sent, ...sent.slice(5)])
    const last = events(1, { from: 20 })
    await bed.publish(last)
    const consumer = bed.start({ batches: true })
    await bed.untilDone([...sent, ...last])
    await consumer.started
    consumer.kill('SIGTERM')
    await consumer.ended
    expect(compare([...sent, ...last], await bed.effects())).toEqual({ lost: 0, doubled: 0 })
  })
})

describe.each(modes.filter(({ remembersAttempts }) => remembersAttempts))(
  'a consumer in mode $name',
  (mode) => {
    test.concurrent(
      'buries an event that kills its process, and handles the others',
      { timeout: 120_000 },
      async () => {
        await using bed = await Bed.open(mode)
        const sent = events(20)
        const rest = sent.filter(({ value }) => value !== 7)
        await bed.publish(sent)
        const conduct = { killAtValue: 7, options: { retry: { killsMax: 2 } } }
        let ends = 0
        for (; ends < 10; ends += 1) {
          const one = bed.start(conduct)
          const done = eventually(
            async () =>
              compare(rest, await bed.effects()).lost === 0 && (await bed.deadLetters()).length === 1,
          )
          const end = await Promise.race([one.ended, done.then(() => 'done' as const)])
          if (end !== 'done') continue
          await one.started
          one.kill('SIGTERM')
          await one.ended
          break
        }
        expect(ends).toBe(3) // in a batch, then alone, twice
        expect(compare(rest, await bed.effects())).toEqual({ lost: 0, doubled: 0 })
        expect(await bed.deadLetters()).toEqual(sent.filter(({ value }) => value === 7).map(({ id }) => id))
      },
    )
  },
)
