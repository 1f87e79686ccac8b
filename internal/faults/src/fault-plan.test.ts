import { describe, expect, test } from 'vitest'
import { readFaultPlan } from './fault-plan.js'

describe('ONCEBOX_FAULT', () => {
  test('is a list of points, hits and actions', () => {
    expect(
      readFaultPlan('consumer.commit.sent@3:kill, relay.endtxn.sent:stop,relay.produce.acked@*:delay=50'),
    ).toEqual([
      { point: 'consumer.commit.sent', hit: 3, action: { kind: 'kill' } },
      { point: 'relay.endtxn.sent', hit: 1, action: { kind: 'stop' } },
      { point: 'relay.produce.acked', hit: 0, action: { kind: 'delay', ms: 50 } },
    ])
  })

  test('is refused when it names a point or an action that does not exist', () => {
    expect(() => readFaultPlan('consumer.nowhere@1:kill')).toThrow(/no fault point/)
    expect(() => readFaultPlan('consumer.commit.sent@1:explode')).toThrow(/no action/)
    expect(() => readFaultPlan('consumer.commit.sent@1:delay')).toThrow(/no action/)
  })
})
